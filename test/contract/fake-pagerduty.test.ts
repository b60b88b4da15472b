/** The stand-in PagerDuty is as strict as the real one is documented to be; each rule is broken once, as a careless client would. */
import { createServer } from "node:http";
import { request } from "node:https";
import { afterEach, describe, expect, it } from "vitest";
import type { PagerClock } from "../fakes/pagerduty/incidents.ts";
import {
  ANA,
  BEN,
  type FakePagerDuty,
  type FakePagerDutyOptions,
  startFakePagerDuty,
} from "../fakes/pagerduty/server.ts";

const open: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

async function start(options: FakePagerDutyOptions = {}): Promise<FakePagerDuty> {
  const fake = await startFakePagerDuty(options);
  open.push(() => fake.close());
  return fake;
}

interface Reply {
  readonly status: number;
  readonly body: unknown;
}

/** One request by a client that trusts the fake. */
function ask(
  fake: FakePagerDuty,
  method: string,
  path: string,
  { headers = {}, body }: { headers?: Record<string, string>; body?: unknown } = {},
): Promise<Reply> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const asked = request(`${fake.url}${path}`, { method, headers, agent: fake.agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const said = Buffer.concat(chunks).toString("utf8");
        resolve({ status: response.statusCode ?? 0, body: said === "" ? undefined : JSON.parse(said) });
      });
    });
    asked.on("error", reject);
    asked.end(text);
  });
}

function trigger(fake: FakePagerDuty, change: object = {}, payload: object = {}): unknown {
  return {
    routing_key: fake.routingKey,
    event_action: "trigger",
    dedup_key: "a",
    payload: { summary: "it burns", source: "bots/production", severity: "critical", ...payload },
    ...change,
  };
}

const post = (fake: FakePagerDuty, body: unknown, path = "/v2/enqueue"): Promise<Reply> =>
  ask(fake, "POST", path, { headers: { "content-type": "application/json" }, body });

const settle = (fake: FakePagerDuty, action: string, key = "a"): Promise<Reply> =>
  post(fake, { routing_key: fake.routingKey, event_action: action, dedup_key: key });

const rest = (
  fake: FakePagerDuty,
  method: string,
  path: string,
  headers: object = {},
  body?: unknown,
): Promise<Reply> =>
  ask(fake, method, path, {
    headers: {
      authorization: `Token token=${fake.token}`,
      accept: "application/vnd.pagerduty+json;version=2",
      "content-type": "application/json",
      ...headers,
    },
    body,
  });

describe("an event", () => {
  it("is taken with 202 and its key", async () => {
    const fake = await start();
    expect(await post(fake, trigger(fake))).toEqual({
      status: 202,
      body: { status: "success", message: "Event processed", dedup_key: "a" },
    });
    expect(fake.violations()).toEqual([]);
    expect(fake.incidents("a")).toMatchObject([{ title: "it burns", status: "triggered", assigned: [ANA] }]);
  });

  it.each<[string, object, object, RegExp]>([
    ["no routing key", { routing_key: undefined }, {}, /routing_key/],
    ["a short routing key", { routing_key: "short" }, {}, /should be 32 characters/],
    ["an unknown routing key", { routing_key: "0".repeat(32) }, {}, /Invalid routing key/],
    ["no action", { event_action: undefined }, {}, /event_action/],
    ["an unknown action", { event_action: "close" }, {}, /event_action/],
    ["a long dedup_key", { dedup_key: "k".repeat(256) }, {}, /dedup_key/],
    ["an empty dedup_key", { dedup_key: "" }, {}, /dedup_key/],
    ["a dedup_key that is a number", { dedup_key: 7 }, {}, /dedup_key/],
    ["no payload", { payload: undefined }, {}, /payload/],
    ["no summary", {}, { summary: undefined }, /payload.summary/],
    ["a blank summary", {}, { summary: " " }, /payload.summary/],
    ["a long summary", {}, { summary: "s".repeat(1_025) }, /payload.summary/],
    ["no source", {}, { source: "" }, /payload.source/],
    ["an unknown severity", {}, { severity: "P0" }, /payload.severity/],
    ["a timestamp that is none", {}, { timestamp: "yesterday" }, /payload.timestamp/],
    ["details that are a list", {}, { custom_details: ["a"] }, /custom_details/],
    ["links that are no list", { links: "https://example.com" }, {}, /links/],
    ["a link that is none", { links: [{ href: "runbook.md" }] }, {}, /links.href/],
  ])("with %s is refused", async (_, change, payload, says) => {
    const fake = await start();
    const reply = await post(fake, trigger(fake, change, payload));
    expect(reply).toMatchObject({
      status: 400,
      body: { status: "invalid event", errors: [expect.stringMatching(says)] },
    });
    expect(fake.violations()).toMatchObject([{ rule: "event_invalid" }]);
    expect(fake.incidents()).toEqual([]);
  });

  it("may be exactly as long as allowed", async () => {
    const fake = await start();
    await post(fake, trigger(fake, { dedup_key: "k".repeat(255) }, { summary: "😀".repeat(1_024) }));
    expect(fake.violations()).toEqual([]);
  });

  it("that is no JSON, not posted, or of another type is refused", async () => {
    const fake = await start();
    expect((await post(fake, "{")).status).toBe(400);
    expect((await ask(fake, "GET", "/v2/enqueue")).status).toBe(405);
    expect((await ask(fake, "POST", "/v2/enqueue", { body: trigger(fake) })).status).toBe(415);
    const large = trigger(fake, {}, { custom_details: { log: "x".repeat(512 * 1_024) } });
    expect((await post(fake, large)).status).toBe(413);
    expect(fake.violations()).toHaveLength(4);
  });

  it.each<[string, object, object, string]>([
    ["an unknown field", { routingKey: 1 }, {}, "event_field"],
    ["an unknown payload field", {}, { details: {} }, "event_field"],
    ["half a character", {}, { summary: "a\ud83d" }, "event_text"],
    ["a control character", {}, { summary: "a\u0000b" }, "event_text"],
    ["no dedup_key", { dedup_key: undefined }, {}, "event_dedup"],
  ])("with %s is taken, but told", async (_, change, payload, rule) => {
    const fake = await start();
    expect((await post(fake, trigger(fake, change, payload))).status).toBe(202);
    expect(fake.forgive(rule)).toHaveLength(1);
    expect(fake.violations()).toEqual([]);
  });

  it("with a secret in it, or with the routing key in the wrong place, is told", async () => {
    const fake = await start();
    await post(fake, trigger(fake, {}, { summary: `token ${fake.token}` }));
    await post(fake, trigger(fake, {}, { summary: `key ${fake.routingKey}` }));
    expect(fake.violations().map(({ rule }) => rule)).toEqual(["secret", "secret"]);
  });
});

describe("an incident", () => {
  it("takes in further triggers, and after a resolve the next one makes a new incident", async () => {
    const fake = await start();
    await post(fake, trigger(fake));
    await post(fake, trigger(fake));
    expect(fake.incidents("a")).toMatchObject([{ triggers: 2 }]);
    await settle(fake, "resolve");
    await post(fake, trigger(fake));
    expect(fake.incidents("a").map(({ status }) => status)).toEqual(["resolved", "triggered"]);
    expect(new Set(fake.incidents().map(({ id }) => id)).size).toBe(2);
  });

  it("that nobody knows is not made by an acknowledgement or a resolve, which are taken all the same", async () => {
    const fake = await start();
    expect((await settle(fake, "acknowledge", "unknown")).status).toBe(202);
    expect((await settle(fake, "resolve", "unknown")).status).toBe(202);
    expect(fake.incidents()).toEqual([]);
  });

  it("belongs to its integration: events by another one do not reach it", async () => {
    const keys = ["1".repeat(32), "2".repeat(32)];
    const fake = await start({ routingKeys: keys });
    await post(fake, trigger(fake));
    await post(fake, { routing_key: keys[1], event_action: "resolve", dedup_key: "a" });
    expect(fake.incidents("a")).toMatchObject([{ status: "triggered" }]);
    await post(fake, trigger(fake, { routing_key: keys[1] }));
    expect(fake.incidents("a")).toHaveLength(2);
  });

  it("walks up the policy by its own clock until somebody acknowledges", async () => {
    const clock = manualClock();
    const fake = await start({ clock, policy: { levels: [[ANA], [BEN]], escalateAfterMs: 1_000 } });
    await post(fake, trigger(fake));
    await post(fake, trigger(fake, { dedup_key: "b" }));
    fake.acknowledge("b", ANA);
    clock.advance(999);
    expect(fake.incidents("a")[0]?.assigned).toEqual([ANA]);
    clock.advance(1);
    expect(fake.incidents("a")).toMatchObject([{ level: 2, assigned: [BEN] }]);
    clock.advance(5_000);
    expect(fake.incidents("a")[0]?.log.map(({ type }) => type)).toEqual([
      "assign_log_entry",
      "trigger_log_entry",
      "escalate_log_entry",
      "exhaust_escalation_path_log_entry",
    ]);
    expect(fake.incidents("b")).toMatchObject([{ level: 1, status: "acknowledged" }]);
  });

  it("is moved by hand, but not past the policy's end, nor when it is resolved", async () => {
    const fake = await start();
    await post(fake, trigger(fake));
    expect(fake.escalate("a")).toMatchObject({ level: 2, assigned: [BEN] });
    expect(() => fake.escalate("a")).toThrow(/no level 3/);
    fake.resolve("a", BEN);
    expect(() => fake.escalate("a", "service", 1)).toThrow(/resolved already/);
    expect(() => fake.acknowledge("unknown", ANA)).toThrow(/no incident/);
  });
});

describe("a change", () => {
  it("is kept, and refused without a summary", async () => {
    const fake = await start();
    const change = {
      routing_key: fake.routingKey,
      payload: { summary: "parallel is ON", source: "ingestion" },
    };
    expect((await post(fake, change, "/v2/change/enqueue")).status).toBe(202);
    expect(fake.changes()).toEqual([{ summary: "parallel is ON", source: "ingestion", details: {} }]);
    expect((await post(fake, { ...change, payload: {} }, "/v2/change/enqueue")).status).toBe(400);
    expect(fake.violations()).toMatchObject([{ rule: "change_invalid" }]);
  });
});

describe("the REST API", () => {
  it.each<[string, Record<string, string>, number]>([
    ["without a token", { authorization: "" }, 401],
    ["with a bearer token", { authorization: "Bearer x" }, 401],
    ["without a version", { accept: "application/json" }, 400],
  ])("refuses a request %s", async (_, headers, status) => {
    const fake = await start();
    expect((await rest(fake, "GET", "/incidents", headers)).status).toBe(status);
    expect(fake.violations()).toMatchObject([{ rule: "rest_refused" }]);
  });

  it("refuses to escalate without From, by a stranger, past the end, and after the end", async () => {
    const fake = await start();
    await post(fake, trigger(fake));
    const path = `/incidents/${fake.incidents()[0]?.id}`;
    const from = { from: fake.fromEmail };
    const to = (level: number): unknown => ({
      incident: { type: "incident_reference", escalation_level: level },
    });
    const code = async (headers: object, body: unknown): Promise<unknown> =>
      (await rest(fake, "PUT", path, headers, body)).body;
    expect(await code({}, to(2))).toMatchObject({ error: { code: 1008 } });
    expect(await code({ from: "eve@example.com" }, to(2))).toMatchObject({ error: { code: 1008 } });
    expect(await code(from, to(3))).toMatchObject({ error: { code: 1006 } });
    expect(await code(from, { incident: { escalation_level: 2 } })).toMatchObject({ error: { code: 2001 } });
    expect(await code(from, to(2))).toMatchObject({ incident: { status: "triggered" } });
    fake.resolve("a", BEN);
    expect(await code(from, to(1))).toMatchObject({ error: { code: 1001 } });
    expect(fake.incidents("a")).toMatchObject([{ level: 2 }]);
    expect(fake.forgive("rest_refused")).toHaveLength(5);
  });

  it("knows no other path, and tells of a query that it does not know", async () => {
    const fake = await start();
    expect((await rest(fake, "GET", "/incidents/NOBODY")).status).toBe(404);
    expect((await rest(fake, "GET", "/services")).status).toBe(404);
    expect((await rest(fake, "GET", "/escalation_policies/OTHER")).status).toBe(404);
    expect((await rest(fake, "POST", "/incidents", {}, {})).status).toBe(405);
    expect((await rest(fake, "GET", "/oncalls?limit=101")).status).toBe(400);
    await rest(fake, "GET", "/incidents?incidentKey=a");
    expect(fake.forgive("rest_query")).toHaveLength(1);
    expect(fake.forgive("rest_refused")).toHaveLength(5);
  });

  it("pages, and names people in full only when asked", async () => {
    const onCalls = Array.from({ length: 30 }, (_, n) => ({ person: ANA, level: n + 1 }));
    const fake = await start({ onCalls });
    const first = await rest(fake, "GET", "/oncalls");
    expect(first.body).toMatchObject({ limit: 25, offset: 0, more: true });
    expect(JSON.stringify(first.body)).not.toContain(ANA.email);
    const second = await rest(fake, "GET", "/oncalls?offset=25&include[]=users");
    expect(second.body).toMatchObject({
      more: false,
      oncalls: [{ user: { email: ANA.email } }, {}, {}, {}, {}],
    });
  });
});

describe("a webhook", () => {
  it("carries a signature for each secret, and the body that is signed", async () => {
    const fake = await start();
    await post(fake, trigger(fake));
    const heard: { readonly signature: string; readonly body: string }[] = [];
    const server = createServer((asked, response) => {
      const chunks: Buffer[] = [];
      asked.on("data", (chunk: Buffer) => chunks.push(chunk));
      asked.on("end", () => {
        const body = Buffer.concat(chunks).toString("utf8");
        heard.push({ signature: String(asked.headers["x-pagerduty-signature"]), body });
        response.writeHead(202).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/`;
    open.push(async () => void server.close());
    const body = fake.event("incident.acknowledged", "a", { by: ANA, at: 0, id: "E1" });
    expect(await fake.sendWebhook(url, body, { secrets: ["old", "new"] })).toBe(202);
    expect(heard[0]?.signature).toMatch(/^v1=[0-9a-f]{64},v1=[0-9a-f]{64}$/);
    expect(JSON.parse(heard[0]?.body ?? "")).toMatchObject({
      event: {
        id: "E1",
        event_type: "incident.acknowledged",
        resource_type: "incident",
        occurred_at: "1970-01-01T00:00:00.000Z",
        agent: { type: "user_reference", summary: ANA.name },
        data: {
          type: "incident",
          incident_key: "a",
          escalation_policy: { type: "escalation_policy_reference" },
        },
      },
    });
  });
});

interface ManualClock extends PagerClock {
  advance(ms: number): void;
}

function manualClock(): ManualClock {
  let now = 0;
  let timers: { readonly at: number; readonly act: () => void }[] = [];
  return {
    now: () => now,
    after(ms, act) {
      const timer = { at: now + ms, act };
      timers.push(timer);
      return () => {
        timers = timers.filter((each) => each !== timer);
      };
    },
    advance(ms) {
      const until = now + ms;
      for (;;) {
        const next = timers.filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        timers = timers.filter((each) => each !== next);
        now = next.at;
        next.act();
      }
      now = until;
    },
  };
}
