/** Who changed a flag of LaunchDarkly, as its audit log says: Belay knows its own writes again, and believes no copied comment. */
import { describe, expect, it } from "vitest";
import { OFF, ON } from "../../src/core/setting.ts";
import { ANA, BEN } from "../fakes/launchdarkly/server.ts";
import { until } from "../support/eventually.ts";
import { flagDef, outcomes, put } from "../support/flags-contract-under-test.ts";
import { closeGrounds, type Ground, startGround } from "../support/launchdarkly.ts";

closeGrounds();

const CHECKOUT = flagDef("checkout", "new-checkout");
const TURN_ON = [{ kind: "turnFlagOn" }];

async function ground(): Promise<Ground> {
  const made = await startGround();
  made.fake.createFlag(CHECKOUT.key);
  // No two entries share an instant, so the log may run ahead of the clock by a little.
  await until("the flag is of the past", () => Date.now() > (made.fake.audit()[0]?.at ?? 0));
  return made;
}

const reading = async ({ flags }: Pick<Ground, "flags">) => (await flags.read([CHECKOUT]))["checkout"];

/** A patch by some token, as a script of somebody would send it. */
async function script({ fake }: Ground, token: string, comment: string): Promise<void> {
  const reply = await fetch(`${fake.url}/api/v2/flags/shop/${CHECKOUT.key}`, {
    method: "PATCH",
    headers: {
      authorization: token,
      "ld-api-version": "20240415",
      "content-type": "application/json; domain-model=launchdarkly.semanticpatch",
    },
    body: JSON.stringify({ environmentKey: "production", comment, instructions: TURN_ON }),
  });
  expect(reply.status).toBe(200);
}

describe("a reading", () => {
  it("names the person", async () => {
    const made = await ground();
    made.fake.act(ANA, CHECKOUT.key, TURN_ON, "because I can");
    const seen = await reading(made);
    expect(seen).toMatchObject({ setting: ON, by: { name: "Ana Lima", own: false } });
    expect(seen).not.toHaveProperty("intent");
  });

  it("names the token of somebody else, and does not take its copied comment for an intent", async () => {
    const made = await ground();
    await made.flags.write([put(CHECKOUT, ON)]);
    const copied = made.fake.audit()[0]?.comment ?? "";
    expect(copied).toContain("[belay:");
    await made.flags.write([put(CHECKOUT, OFF)]);
    await script(made, made.fake.addToken("deploy-bot", { role: "writer" }, BEN), copied);
    const seen = await reading(made);
    expect(seen).toMatchObject({
      setting: ON,
      by: { name: "Ben Okoro by the token deploy-bot", own: false },
    });
    expect(seen).not.toHaveProperty("intent");
  });

  it("knows its own write again whose answer was lost, and that of an earlier Belay", async () => {
    const made = await ground();
    made.fake.inject({ on: "/api/v2/flags", method: "PATCH", kind: "applied_reply_lost" });
    const write = put(CHECKOUT, ON, (await reading(made))?.version);
    expect((await outcomes(made.flags, [write]))["checkout"]).toMatchObject({ recoverable: true });
    for (const flags of [made.flags, made.open()])
      expect(await reading({ flags })).toMatchObject({
        setting: ON,
        intent: write.intent,
        by: { own: true },
      });
  });

  it("asks the log once for each version, and not at all for what it has just written", async () => {
    const made = await ground();
    const asked = () => made.fake.requests("/api/v2/auditlog").length;
    await reading(made);
    await reading(made);
    expect(asked()).toBe(1);
    made.fake.inject({ on: "/api/v2/auditlog", kind: "hang" });
    await made.flags.write([put(CHECKOUT, ON)]);
    const began = performance.now();
    expect(await reading(made)).toMatchObject({ by: { own: true } });
    expect(performance.now() - began).toBeLessThan(1_000);
  });

  it("comes without a name when the log is silent, and asks again with the next", async () => {
    const made = await ground();
    made.fake.act(ANA, CHECKOUT.key, TURN_ON);
    made.fake.inject({ on: "/api/v2/auditlog", kind: "status", status: 500 });
    const nameless = await reading(made);
    expect(nameless).toMatchObject({ setting: ON });
    expect(nameless).not.toHaveProperty("by");
    expect(made.lines.join("\n")).toContain("who changed new-checkout could not be asked");
    expect(await reading(made)).toMatchObject({ by: { name: "Ana Lima" } });
  });

  it("knows its own token by how it ends, where LaunchDarkly does not say whose it is", async () => {
    const made = await ground();
    made.fake.inject({ on: "/api/v2/caller-identity", times: 50, kind: "status", status: 403 });
    const write = put(CHECKOUT, ON);
    await made.flags.write([write]);
    const later = made.open();
    expect(await reading({ flags: later })).toMatchObject({ intent: write.intent, by: { own: true } });
    await script(made, made.fake.addToken("other", { role: "writer" }), "x");
  });

  it("says nothing of a no-op: who turned it off keeps the name", async () => {
    const made = await ground();
    await made.flags.write([put(CHECKOUT, ON)]);
    made.fake.act(ANA, CHECKOUT.key, [{ kind: "turnFlagOff" }]);
    await reading(made);
    await made.flags.write([put(CHECKOUT, OFF)]);
    expect(await reading(made)).toMatchObject({ setting: OFF, by: { name: "Ana Lima", own: false } });
  });

  it("is put right by the log when a person was faster than an OFF that changed nothing", async () => {
    const made = await ground();
    await made.flags.write([put(CHECKOUT, ON)]);
    await reading(made);
    // Belay last saw it on; its OFF meets a flag that a person has turned off already.
    made.fake.act(ANA, CHECKOUT.key, [{ kind: "turnFlagOff" }]);
    await made.flags.write([put(CHECKOUT, OFF)]);
    await until("the log has put it right", async () => (await reading(made))?.by?.name === "Ana Lima");
  });
});

describe("the history", () => {
  it("tells all changes of more than one page, with who and why, oldest first", async () => {
    const made = await ground();
    const since = Date.now();
    for (let i = 0; i < 45; i++)
      made.fake.act(ANA, CHECKOUT.key, [{ kind: i % 2 === 0 ? "turnFlagOn" : "turnFlagOff" }], `no. ${i}`);
    made.fake.act(ANA, CHECKOUT.key, [{ kind: "turnFlagOff" }], undefined, "staging");
    await made.flags.write([put(CHECKOUT, OFF)]);
    made.fake.archive(CHECKOUT.key);
    const changes = await made.flags.history([CHECKOUT], since);
    expect(changes).toHaveLength(47);
    expect(changes[0]).toMatchObject({
      flag: "checkout",
      by: "Ana Lima",
      own: false,
      what: 'turned on in production: "no. 0"',
    });
    expect(changes.at(-2)).toMatchObject({ own: true, what: "turned off in production" });
    expect(changes.at(-1)).toMatchObject({ what: "archived", own: false });
  });
});
