/** What LaunchDarkly refuses, in the words that Belay makes of it; what its token may do besides; and rehearsals that find all of it before. */
import { describe, expect, it } from "vitest";
import { OFF, ON } from "../../src/core/setting.ts";
import { providerOf } from "../../src/providers.ts";
import type { Rights } from "../fakes/launchdarkly/model.ts";
import { ANA, PRODUCTION } from "../fakes/launchdarkly/server.ts";
import { faultOf, logInto } from "../support/faults.ts";
import { flagDef, put } from "../support/flags-contract-under-test.ts";
import { closeGrounds, startGround } from "../support/launchdarkly.ts";

closeGrounds();

const CHECKOUT = flagDef("checkout", "new-checkout");
const PATCHES = { on: "/api/v2/flags", method: "PATCH" } as const;

async function ground(options: Parameters<typeof startGround>[0] = {}) {
  const made = await startGround(options);
  made.fake.createFlag(CHECKOUT.key);
  return made;
}

describe("a refusal", () => {
  it("of an approval says what to approve and where", async () => {
    const { fake, flags } = await ground();
    fake.protect(PRODUCTION);
    const fault = await faultOf(flags.write([put(CHECKOUT, OFF)]));
    expect(fault.recoverable).toBe(false);
    expect(fault.message).toBe(
      `LaunchDarkly wants an approval for changing new-checkout in production (405: Flag configuration updates require approval: action 'updateOn' not allowed); nothing was changed: request the change there and have it approved and applied (${fake.url}/projects/shop/flags/new-checkout/targeting?env=production&selected-env=production), or give Belay's token the action bypassRequiredApproval`,
    );
  });

  it("of a right names the rights", async () => {
    const { flags } = await ground({ rights: { role: "reader" } });
    const fault = await faultOf(flags.write([put(CHECKOUT, OFF)]));
    expect(fault.recoverable).toBe(false);
    expect(fault.message).toBe(
      "LaunchDarkly forbids changing new-checkout to Belay's token (403); nothing was changed: its role needs updateOn, updateFallthrough and updateOffVariation on proj/shop:env/production:flag/new-checkout",
    );
  });

  it("of the token names its setting", async () => {
    const { fake, flags, open } = await ground();
    fake.revoke(fake.token);
    for (const fault of [
      await faultOf(flags.read([CHECKOUT])),
      await faultOf(flags.write([put(CHECKOUT, OFF)])),
    ]) {
      expect(fault.recoverable).toBe(false);
      expect(fault.message).toContain("BELAY_LAUNCHDARKLY_TOKEN");
    }
    const none = await faultOf(open({ token: () => undefined }).read([CHECKOUT]));
    expect(none).toMatchObject({
      recoverable: false,
      message: expect.stringContaining("BELAY_LAUNCHDARKLY_TOKEN_PRODUCTION"),
    });
  });

  it("of a conflict may pass", async () => {
    const { fake, flags } = await ground();
    fake.inject({ ...PATCHES, kind: "status", status: 409 });
    const fault = await faultOf(flags.write([put(CHECKOUT, OFF)]));
    expect(fault).toMatchObject({ recoverable: true, message: expect.stringContaining("409") });
    expect(await flags.write([put(CHECKOUT, OFF)])).toEqual({ checkout: "written" });
  });

  it.each<[string, Record<string, string>, number, number]>([
    ["seconds", { "retry-after": "3" }, 3_000, 3_000],
    ["a date", { "retry-after": new Date(Date.now() + 20_000).toUTCString() }, 10_000, 20_000],
    ["the end of the window", { "x-ratelimit-reset": String(Date.now() + 8_000) }, 4_000, 9_500],
    ["a window that is over", { "x-ratelimit-reset": "1000" }, 250, 250],
    ["a year", { "retry-after": "31536000" }, 60_000, 60_000],
    ["nothing", {}, 250, 250],
  ])("of the rate says how long to wait, by %s", async (_, headers, least, most) => {
    const { fake, flags } = await ground();
    fake.inject({ ...PATCHES, kind: "status", status: 429, headers });
    const fault = await faultOf(flags.write([put(CHECKOUT, OFF)]));
    expect(fault.recoverable).toBe(true);
    expect(fault.retryAfterMs).toBeGreaterThanOrEqual(least);
    expect(fault.retryAfterMs).toBeLessThanOrEqual(most);
  });

  it("of the rate by the stand-in's own limit is over when it says so", async () => {
    const { fake, flags } = await ground({ limit: { requests: 1, windowMs: 1_000 } });
    await flags.write([put(CHECKOUT, OFF)]);
    const fault = await faultOf(flags.write([put(CHECKOUT, OFF)]));
    expect(fault.retryAfterMs).toBeGreaterThan(0);
    expect(fake.config(CHECKOUT.key).on).toBe(false);
  });

  it("of a project or an environment says which there are", async () => {
    const { open } = await ground();
    const project = await faultOf(open({ project: "other" }).read([CHECKOUT]));
    expect(project).toMatchObject({
      recoverable: false,
      message: expect.stringContaining("no project other"),
    });
    for (const flag of [CHECKOUT, flagDef("ghost", "ghost")]) {
      const environment = await faultOf(open({ environment: "prod" }).read([flag]));
      expect(environment.recoverable).toBe(false);
      expect(environment.message).toContain("has no environment prod");
    }
  });

  it("of a flag that is gone says that OFF cannot be written, and a missing one among others is only absent", async () => {
    const { fake, flags } = await ground();
    await flags.read([CHECKOUT]);
    fake.remove(CHECKOUT.key);
    const fault = await faultOf(flags.write([put(CHECKOUT, OFF)]));
    expect(fault).toMatchObject({ recoverable: false, message: expect.stringContaining("new-checkout") });
    fake.createFlag("other");
    expect(Object.keys(await flags.read([CHECKOUT, flagDef("other", "other")]))).toEqual(["other"]);
  });

  it("of an archived flag says how to restore it, once in the log", async () => {
    const { fake, flags, lines } = await ground();
    await flags.read([CHECKOUT]);
    fake.archive(CHECKOUT.key);
    expect(await flags.read([CHECKOUT])).toEqual({});
    await flags.read([CHECKOUT]);
    expect(lines.filter((line) => line.includes("archived"))).toHaveLength(1);
    const fault = await faultOf(flags.write([put(CHECKOUT, OFF)]));
    expect(fault.message).toContain(`restore it (${fake.url}/projects/shop/flags/new-checkout/targeting`);
  });

  it("of a closed connection is final", async () => {
    const { flags } = await ground();
    flags.close();
    expect((await faultOf(flags.read([CHECKOUT]))).recoverable).toBe(false);
    expect((await faultOf(flags.write([put(CHECKOUT, ON)]))).recoverable).toBe(false);
    expect((await flags.rehearse(CHECKOUT)).problems).toHaveLength(1);
  });
});

describe("the reach of the token", () => {
  const allow = (actions: readonly string[], ...resources: readonly string[]) =>
    ({ effect: "allow", actions, resources }) as const;
  const flips = ["updateOn", "updateFallthrough", "updateOffVariation"];
  it.each<[string, Rights, readonly RegExp[]]>([
    [
      "a role of its own for one environment",
      { inlineRole: [allow(flips, "proj/shop:env/production:flag/*")] },
      [],
    ],
    ["a reader", { role: "reader" }, []],
    ["a writer", { role: "writer" }, [/role writer.*delete flags/, /all environments/]],
    ["an administrator", { role: "admin" }, [/role admin.*delete flags/, /all environments/]],
    ["custom roles", { customRoleIds: ["flippers"] }, [/roles that Belay does not read \(flippers\)/]],
    [
      "everything in the project",
      { inlineRole: [allow(["*"], "proj/shop:env/*:flag/*")] },
      [/can delete flags of shop/, /flags in staging, not only in production/],
    ],
    [
      "everything but deleting, everywhere",
      {
        inlineRole: [
          allow(["*"], "proj/*:env/*:flag/*"),
          { effect: "deny", actions: ["deleteFlag"], resources: ["proj/*:env/*:flag/*"] },
        ],
      },
      [/flags in staging/, /other projects, not only of shop/],
    ],
    [
      "all but what is named",
      {
        inlineRole: [
          { effect: "allow", notActions: ["deleteFlag"], notResources: ["proj/*:env/staging:flag/*"] },
        ],
      },
      [/other projects/],
    ],
  ])("with %s", async (_, rights, expected) => {
    const { fake, flags } = await ground({ rights });
    const sentences = await flags.reach();
    expect(sentences).toHaveLength(expected.length);
    for (const [index, pattern] of expected.entries()) expect(sentences[index]).toMatch(pattern);
    for (const sentence of sentences) {
      expect(sentence).toMatch(/^[A-Z].*\.$/);
      expect(sentence).not.toContain(fake.token);
    }
  });

  it("that nobody tells is said so, and a LaunchDarkly that is away rejects", async () => {
    const { fake, flags } = await ground();
    fake.inject({ on: "/api/v2/tokens", kind: "status", status: 403 });
    expect(await flags.reach()).toEqual([
      expect.stringContaining("does not tell Belay's token what it may do"),
    ]);
    fake.inject({ on: "/api/v2/tokens", kind: "status", status: 503 });
    expect((await faultOf(flags.reach())).recoverable).toBe(true);
  });
});

describe("a rehearsal", () => {
  it("writes what is so already to a flag that is off, and only asks about one that is on", async () => {
    const { fake, flags } = await ground();
    await flags.rehearse(CHECKOUT);
    fake.act(ANA, CHECKOUT.key, [{ kind: "turnFlagOn" }]);
    const version = fake.config(CHECKOUT.key).version;
    const { problems, warnings, writeMs } = await flags.rehearse(CHECKOUT);
    expect({ problems, warnings }).toEqual({ problems: [], warnings: [] });
    expect(writeMs).toBeGreaterThan(0);
    expect(fake.config(CHECKOUT.key)).toMatchObject({ on: true, version });
    const sent = fake.requests("/api/v2/flags").filter(({ method }) => method === "PATCH");
    expect(
      sent.map(({ query, body }) => [query.get("dryRun"), JSON.stringify(body).includes("turnFlagOn")]),
    ).toEqual([
      [null, false],
      ["true", true],
    ]);
  });

  it("tells of all that would be in the way, and of what is odd", async () => {
    const { fake, flags } = await ground();
    fake.edit(ANA, CHECKOUT.key, (config) => ({
      ...config,
      offVariation: 0,
      rules: [{ id: "r", attribute: "country", values: ["DE"], variation: 0 }],
      targets: [
        { values: ["a"], variation: 0 },
        { values: ["b"], variation: 1 },
      ],
      prerequisites: [{ key: "base", variation: 0 }],
    }));
    const odd = await flags.rehearse(CHECKOUT);
    expect(odd.problems).toEqual([]);
    expect(odd.warnings.join("\n")).toMatch(
      /does not serve false when it is off.*\n.*1 rule and 2 targets.*\n.*only where base is/,
    );
    fake.protect(PRODUCTION);
    expect((await flags.rehearse(CHECKOUT)).problems.join()).toMatch(/wants an approval/);
    const wrong = await flags.rehearse(flagDef("checkout", CHECKOUT.key, { on: "yes", off: "no" }));
    expect(wrong.problems.join("\n")).toMatch(/new-checkout cannot be turned off.*none of them is no/);
    fake.archive(CHECKOUT.key);
    expect((await flags.rehearse(CHECKOUT)).problems.join()).toMatch(/archived/);
  });

  it("warns where a percentage would split users anew", async () => {
    const { fake, open } = await ground();
    const [on, off] = (fake.flag(CHECKOUT.key)?.variations ?? []).map(({ id }) => id);
    const rolloutWeights = { [on ?? ""]: 5_000, [off ?? ""]: 95_000 };
    fake.act(ANA, CHECKOUT.key, [
      { kind: "updateFallthroughVariationOrRollout", rolloutWeights, rolloutContextKind: "organization" },
    ]);
    expect((await open().rehearse(CHECKOUT)).warnings).toEqual([]);
    const { warnings } = await open({ bucketing: { contextKind: "user" } }).rehearse(CHECKOUT);
    expect(warnings.join()).toMatch(/splits users by key of organization now.*by key of user/);
  });
});

describe("the provider", () => {
  const context = (secrets: ReadonlyMap<string, string>) => ({
    environment: "production",
    stateDir: "/nowhere",
    log: logInto([]),
    secret: (name: string) => secrets.get(name),
    target: () => {
      throw new Error("nothing is restarted");
    },
    scope: { closers: [] as (() => void)[] },
  });

  it("takes an entry as files have it, shares one client, and is closed with its Belay", async () => {
    const { fake } = await ground();
    const entry = { kind: "launchdarkly", project: "shop", url: `${fake.url}/` };
    const kind = providerOf(entry);
    expect(kind.check(entry)).toMatchObject({
      kind: "sound",
      facts: { percent: true, sdk: true, restarts: false },
    });
    const inside = context(new Map([["BELAY_LAUNCHDARKLY_TOKEN", fake.token]]));
    const flags = kind.open(entry, inside);
    expect(kind.open(entry, inside)).toBe(flags);
    expect(await flags.read([CHECKOUT])).toMatchObject({ checkout: { setting: OFF } });
    for (const close of inside.scope.closers) close();
    expect((await faultOf(flags.read([CHECKOUT]))).recoverable).toBe(false);
  });

  it("opens without its token, and says so when it is used", async () => {
    const entry = { kind: "launchdarkly", project: "shop" };
    const inside = context(new Map());
    const flags = providerOf(entry).open(entry, inside);
    expect((await faultOf(flags.read([CHECKOUT]))).message).toContain("set BELAY_LAUNCHDARKLY_TOKEN");
    for (const close of inside.scope.closers) close();
  });

  it.each([
    [{ kind: "launchdarkly" }, "project"],
    [{ kind: "launchdarkly", project: "shop", url: "ftp://x" }, "url"],
    [{ kind: "launchdarkly", project: "shop", token: "api-x" }, ""],
  ])("refuses %j", (entry, where) => {
    const checked = providerOf(entry).check(entry);
    expect(checked.kind).toBe("mistaken");
    if (checked.kind === "mistaken") expect(checked.mistakes[0]?.path.join(".")).toContain(where);
  });
});
