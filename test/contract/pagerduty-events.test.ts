/** Events to PagerDuty by its own library, against the strict stand-in over TLS: each fault ends in one honest outcome, in time, without secrets. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { createPagerDuty, type PagerDutyOptions } from "../../src/adapters/pagerduty/events.ts";
import { dedupKeyOf, fitted } from "../../src/adapters/pagerduty/texts.ts";
import type { PagerChange, PagerEvent } from "../../src/core/oncall/page.ts";
import type { OutsideFault } from "../../src/engine/ports.ts";
import type { Pager } from "../../src/engine/watch-ports.ts";
import type { FaultKind } from "../fakes/pagerduty/faults.ts";
import {
  type FakePagerDuty,
  type FakePagerDutyOptions,
  startFakePagerDuty,
} from "../fakes/pagerduty/server.ts";
import { faultOf, logInto, shapesOf } from "../support/faults.ts";

/** The deadline where a test waits for it to pass; elsewhere it is the real one, so that a slow machine changes nothing. */
const SHORT_MS = 800;
const IS_ENDLESS: ReadonlySet<FaultKind["kind"]> = new Set(["hang", "drip"]);
const WALL = Date.UTC(2026, 0, 15, 3, 12, 41);

const open: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

interface Ground {
  readonly fake: FakePagerDuty;
  readonly pager: Pager;
  readonly logged: string[];
}

async function start(
  fakeOptions: FakePagerDutyOptions = {},
  more: Partial<PagerDutyOptions> = {},
): Promise<Ground> {
  const fake = await startFakePagerDuty(fakeOptions);
  const logged: string[] = [];
  const pager = createPagerDuty({
    routingKey: fake.routingKey,
    server: fake.server,
    agent: fake.agent,
    log: logInto(logged),
    ...more,
  });
  open.push(async () => {
    pager.close();
    await fake.close();
  });
  return { fake, pager, logged };
}

const TRIGGER: Extract<PagerEvent, { kind: "trigger" }> = {
  kind: "trigger",
  dedupKey: "run:r-1:blind",
  severity: "critical",
  summary: "parallel was taken back",
  source: "ingestion/production",
  component: "parallel",
  details: { stage: "parallel", runbook: "runbooks/ingestion.md" },
  links: [{ href: "https://example.com/card", text: "the card" }],
  wall: WALL,
};
const ACKNOWLEDGE: PagerEvent = { kind: "acknowledge", dedupKey: TRIGGER.dedupKey };
const RESOLVE: PagerEvent = { kind: "resolve", dedupKey: TRIGGER.dedupKey };
const CHANGE: PagerChange = {
  key: "flip:f-1",
  summary: "parallel is ON",
  source: "ingestion/production",
  details: { flag: "FEATURE_PARALLEL" },
  wall: WALL,
};

type Sent = "trigger" | "acknowledge" | "resolve" | "change";
const SENT: readonly Sent[] = ["trigger", "acknowledge", "resolve", "change"];

function send(pager: Pager, what: Sent): Promise<void> {
  switch (what) {
    case "trigger":
      return pager.send(TRIGGER);
    case "acknowledge":
      return pager.send(ACKNOWLEDGE);
    case "resolve":
      return pager.send(RESOLVE);
    case "change":
      return pager.change(CHANGE);
  }
}

/** The fault that the call ends in, and how long that took (ms). */
async function timedFaultOf(
  call: Promise<unknown>,
): Promise<{ readonly fault: OutsideFault; readonly tookMs: number }> {
  const began = performance.now();
  const fault = await faultOf(call);
  return { fault, tookMs: performance.now() - began };
}

describe("an event that is taken", () => {
  it("opens, acknowledges and resolves one incident under its key", async () => {
    const { fake, pager } = await start();
    await pager.send(TRIGGER);
    expect(fake.incidents(TRIGGER.dedupKey)).toMatchObject([
      { status: "triggered", title: TRIGGER.summary, details: TRIGGER.details },
    ]);
    await pager.send(ACKNOWLEDGE);
    expect(fake.incidents()).toMatchObject([{ status: "acknowledged" }]);
    await pager.send(RESOLVE);
    expect(fake.incidents()).toMatchObject([{ status: "resolved" }]);
    expect(fake.violations()).toEqual([]);
  });

  it("is exactly what the API describes", async () => {
    const { fake, pager } = await start();
    await pager.send(TRIGGER);
    await pager.send(ACKNOWLEDGE);
    expect(fake.requests("/v2/enqueue").map(({ body }) => body)).toEqual([
      {
        routing_key: fake.routingKey,
        event_action: "trigger",
        dedup_key: TRIGGER.dedupKey,
        client: "Belay",
        payload: {
          summary: TRIGGER.summary,
          source: "ingestion/production",
          severity: "critical",
          timestamp: "2026-01-15T03:12:41.000Z",
          component: "parallel",
          custom_details: TRIGGER.details,
        },
        links: TRIGGER.links,
      },
      { routing_key: fake.routingKey, event_action: "acknowledge", dedup_key: TRIGGER.dedupKey },
    ]);
  });

  it("may be a change, which carries its key among the details", async () => {
    const { fake, pager } = await start();
    await pager.change(CHANGE);
    expect(fake.changes()).toEqual([
      {
        summary: CHANGE.summary,
        source: CHANGE.source,
        details: { key: "flip:f-1", flag: "FEATURE_PARALLEL" },
      },
    ]);
    expect(fake.violations()).toEqual([]);
  });

  it("may be sent again after a lost reply: still one incident", async () => {
    const { fake, pager } = await start();
    fake.inject({ on: "/v2/enqueue", kind: "applied_reply_lost" });
    expect((await faultOf(pager.send(TRIGGER))).recoverable).toBe(true);
    await pager.send(TRIGGER);
    expect(fake.incidents()).toMatchObject([{ triggers: 2 }]);
  });
});

/** What each fault must end in; `words` are of the fault's message. */
const FAULTS: readonly (readonly [
  name: string,
  fault: FaultKind,
  expected: { readonly recoverable: boolean; readonly retryAfterMs?: number; readonly says: RegExp },
])[] = [
  ["400", { kind: "status", status: 400 }, { recoverable: false, says: /HTTP 400: Event object is invalid/ }],
  ["403", { kind: "status", status: 403 }, { recoverable: false, says: /HTTP 403/ }],
  ["413", { kind: "status", status: 413 }, { recoverable: false, says: /HTTP 413/ }],
  [
    "429 with seconds",
    { kind: "status", status: 429, retryAfterS: 7 },
    { recoverable: true, retryAfterMs: 7_000, says: /HTTP 429: Requests for this service/ },
  ],
  ["429 alone", { kind: "status", status: 429 }, { recoverable: true, says: /HTTP 429/ }],
  [
    "429 with an absurd wait",
    { kind: "status", status: 429, retryAfterS: 1e9 },
    { recoverable: true, retryAfterMs: 900_000, says: /429/ },
  ],
  [
    "429 with a wait that is none",
    { kind: "status", status: 429, retryAfterS: "soon" },
    { recoverable: true, says: /429/ },
  ],
  ["500", { kind: "status", status: 500 }, { recoverable: true, says: /HTTP 500: Internal Server Error/ }],
  ["200", { kind: "status", status: 200 }, { recoverable: true, says: /HTTP 200/ }],
  ["a body of null", { kind: "status", status: 400, body: null }, { recoverable: false, says: /HTTP 400/ }],
  [
    "a body of other types",
    { kind: "status", status: 400, body: { message: 1, errors: [{}] } },
    { recoverable: false, says: /HTTP 400/ },
  ],
  ["a gateway's page", { kind: "html", status: 502 }, { recoverable: true, says: /form that can be read/ }],
  ["a page with 202", { kind: "html", status: 202 }, { recoverable: true, says: /form that can be read/ }],
  [
    "a redirect",
    { kind: "redirect", to: "https://127.0.0.1:1/" },
    { recoverable: true, says: /form that can be read/ },
  ],
  ["no answer", { kind: "hang" }, { recoverable: true, says: /within 800 ms/ }],
  ["a cut connection", { kind: "reset" }, { recoverable: true, says: /ECONNRESET|form that can be read/ }],
  ["a dripping answer", { kind: "drip" }, { recoverable: true, says: /within 800 ms/ }],
  ["an answer without an end", { kind: "flood" }, { recoverable: true, says: /max-size/ }],
  ["a lost reply", { kind: "applied_reply_lost" }, { recoverable: true, says: /form that can be read/ }],
];

describe("a fault", () => {
  const cases = FAULTS.flatMap(([name, fault, expected]) =>
    SENT.map((what) => [name, what, fault, expected] as const),
  );
  it.each(cases)(
    "%s for the %s: a rejection, in time, without secrets; the next try is taken",
    async (_, what, fault, expected) => {
      const { fake, pager, logged } = await start(
        {},
        IS_ENDLESS.has(fault.kind) ? { timeoutMs: SHORT_MS } : {},
      );
      const path = what === "change" ? "/v2/change/enqueue" : "/v2/enqueue";
      // pdjs sends an event again at once when it is answered 429.
      const times = fault.kind === "status" && fault.status === 429 ? 4 : 1;
      fake.inject({ on: path, times, ...fault });
      const { fault: told, tookMs } = await timedFaultOf(send(pager, what));
      expect(told).toMatchObject({
        recoverable: expected.recoverable,
        message: expect.stringMatching(expected.says),
      });
      expect(told.retryAfterMs).toBe(expected.retryAfterMs);
      expect(tookMs).toBeLessThan(SHORT_MS + 2_000);
      expect(fake.requests()).toHaveLength(times);
      for (const text of [shapesOf(told), ...logged]) expect(text).not.toContain(fake.routingKey);
      await send(pager, what);
      expect(fake.violations()).toEqual([]);
    },
  );

  it("of a routing key that nobody knows is told in PagerDuty's words, without the key", async () => {
    const wrong = "f".repeat(32);
    const { pager, logged, fake } = await start({}, { routingKey: wrong });
    const fault = await faultOf(pager.send(TRIGGER));
    expect(fault).toMatchObject({
      recoverable: false,
      message:
        "PagerDuty answered the trigger with HTTP 400: Event object is invalid; Invalid routing key [redacted]",
    });
    expect(logged).toHaveLength(1);
    for (const text of [shapesOf(fault), ...logged]) expect(text).not.toContain(wrong);
    expect(fake.forgive("event_invalid")).toHaveLength(1);
  });

  it("of a closed port, of an unknown host, and of a certificate that is not trusted may pass", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    server.close();
    await once(server, "close");
    for (const host of [`127.0.0.1:${port}`, "no-such-host.invalid"]) {
      const { pager, fake } = await start({}, { server: host });
      const fault = await faultOf(pager.send(TRIGGER));
      expect(fault.recoverable).toBe(true);
      expect(shapesOf(fault)).not.toContain(fake.routingKey);
    }
    const fake = await startFakePagerDuty();
    const pager = createPagerDuty({ routingKey: fake.routingKey, server: fake.server, log: logInto([]) });
    const fault = await faultOf(pager.send(TRIGGER));
    expect(fault).toMatchObject({ recoverable: true, message: expect.stringContaining("SELF_SIGNED_CERT") });
    expect(fake.requests()).toEqual([]);
    pager.close();
    await fake.close();
  });

  it("that sends the event elsewhere does not carry the routing key there", async () => {
    const { fake, pager } = await start();
    const elsewhere = await start({ routingKeys: [fake.routingKey] });
    fake.inject({ on: "/v2/enqueue", kind: "redirect", to: `${elsewhere.fake.url}/v2/enqueue` });
    expect((await faultOf(pager.send(TRIGGER))).recoverable).toBe(true);
    expect(elsewhere.fake.requests()).toEqual([]);
  });

  it("of one event leaves others alone", async () => {
    const { fake, pager } = await start({}, { timeoutMs: 2 * SHORT_MS });
    fake.inject({ on: "/v2/enqueue", kind: "hang" });
    const hanging = timedFaultOf(pager.send(TRIGGER));
    const others = Array.from({ length: 20 }, (_, n) => pager.send({ ...TRIGGER, dedupKey: `other-${n}` }));
    await Promise.all(others);
    expect((await hanging).fault.recoverable).toBe(true);
    // Which of the requests the fault strikes first is the network's choice; all but that one are incidents.
    expect(fake.requests()).toHaveLength(21);
    expect(fake.incidents()).toHaveLength(20);
  });
});

describe("integrations by service", () => {
  const [FIRST, SECOND] = ["1".repeat(32), "2".repeat(32)];

  it("get the triggers and changes of their own service, and every acknowledgement and resolve", async () => {
    const { fake, pager } = await start(
      { routingKeys: [FIRST, SECOND] },
      { routingKey: FIRST, routingKeys: { bots: SECOND, copy: SECOND } },
    );
    await pager.send(TRIGGER);
    await pager.send({ ...TRIGGER, dedupKey: "b", source: "bots/production" });
    await pager.change({ ...CHANGE, source: "bots/production" });
    const keys = fake.requests().map(({ body }) => JSON.stringify(body).match(/[12]{32}/)?.[0]);
    expect(keys).toEqual([FIRST, SECOND, SECOND]);
    await pager.send({ kind: "resolve", dedupKey: "b" });
    expect(fake.incidents("b")).toMatchObject([{ status: "resolved" }]);
    expect(fake.requests("/v2/enqueue")).toHaveLength(4);
  });

  it("are no names that every object has", async () => {
    const { fake, pager } = await start({}, { routingKeys: {} });
    await pager.send({ ...TRIGGER, source: "constructor/production" });
    expect(fake.incidents()).toHaveLength(1);
  });

  it("of which one does not answer leave an acknowledgement to be sent again", async () => {
    const { fake, pager } = await start(
      { routingKeys: [FIRST, SECOND] },
      { routingKey: FIRST, routingKeys: { bots: SECOND, lost: "3".repeat(32) } },
    );
    fake.inject({ on: "/v2/enqueue", kind: "status", status: 500 });
    const fault = await faultOf(pager.send(ACKNOWLEDGE));
    expect(fault.recoverable).toBe(true);
    expect((await faultOf(pager.send(ACKNOWLEDGE))).recoverable).toBe(false);
  });
});

describe("odd and large input", () => {
  const LONG = "😀".repeat(5_000);
  const odd: readonly (readonly [string, Partial<typeof TRIGGER>])[] = [
    ["a summary of 5,000 emoji", { summary: LONG }],
    ["a summary cut in the middle of a character", { summary: `${"a".repeat(1_023)}😀😀` }],
    [
      "half characters everywhere",
      { summary: "a\ud83d", source: "\udc00b", dedupKey: "k\ud83d", details: { "\ud83d": "\ud83d" } },
    ],
    [
      "control characters",
      { summary: "a\u0000b\u001b[31m", details: { "x\u0007": "\u0000" }, dedupKey: "a\u0000b" },
    ],
    ["nothing at all", { summary: "", source: "", component: "", details: { "": "" }, links: [] }],
    ["blank texts", { summary: " \n ", source: "\t" }],
    ["a long key", { dedupKey: "k".repeat(10_000) }],
    ["a long key of emoji", { dedupKey: LONG }],
    ["an instant that is none", { wall: Number.NaN }],
    ["an instant beyond the calendar", { wall: Number.POSITIVE_INFINITY }],
    [
      "bad links",
      {
        links: ["", "runbook.md", "javascript:alert(1)", `https://example.com/${"x".repeat(3_000)}`].map(
          (href) => ({ href, text: "" }),
        ),
      },
    ],
    [
      "many links",
      { links: Array.from({ length: 500 }, (_, n) => ({ href: `https://example.com/${n}`, text: LONG })) },
    ],
    [
      "many details",
      { details: Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`name ${n}`, LONG])) },
    ],
    [
      "details named like parts of objects",
      { details: JSON.parse('{"__proto__": "a", "constructor": "b"}') },
    ],
  ];
  it.each(odd)("%s: taken, and nothing that PagerDuty would mind", async (_, change) => {
    const { fake, pager } = await start();
    await pager.send({ ...TRIGGER, ...change });
    expect(fake.violations()).toEqual([]);
    const text = JSON.stringify(fake.requests()[0]?.body);
    expect(Buffer.byteLength(text)).toBeLessThan(100 * 1_024);
    expect(fake.incidents()).toHaveLength(1);
    const dedupKey = change.dedupKey ?? TRIGGER.dedupKey;
    await pager.send({ kind: "resolve", dedupKey });
    expect(fake.incidents()).toMatchObject([{ status: "resolved" }]);
    await pager.change({ ...CHANGE, ...change, key: dedupKey });
    expect(fake.violations()).toEqual([]);
  });

  it("says how many details were left out", async () => {
    const { fake, pager } = await start();
    const details = Object.fromEntries(
      Array.from({ length: 100 }, (_, n) => [`name ${n}`, "x".repeat(1_000)]),
    );
    await pager.send({ ...TRIGGER, details });
    const kept = Object.keys(fake.incidents()[0]?.details ?? {});
    expect(kept.length).toBeGreaterThan(20);
    expect(fake.incidents()[0]?.details["left out"]).toBe(
      `${100 - (kept.length - 1)} more, for their length`,
    );
  });

  it("a text is cut between characters, and a key keeps apart what differs only past its end", () => {
    expect(fitted("😀".repeat(10), 5)).toBe(`${"😀".repeat(4)}…`);
    expect(fitted("12345", 5)).toBe("12345");
    const key = "k".repeat(300);
    expect(dedupKeyOf(key)).toBe(dedupKeyOf(key));
    expect(dedupKeyOf(key)).not.toBe(dedupKeyOf(`${key}x`));
    for (const long of [key, LONG]) expect(dedupKeyOf(long).length).toBeLessThanOrEqual(255);
    expect(dedupKeyOf("k".repeat(255))).toBe("k".repeat(255));
  });
});

describe("the process", () => {
  const script = `
    import { readFileSync } from "node:fs";
    import { Agent } from "node:https";
    import { createPagerDuty } from "./src/adapters/pagerduty/events.ts";
    const [server, routingKey, ca] = process.argv.slice(1);
    const none = () => undefined;
    const pager = createPagerDuty({ server, routingKey, agent: new Agent({ ca }), log: { info: none, warn: none, error: none } });
    const event = { kind: "resolve", dedupKey: "a" };
    await pager.send(event).then(() => console.log("taken"), (fault) => console.log(fault.recoverable));
  `;

  it.each<[string, FaultKind | undefined, string]>([
    ["an event that was taken", undefined, "taken"],
    ["an event that was refused", { kind: "status", status: 400 }, "false"],
    ["an event that came too early", { kind: "status", status: 429, retryAfterS: 60 }, "true"],
  ])("ends by itself within 3 s of %s", async (_, fault, says) => {
    const fake = await startFakePagerDuty();
    if (fault !== undefined) fake.inject({ on: "*", times: 4, ...fault });
    const child = spawn(
      "node_modules/.bin/node",
      ["--input-type=module-typescript", "-e", script, fake.server, fake.routingKey, fake.ca],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    let said = "";
    let saidAt = 0;
    child.stdout.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      saidAt = performance.now();
    });
    open.push(async () => {
      child.kill("SIGKILL");
      await fake.close();
    });
    const [code] = await once(child, "exit", { signal: AbortSignal.timeout(20_000) });
    expect({ code, said: said.trim() }).toEqual({ code: 0, said: says });
    expect(performance.now() - saidAt).toBeLessThan(3_000);
  });
});
