/** The way back is rehearsed on the real file store before a start: refused with the problem named when it would fail, quick when it is fresh, and kept for `belay check`. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createRehearsalShelf, readRehearsals } from "../../src/adapters/flags/rehearsals.ts";
import { readConfig } from "../../src/config.ts";
import { judgeRehearsal, type Rehearsal } from "../../src/core/rehearsal.ts";
import type { CommandAnswer } from "../../src/engine/messages.ts";
import { type Belay, startBelay } from "../../src/main.ts";
import { type Liar, startLiar } from "../fakes/prometheus-liar.ts";
import { belay as cli } from "../support/command-line.ts";
import { eventually, until } from "../support/eventually.ts";
import { withoutRights } from "../support/flag-store-contract.ts";
import { flag, flags, planOf, stage } from "../support/plans.ts";
import { flagsIn } from "../support/short-world.ts";

const FLAGS = (path: string, url: string): string => `service: svc
environment: test
provider: { kind: file, path: ${path} }
view: { http: "${url}/features", pointer: /flags }
prometheus: { url: "${url}", scrape_interval: 1s }
flags:
  cache: { key: CACHE, safe: off }
  parallel: { key: PARALLEL, safe: off }
guards:
  failures: { kind: threshold, query: "rate(failures_total[30s])", max: 2%, interval: 10s }
`;
const SCHEDULE = `rollout: demo
flags: main
stages:
  - { at: 0s, name: cache, enable: cache, soak: 24h }
  - { at: 25h, name: parallel, enable: parallel, soak: 24h }
`;
/** Far enough that nothing is flipped while a test looks. */
const LATER = `at=${new Date(Date.now() + 12 * 3_600_000).toISOString().slice(11, 16)}`;

let dir = "";
let flagsPath = "";
let outside: Liar;
let belay: Belay | undefined;
let asked = 0;
/** What the service says when it does not follow its flags. */
let stubborn: unknown;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "belay-rehearsal-"));
  // Another user than the one who runs the tests must reach the flags.
  chmodSync(dir, 0o755);
  stubborn = undefined;
  for (const folder of ["house/flags", "house/schedules", "house/runbooks", "flags"])
    mkdirSync(join(dir, folder), { recursive: true });
  mkdirSync(join(dir, "state"), { mode: 0o700 });
  flagsPath = join(dir, "flags", "flags.json");
  outside = await startLiar();
  outside.answer((response, { path, form }) => {
    const time = Number(form.get("time"));
    const query = form.get("query") ?? "";
    const usual = query.includes("failures_total") ? "0" : "1";
    const value = query.includes("timestamp(") ? String(time) : usual;
    const vector = { resultType: "vector", result: [{ metric: {}, value: [time, value] }] };
    const body =
      path === "/features"
        ? { flags: stubborn ?? flagsIn(flagsPath) }
        : {
            status: "success",
            data: path.endsWith("query_range") ? { resultType: "matrix", result: [] } : vector,
          };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  writeFileSync(join(dir, "house/flags/main.yaml"), FLAGS(flagsPath, outside.url));
  writeFileSync(join(dir, "house/schedules/demo.yaml"), SCHEDULE);
});

afterEach(async () => {
  await belay?.stop();
  belay = undefined;
  await outside.close();
  rmSync(dir, { recursive: true, force: true });
});

async function start(): Promise<Belay> {
  const env = {
    BELAY_STATE: join(dir, "state"),
    BELAY_HTTP_PORT: "0",
    BELAY_LOG: "error",
    BELAY_MODE: "act",
  };
  const result = readConfig(env, { dir: join(dir, "house") });
  if (result.kind === "bad") throw new Error(result.mistakes.join("; "));
  belay = await startBelay(result.config);
  return belay;
}

function command(text: string): Promise<CommandAnswer> {
  asked++;
  if (belay === undefined) throw new Error("no Belay runs");
  return belay.command(text, "ana", `k${asked}`);
}

/** Changes whenever the file is replaced, also by the same bytes. */
function replacement(): string {
  const { ino, mtimeMs } = statSync(flagsPath);
  return `${ino} ${mtimeMs}`;
}

async function history(): Promise<string> {
  return (await command("rollout history demo")).lines.join("\n");
}

describe("a start whose way back would fail", () => {
  it("is refused, names the file and what to do, and changes nothing; with the rights back it begins", async () => {
    await start();
    // The journal must stay within reach of the other user.
    chmodSync(join(dir, "state"), 0o711);
    const before = readFileSync(flagsPath, "utf8");
    const [refused, told] = await withoutRights(join(dir, "flags"), 0o555, async () => [
      await command("rollout start demo"),
      await command("rollout rehearse demo"),
    ]);
    expect(refused).toMatchObject({ ok: false, code: "rehearsal" });
    expect(refused?.text).toMatch(
      /a rollback of CACHE and PARALLEL would fail: cannot write .*flags\.json: permission denied; Belay's user must own it.*Nothing changed\.$/,
    );
    expect(refused?.offers).toEqual([{ label: "Rehearse", command: "rollout rehearse demo" }]);
    expect(told).toMatchObject({ ok: false, code: "rehearsal" });
    expect(told?.text).toContain("until then `start` is refused");
    expect(told?.lines[0]).toMatch(/^problem: a rollback of CACHE and PARALLEL would fail/);
    expect(readFileSync(flagsPath, "utf8")).toBe(before);
    expect(belay?.engine.runs()).toEqual([]);
    expect(await command("rollout start demo")).toMatchObject({ ok: true, code: "started" });
    await until("the flag is on", () => flagsIn(flagsPath)["CACHE"] === "true");
  });

  it("is refused when the service does not follow its flags, and when nobody answers for it", async () => {
    await start();
    stubborn = { CACHE: "true", PARALLEL: "false" };
    const refused = await command("rollout enable cache");
    expect(refused).toMatchObject({ ok: false, code: "rehearsal" });
    expect(refused.text).toContain("the service works with CACHE = true while the flag system says OFF");
    stubborn = "no object";
    const silent = await command("rollout start demo");
    expect(silent.text).toContain("svc does not say how its flags are, so no flip could be confirmed");
    expect(belay?.engine.runs()).toEqual([]);
    expect(flagsIn(flagsPath)).toEqual({ CACHE: "false", PARALLEL: "false" });
  });

  it("is not rehearsed when it is refused anyway", async () => {
    await start();
    expect(await command(`rollout start demo ${LATER}`)).toMatchObject({ ok: true });
    const before = replacement();
    expect(await command("rollout start demo")).toMatchObject({ code: "already_live" });
    expect(replacement()).toBe(before);
  });
});

describe("a start whose way back works", () => {
  it("rehearses first, writes the very same bytes, is quick about it, and says so in its history", async () => {
    await start();
    const [bytes, before] = [readFileSync(flagsPath, "utf8"), replacement()];
    const from = performance.now();
    const answer = await command(`rollout start demo ${LATER}`);
    expect(performance.now() - from).toBeLessThan(1_000);
    expect(answer).toMatchObject({ ok: true, code: "started" });
    expect(readFileSync(flagsPath, "utf8")).toBe(bytes);
    expect(replacement()).not.toBe(before);
    expect(await history()).toMatch(
      /started the rollout, .*; going back was rehearsed just before \(slowest flag \d+/,
    );
  });

  it("rests on a fresh rehearsal without another one, also over a restart of Belay", async () => {
    await start();
    const good = await command("rollout rehearse demo");
    expect(good).toMatchObject({ ok: true, code: "rehearsed" });
    expect(good.text).toMatch(
      /^demo is rehearsed: 2 flags in .*, the way back works\. Nothing was changed\.$/,
    );
    expect(good.lines).toEqual([
      expect.stringMatching(/^cache: read .+, write .+, the service agrees$/),
      expect.stringMatching(/^parallel: read .+, write .+, the service agrees$/),
    ]);
    await eventually("it is kept", async () => (await readRehearsals(join(dir, "state"))).get("demo"));
    await belay?.stop();
    await start();
    const before = replacement();
    expect(await command(`rollout start demo ${LATER}`)).toMatchObject({ ok: true });
    expect(replacement()).toBe(before);
  });

  it("of two at once only one begins", async () => {
    await start();
    const answers = await Promise.all([
      command(`rollout start demo ${LATER}`),
      command(`rollout start demo ${LATER}`),
    ]);
    expect(answers.map(({ ok }) => ok).toSorted()).toEqual([false, true]);
    expect(answers.find(({ ok }) => !ok)?.code).toMatch(/^(already_live|lock_conflict)$/);
    expect(belay?.engine.runs()).toHaveLength(1);
  });

  it("lets `/rollout plan` and `belay check` count with what was measured", async () => {
    await start();
    const plan = async (): Promise<string> => (await command("rollout plan demo")).lines.at(-1) ?? "";
    const check = async (): Promise<string> =>
      (await cli({ BELAY_STATE: join(dir, "state") }, "check", join(dir, "house"))).out;
    expect(await plan()).toMatch(/of it the flip: 2 s, allowed$/);
    expect(await check()).toMatch(/demo: .* flip 2 \(allowed\) \+ restart 0/);
    await command("rollout rehearse demo");
    expect(await plan()).toMatch(/of it the flip: .*, measured just now, counted double$/);
    await eventually("it is kept", async () => (await readRehearsals(join(dir, "state"))).get("demo"));
    expect(statSync(join(dir, "state", "rehearsals.json")).mode & 0o777).toBe(0o600);
    expect(await check()).toMatch(/demo: .* flip 1 \(measured .+, counted double\) \+ restart 0/);
    // Another plan under the same name was not rehearsed.
    writeFileSync(join(dir, "house/schedules/demo.yaml"), SCHEDULE.replace("25h", "26h"));
    expect(await check()).toMatch(/flip 2 \(allowed\)/);
  });
});

describe("the file of rehearsals", () => {
  const plan = planOf({ flags: flags(flag("a")), stages: [stage("a", 0)] });
  const tried = { readMs: 1, writeMs: 1, problems: [], warnings: [] };
  const reading = { setting: { kind: "off" as const }, version: "1", effective: true };

  function rehearsalOf(rollout: string, wall = 1): Rehearsal {
    const found = {
      readings: { a: reading },
      tried: { a: tried },
      lever: undefined,
      leverHolds: [],
      view: undefined,
      metricsFault: undefined,
      observed: false,
      tookMs: 2,
    };
    return judgeRehearsal({ ...plan, rollout }, "h", found, undefined, { steady: 1, wall });
  }

  it("keeps the newest of each rollout, all that come at once", async () => {
    const shelf = createRehearsalShelf(join(dir, "state"));
    const names = Array.from({ length: 10 }, (_, index) => `r${index}`);
    await Promise.all(names.map((name) => shelf.save(rehearsalOf(name))));
    await shelf.save(rehearsalOf("r3", 7));
    const kept = await readRehearsals(join(dir, "state"));
    expect([...kept.keys()].toSorted()).toEqual(names);
    expect(kept.get("r3")?.wall).toBe(7);
  });

  it.each<[string, string | undefined]>([
    ["missing", undefined],
    ["half written", '{"rehearsals": {"r1": {'],
    ["of another shape", "[]"],
    ["of rehearsals that are none", '{"rehearsals": {"r1": {"rollout": "r1"}, "r2": 7}}'],
  ])("that is %s holds none, and is begun anew", async (_what, text) => {
    const path = join(dir, "state", "rehearsals.json");
    if (text !== undefined) writeFileSync(path, text);
    expect(await readRehearsals(join(dir, "state"))).toEqual(new Map());
    await createRehearsalShelf(join(dir, "state")).save(rehearsalOf("r5"));
    expect([...(await readRehearsals(join(dir, "state"))).keys()]).toEqual(["r5"]);
  });
});
