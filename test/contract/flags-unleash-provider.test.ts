/** The provider `unleash` as files name it: its entry, its facts, and what happens without its tokens. */
import { describe, expect, it } from "vitest";
import type { OpenContext } from "../../src/adapters/flags/provider.ts";
import { provider } from "../../src/adapters/flags/providers/unleash.ts";
import { faultOf, logInto } from "../support/faults.ts";
import { PARALLEL, put } from "../support/flags-contract-under-test.ts";

const ENTRY = { kind: "unleash", url: "http://127.0.0.1:9" };

function context(): OpenContext & { readonly closers: Array<() => void | Promise<void>> } {
  const closers: Array<() => void | Promise<void>> = [];
  return {
    environment: "production",
    stateDir: "/nonexistent",
    log: logInto([]),
    secret: () => undefined,
    target: () => {
      throw new Error("nothing restarts");
    },
    scope: { closers },
    closers,
  };
}

describe("the provider unleash", () => {
  it("takes its entry, and says what it can", () => {
    const full = { ...ENTRY, project: "ingest", environment: "prod-eu", stickiness: "userId" };
    expect(provider.check(full)).toMatchObject({
      kind: "sound",
      entry: full,
      facts: { percent: true, sdk: true, restarts: false, variables: false },
    });
    expect(provider.secrets).toEqual(["BELAY_UNLEASH_TOKEN", "BELAY_UNLEASH_CLIENT_TOKEN"]);
  });

  it.each([
    [{ ...ENTRY, token: "secret" }, "token"],
    [{ ...ENTRY, url: "unleash.example.com" }, "url"],
    [{ ...ENTRY, project: "../admin" }, "project"],
    [{ kind: "unleash" }, "url"],
  ])("refuses an entry with a mistake and names it: %j", (entry, word) => {
    const checked = provider.check(entry);
    expect(checked.kind).toBe("mistaken");
    expect(JSON.stringify(checked)).toContain(word);
  });

  it("without its tokens is opened all the same, and every call says which one is missing", async () => {
    const own = context();
    const flags = provider.open(ENTRY, own);
    const view = provider.view(ENTRY, { targetingKey: "belay", timeoutMs: 1_000 }, own);
    for (const call of [
      flags.read([PARALLEL]),
      flags.write([put(PARALLEL, { kind: "off" })]),
      flags.reach(),
    ]) {
      const fault = await faultOf(call);
      expect(fault.recoverable).toBe(false);
      expect(fault.message).toMatch(/^BELAY_UNLEASH_TOKEN is not set/);
    }
    expect((await flags.rehearse(PARALLEL)).problems.join()).toContain("BELAY_UNLEASH_TOKEN is not set");
    const seen = await faultOf(view?.read([PARALLEL]) ?? Promise.resolve());
    expect(seen.message).toMatch(/^BELAY_UNLEASH_CLIENT_TOKEN is not set/);
    expect(own.closers).toHaveLength(2);
    for (const close of own.closers) await close();
  });

  it("is opened once for all rollouts of one running Belay, and anew for another", () => {
    const own = context();
    expect(provider.open(ENTRY, own)).toBe(provider.open(ENTRY, own));
    expect(provider.open(ENTRY, context())).not.toBe(provider.open(ENTRY, own));
  });
});
