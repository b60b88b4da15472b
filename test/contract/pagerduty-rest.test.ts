/** PagerDuty's REST API as Belay uses it, against the strict stand-in over TLS. */

import { createServer as createTlsServer } from "node:https";
import { afterEach, describe, expect, it } from "vitest";
import { createPagerDuty } from "../../src/adapters/pagerduty/events.ts";
import { createPagerRest, type PagerRestOptions } from "../../src/adapters/pagerduty/rest.ts";
import type { PagerEvent } from "../../src/core/oncall/page.ts";
import type { Pager, PagerRest } from "../../src/engine/watch-ports.ts";
import { CERTIFICATE, PRIVATE_KEY } from "../fakes/pagerduty/certificate.ts";
import type { FaultKind } from "../fakes/pagerduty/faults.ts";
import {
  ANA,
  BEN,
  type FakePagerDuty,
  type FakePagerDutyOptions,
  startFakePagerDuty,
} from "../fakes/pagerduty/server.ts";
import { faultOf, logInto, shapesOf } from "../support/faults.ts";

/** The deadline where a test waits for it to pass; elsewhere it is the real one, so that a slow machine changes nothing. */
const SHORT_MS = 800;
const IS_ENDLESS: ReadonlySet<FaultKind["kind"]> = new Set(["hang", "drip"]);
const KEY = "run:r-1:blind";
const TRIGGER: PagerEvent = {
  kind: "trigger",
  dedupKey: KEY,
  severity: "critical",
  summary: "parallel was taken back",
  source: "ingestion/production",
  details: {},
  links: [],
  wall: Date.UTC(2026, 0, 15),
};

const open: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

interface Ground {
  readonly fake: FakePagerDuty;
  readonly pager: Pager;
  readonly rest: PagerRest;
  readonly logged: string[];
}

async function start(
  fakeOptions: FakePagerDutyOptions = {},
  more: Partial<PagerRestOptions> = {},
): Promise<Ground> {
  const fake = await startFakePagerDuty(fakeOptions);
  const logged: string[] = [];
  const pager = createPagerDuty({
    routingKey: fake.routingKey,
    server: fake.server,
    agent: fake.agent,
    log: logInto(logged),
    rest: {
      token: fake.token,
      fromEmail: fake.fromEmail,
      url: fake.url,
      ca: fake.ca,
      ...more,
    },
  });
  open.push(async () => {
    pager.close();
    await fake.close();
  });
  if (pager.rest === undefined) throw new Error("there is a token, but no REST");
  return { fake, pager, rest: pager.rest, logged };
}

describe("without a token", () => {
  it("there is no REST", async () => {
    const fake = await startFakePagerDuty();
    const pager = createPagerDuty({ routingKey: fake.routingKey, server: fake.server, log: logInto([]) });
    expect("rest" in pager).toBe(false);
    pager.close();
    await fake.close();
  });
});

describe.each([false, true])("an incident by its key (alerts of its own: %s)", (withAlerts) => {
  it("is undefined before there is one", async () => {
    const { fake, rest } = await start({ withAlerts });
    expect(await rest.incidentByKey(KEY)).toBeUndefined();
    expect(fake.violations()).toEqual([]);
  });

  it("says who has it, how often it moved, and how far it can", async () => {
    const { fake, pager, rest } = await start({ withAlerts });
    await pager.send(TRIGGER);
    await pager.send({ ...TRIGGER, dedupKey: "another" });
    const first = await rest.incidentByKey(KEY);
    expect(first).toEqual({
      id: fake.incidents(KEY)[0]?.id,
      url: expect.stringMatching(/^https:\/\/.*pagerduty\.com\/incidents\/Q/),
      status: "triggered",
      assigned: [ANA.name],
      escalations: 0,
      levels: 2,
    });
    fake.escalate(KEY);
    fake.acknowledge(KEY, BEN);
    expect(await rest.incidentByKey(KEY)).toMatchObject({
      status: "acknowledged",
      assigned: [BEN.name],
      escalations: 1,
    });
    expect(fake.violations()).toEqual([]);
  });

  it("is the newest of its key", async () => {
    const { fake, pager, rest } = await start({ withAlerts });
    await pager.send(TRIGGER);
    await pager.send({ kind: "resolve", dedupKey: KEY });
    expect(await rest.incidentByKey(KEY)).toMatchObject({ status: "resolved", assigned: [] });
    await pager.send(TRIGGER);
    expect(await rest.incidentByKey(KEY)).toMatchObject({
      id: fake.incidents(KEY)[1]?.id,
      status: "triggered",
    });
  });

  it("is found under a key that is longer than PagerDuty takes, and odd", async () => {
    const { fake, pager, rest } = await start({ withAlerts });
    const key = `&limit=1#${"ü".repeat(400)}`;
    await pager.send({ ...TRIGGER, dedupKey: key });
    expect(await rest.incidentByKey(key)).toMatchObject({ status: "triggered" });
    expect(fake.violations()).toEqual([]);
  });
});

describe("escalating", () => {
  it("moves the incident to the level, in Belay's name", async () => {
    const { fake, pager, rest } = await start();
    await pager.send(TRIGGER);
    await rest.escalate(fake.incidents()[0]?.id ?? "", 2);
    expect(fake.incidents()).toMatchObject([{ level: 2, assigned: [BEN] }]);
    const [asked] = fake.requests().filter(({ method }) => method === "PUT");
    expect(asked?.headers["from"]).toBe(fake.fromEmail);
    expect(asked?.body).toEqual({ incident: { type: "incident_reference", escalation_level: 2 } });
    expect(await rest.incidentByKey(KEY)).toMatchObject({ escalations: 1, assigned: [BEN.name] });
    expect(fake.violations()).toEqual([]);
  });

  it("past the end, of a resolved one, and of one that is not there is refused in PagerDuty's words", async () => {
    const { fake, pager, rest } = await start();
    await pager.send(TRIGGER);
    const id = fake.incidents()[0]?.id ?? "";
    const says = async (call: Promise<void>): Promise<unknown> => {
      const { recoverable, message } = await faultOf(call);
      return { recoverable, message };
    };
    expect(await says(rest.escalate(id, 3))).toEqual({
      recoverable: false,
      message: `PagerDuty answered PUT /incidents/${id} with HTTP 400: Cannot Escalate; there is no level 3`,
    });
    fake.resolve(KEY, ANA);
    expect(await says(rest.escalate(id, 2))).toMatchObject({
      message: expect.stringContaining("Already Resolved"),
    });
    expect(await says(rest.escalate("../oncalls", 2))).toMatchObject({
      recoverable: false,
      message: expect.stringContaining("HTTP 404: Not Found"),
    });
    expect(fake.requests().at(-1)?.path).toBe("/incidents/..%2Foncalls");
  });
});

describe("who is on call", () => {
  it("comes with names, addresses, levels and ends, the first level first", async () => {
    const until = Date.UTC(2026, 0, 16, 9);
    const { fake, rest } = await start({
      onCalls: [
        { person: BEN, level: 2 },
        { person: ANA, level: 1, until },
        { person: ANA, level: 1, until },
      ],
    });
    expect(await rest.onCalls()).toEqual([
      { name: ANA.name, email: ANA.email, level: 1, until },
      { name: BEN.name, email: BEN.email, level: 2 },
    ]);
    expect(fake.violations()).toEqual([]);
  });

  it("is read page by page, to the end", async () => {
    const { fake, rest, logged } = await start({ onCalls: people(250) });
    expect(await rest.onCalls()).toHaveLength(250);
    expect(fake.requests("/oncalls").map(({ query }) => query.get("offset"))).toEqual(["0", "100", "200"]);
    expect(logged).toEqual([]);
  });

  it("ends after ten pages, and says so", async () => {
    const { fake, rest, logged } = await start({ onCalls: people(1_200) });
    expect(await rest.onCalls()).toHaveLength(1_000);
    expect(fake.requests("/oncalls")).toHaveLength(10);
    expect(logged).toEqual([expect.stringContaining("more people are on call")]);
  });

  it("may be of some escalation policies only", async () => {
    const { fake, rest } = await start({}, { policies: ["POTHER", "PANOTHER"] });
    expect(await rest.onCalls()).toEqual([]);
    expect(fake.requests("/oncalls")[0]?.query.getAll("escalation_policy_ids[]")).toEqual([
      "POTHER",
      "PANOTHER",
    ]);
  });

  function people(count: number): NonNullable<FakePagerDutyOptions["onCalls"]> {
    return Array.from({ length: count }, (_, n) => ({
      person: { name: `Person ${n}`, email: `p${n}@example.com` },
      level: 1,
    }));
  }
});

const FAULTS: readonly (readonly [string, FaultKind, object])[] = [
  ["400", { kind: "status", status: 400 }, { recoverable: false }],
  ["401", { kind: "status", status: 401 }, { recoverable: false }],
  ["429", { kind: "status", status: 429, retryAfterS: 20 }, { recoverable: true, retryAfterMs: 20_000 }],
  ["500", { kind: "status", status: 500 }, { recoverable: true }],
  ["a gateway's page", { kind: "html", status: 502 }, { recoverable: true }],
  ["a page with 200", { kind: "html", status: 200 }, { recoverable: true }],
  ["a redirect", { kind: "redirect", to: "https://127.0.0.1:1/" }, { recoverable: true }],
  ["other JSON", { kind: "status", status: 200, body: [] }, { recoverable: true }],
  [
    "JSON of other types",
    { kind: "status", status: 200, body: { incidents: [{ id: 7 }], oncalls: 1 } },
    { recoverable: true },
  ],
  ["no answer", { kind: "hang" }, { recoverable: true }],
  ["a cut connection", { kind: "reset" }, { recoverable: true }],
  ["a dripping answer", { kind: "drip" }, { recoverable: true }],
  ["an answer without an end", { kind: "flood" }, { recoverable: false }],
  ["a lost reply", { kind: "applied_reply_lost" }, { recoverable: true }],
];

describe("a fault", () => {
  it.each(FAULTS)(
    "%s: a rejection, in time, without the token; the next try is answered",
    async (_, fault, expected) => {
      const { fake, pager, rest, logged } = await start(
        {},
        IS_ENDLESS.has(fault.kind) ? { timeoutMs: SHORT_MS } : {},
      );
      await pager.send(TRIGGER);
      const asks: readonly (() => Promise<unknown>)[] = [() => rest.incidentByKey(KEY), () => rest.onCalls()];
      for (const ask of asks) {
        // A read that met a connection closed meanwhile is asked once more; the second one is struck too.
        fake.inject({ on: "*", times: 2, ...fault });
        const began = performance.now();
        const told = await faultOf(ask());
        expect(performance.now() - began).toBeLessThan(SHORT_MS + 2_000);
        expect(told).toMatchObject(expected);
        for (const text of [shapesOf(told), ...logged]) expect(text).not.toContain(fake.token);
        fake.clearFaults();
        await ask();
      }
      expect(fake.violations()).toEqual([]);
    },
  );

  it("while escalating leaves it unknown whether it moved; the log tells", async () => {
    const { fake, pager, rest } = await start();
    await pager.send(TRIGGER);
    const id = fake.incidents()[0]?.id ?? "";
    fake.inject({ on: "/incidents", kind: "applied_reply_lost" });
    expect((await faultOf(rest.escalate(id, 2))).recoverable).toBe(true);
    expect(await rest.incidentByKey(KEY)).toMatchObject({ escalations: 1, assigned: [BEN.name] });
  });

  it("in the log or the policy alone is a fault of the whole question", async () => {
    const { fake, pager, rest } = await start();
    await pager.send(TRIGGER);
    fake.inject({ on: "/escalation_policies", kind: "status", status: 500 });
    expect((await faultOf(rest.incidentByKey(KEY))).message).toMatch(/escalation_policies.*500/);
  });

  it("of a wrong token is told without it", async () => {
    const { fake, rest } = await start({}, { token: "wrong-canary-token" });
    const fault = await faultOf(rest.onCalls());
    expect(fault).toMatchObject({
      recoverable: false,
      message: "PagerDuty answered GET /oncalls with HTTP 401: Authentication failed",
    });
    expect(shapesOf(fault)).not.toContain("canary");
    expect(fake.forgive("rest_refused")).toHaveLength(1);
  });

  it("of a service that tells the token back is told without it", async () => {
    const { fake, rest } = await start();
    const body = { error: { message: `bad token ${fake.token}`, errors: [fake.token] } };
    fake.inject({ on: "/oncalls", kind: "status", status: 401, body });
    expect((await faultOf(rest.onCalls())).message).toContain("bad token [redacted]; [redacted]");
  });

  it("of a certificate that is not trusted is one, and nothing is asked", async () => {
    const { fake, rest } = await start({}, { ca: undefined });
    expect((await faultOf(rest.onCalls())).recoverable).toBe(true);
    expect(fake.requests()).toEqual([]);
  });
});

describe("a service that always has one more page", () => {
  it("is asked ten times", async () => {
    let asked = 0;
    const server = createTlsServer({ key: PRIVATE_KEY, cert: CERTIFICATE }, (_, response) => {
      asked += 1;
      const oncalls = [{ user: { summary: `Person ${asked}` }, escalation_level: 1, end: null }];
      response.end(JSON.stringify({ oncalls, more: true }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    open.push(async () => {
      server.close();
      server.closeAllConnections();
    });
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const rest = createPagerRest({
      token: "t",
      fromEmail: "a@example.com",
      url: `https://127.0.0.1:${port}/`,
      ca: CERTIFICATE,
      log: logInto([]),
    });
    expect(await rest.onCalls()).toHaveLength(10);
    expect(asked).toBe(10);
    rest.close();
  });
});
