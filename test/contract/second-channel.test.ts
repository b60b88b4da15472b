/** The second channel and the outgoing heartbeat against receivers that refuse, hang, drip and cut. */

import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { createHeartbeat, type HeartbeatOptions } from "../../src/adapters/heartbeat.ts";
import { createSecondChannel } from "../../src/adapters/second-channel.ts";
import type { Clock, Log } from "../../src/engine/ports.ts";
import { faultOf, shapesOf } from "../support/faults.ts";

const SECRET = "canary-9f3e";
const TIMEOUT_MS = 1_000;

const open: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

interface Heard {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface Receiver {
  readonly url: string;
  readonly heard: readonly Heard[];
  /** How the next requests are answered; 200 `ok` at first. */
  answer: (response: ServerResponse) => void;
}

async function startReceiver(): Promise<Receiver> {
  const heard: Heard[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { method = "", headers } = request;
      heard.push({ method, headers, body: Buffer.concat(chunks).toString("utf8") });
      receiver.answer(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  open.push(async () => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const receiver: Receiver = {
    url: `http://127.0.0.1:${port}/services/${SECRET}?key=${SECRET}`,
    heard,
    answer: (response) => void response.end("ok"),
  };
  return receiver;
}

describe("the second channel", () => {
  async function start(): Promise<{
    receiver: Receiver;
    tell: (text: string, key?: string) => Promise<void>;
  }> {
    const receiver = await startReceiver();
    const channel = createSecondChannel({ url: receiver.url, timeoutMs: TIMEOUT_MS });
    open.push(async () => channel.close());
    return { receiver, tell: (text, key = "page:a") => channel.tell(text, key) };
  }

  it("posts the text as JSON, with its key", async () => {
    const { receiver, tell } = await start();
    await tell('PagerDuty does not answer: "bots" is down <!subteam^S1>', "page:ü\n1");
    expect(receiver.heard).toMatchObject([
      {
        method: "POST",
        headers: {
          "content-type": "application/json; charset=utf-8",
          "idempotency-key": "page%3A%C3%BC%0A1",
        },
      },
    ]);
    expect(JSON.parse(receiver.heard[0]?.body ?? "")).toEqual({
      text: 'PagerDuty does not answer: "bots" is down <!subteam^S1>',
    });
  });

  it("takes any 2xx, with any body", async () => {
    const { receiver, tell } = await start();
    receiver.answer = (response) => void response.writeHead(204).end();
    await tell("a");
    receiver.answer = (response) => void response.writeHead(202).end("<html>");
    await tell("b");
    expect(receiver.heard).toHaveLength(2);
  });

  it.each<[string, string, string]>([
    ["a long text of emoji", "😀".repeat(10_000), `${"😀".repeat(3_999)}…`],
    ["half a character", "a\ud83d", "a\ufffd"],
    ["an empty text", "", ""],
  ])("sends %s as a text that is one", async (_, text, sent) => {
    const { receiver, tell } = await start();
    await tell(text, `\ud83d${"k".repeat(1_000)}`);
    expect(JSON.parse(receiver.heard[0]?.body ?? "")).toEqual({ text: sent });
  });

  it.each<[string, (response: ServerResponse) => void, object]>([
    ["400", (response) => void response.writeHead(400).end("invalid_payload"), { recoverable: false }],
    ["404", (response) => void response.writeHead(404).end("no_service"), { recoverable: false }],
    [
      "429",
      (response) => void response.writeHead(429, { "retry-after": "30" }).end(),
      { recoverable: true, retryAfterMs: 30_000 },
    ],
    ["500", (response) => void response.writeHead(500).end(), { recoverable: true }],
    [
      "a redirect",
      (response) => void response.writeHead(307, { location: "http://127.0.0.1:1/" }).end(),
      { recoverable: false },
    ],
    ["no answer", () => undefined, { recoverable: true }],
    ["a cut connection", (response) => void response.socket?.resetAndDestroy(), { recoverable: true }],
    ["a dripping answer", dripped, { recoverable: true }],
  ])("rejects on %s, in time, without its address", async (_, answer, expected) => {
    const { receiver, tell } = await start();
    receiver.answer = answer;
    const began = performance.now();
    const fault = await faultOf(tell("a"));
    expect(performance.now() - began).toBeLessThan(TIMEOUT_MS + 1_000);
    expect(fault).toMatchObject(expected);
    expect(shapesOf(fault)).not.toContain(SECRET);
    expect(receiver.heard).toHaveLength(1);
  });

  it("rejects when nobody listens", async () => {
    const channel = createSecondChannel({ url: `http://127.0.0.1:1/${SECRET}` });
    const fault = await faultOf(channel.tell("a", "k"));
    expect(fault.recoverable).toBe(true);
    expect(shapesOf(fault)).not.toContain(SECRET);
    channel.close();
  });
});

describe("the heartbeat", () => {
  const EVERY_MS = 30_000;

  interface Ground {
    readonly receiver: Receiver;
    readonly clock: ManualClock;
    readonly logged: string[];
    /** Whether each beat so far was heard, as the heartbeat itself knows. */
    readonly beats: boolean[];
    readonly stop: () => void;
  }

  async function start(more: Partial<HeartbeatOptions> = {}): Promise<Ground> {
    const receiver = await startReceiver();
    const clock = manualClock();
    const logged: string[] = [];
    const beats: boolean[] = [];
    const note = (message: string, fields?: object): void =>
      void logged.push(`${message} ${JSON.stringify(fields)}`);
    const log: Log = { info: note, warn: note, error: note };
    const onBeat = (heard: boolean): void => void beats.push(heard);
    const { stop } = createHeartbeat({
      url: receiver.url,
      everyMs: EVERY_MS,
      clock,
      log,
      isWell: () => true,
      onBeat,
      ...more,
    });
    open.push(async () => stop());
    return { receiver, clock, logged, beats, stop };
  }

  /** Waits until so many beats have come to an end. */
  const ended = (ground: Ground, count: number): Promise<void> =>
    expect.poll(() => ground.beats.length).toBe(count);

  it("beats at once, and then at a steady interval", async () => {
    const ground = await start();
    await ended(ground, 1);
    for (let count = 2; count <= 4; count += 1) {
      ground.clock.advance(EVERY_MS - 1);
      expect(ground.receiver.heard).toHaveLength(count - 1);
      ground.clock.advance(1);
      await ended(ground, count);
    }
    expect(ground.receiver.heard.map(({ method }) => method)).toEqual(["GET", "GET", "GET", "GET"]);
    expect(ground.logged).toEqual([]);
  });

  it("may be posted", async () => {
    const ground = await start({ method: "POST" });
    await ended(ground, 1);
    expect(ground.receiver.heard.map(({ method }) => method)).toEqual(["POST"]);
  });

  it("is silent while Belay is not well, says so once, and goes on afterwards", async () => {
    let isWell = false;
    const ground = await start({ isWell: () => isWell });
    for (let count = 0; count < 5; count += 1) ground.clock.advance(EVERY_MS);
    expect(ground.logged).toEqual([expect.stringContaining("Belay is not well")]);
    isWell = true;
    ground.clock.advance(EVERY_MS);
    await ended(ground, 1);
    expect(ground.receiver.heard).toHaveLength(1);
    expect(ground.logged).toHaveLength(2);
    expect(ground.logged[1]).toContain("the heartbeat is heard");
  });

  it("takes a question that fails for a no", async () => {
    const { logged } = await start({
      isWell: () => {
        throw new Error("unknown");
      },
    });
    expect(logged).toEqual([expect.stringContaining("Belay is not well")]);
  });

  it.each<[string, (response: ServerResponse) => void]>([
    ["refused", (response) => void response.writeHead(500).end()],
    ["cut", (response) => void response.socket?.resetAndDestroy()],
  ])("that is %s is logged once, without its address, and never thrown", async (_, answer) => {
    const ground = await start();
    await ended(ground, 1);
    ground.receiver.answer = answer;
    for (let count = 2; count <= 4; count += 1) {
      ground.clock.advance(EVERY_MS);
      await ended(ground, count);
    }
    expect(ground.logged).toHaveLength(1);
    expect(ground.logged.join()).not.toContain(SECRET);
    ground.receiver.answer = (response) => void response.end("ok");
    ground.clock.advance(EVERY_MS);
    await ended(ground, 5);
    expect(ground.beats).toEqual([true, false, false, false, true]);
    expect(ground.logged).toHaveLength(2);
    expect(ground.logged[1]).toContain("the heartbeat is heard");
  });

  it("that is not answered is not doubled", async () => {
    const ground = await start();
    await ended(ground, 1);
    const waiting: ServerResponse[] = [];
    ground.receiver.answer = (response) => void waiting.push(response);
    for (let count = 0; count < 5; count += 1) ground.clock.advance(EVERY_MS);
    await expect.poll(() => waiting.length).toBe(1);
    ground.receiver.answer = (response) => void response.end("ok");
    waiting[0]?.end("ok");
    await ended(ground, 2);
    ground.clock.advance(EVERY_MS);
    await ended(ground, 3);
    expect(ground.receiver.heard).toHaveLength(3);
  });

  it("does not make up for beats missed in a standstill", async () => {
    const ground = await start();
    await ended(ground, 1);
    ground.clock.jump(100 * EVERY_MS);
    await ended(ground, 2);
    ground.clock.advance(EVERY_MS - 1);
    expect(ground.beats).toHaveLength(2);
    ground.clock.advance(1);
    await ended(ground, 3);
    expect(ground.receiver.heard).toHaveLength(3);
  });

  it("ends when it is stopped, the one under way too", async () => {
    const ground = await start();
    await ended(ground, 1);
    const waiting: ServerResponse[] = [];
    ground.receiver.answer = (response) => void waiting.push(response);
    ground.clock.advance(EVERY_MS);
    await expect.poll(() => waiting.length).toBe(1);
    ground.stop();
    await expect.poll(() => waiting[0]?.destroyed).toBe(true);
    ground.clock.advance(10 * EVERY_MS);
    expect(ground.clock.waiting()).toBe(0);
    expect(ground.receiver.heard).toHaveLength(2);
    expect(ground.beats).toEqual([true]);
    expect(ground.logged).toEqual([]);
  });
});

interface ManualClock extends Clock {
  /** Time goes on, and every timer fires at its instant. */
  advance(ms: number): void;
  /** Time was gone at once, as after a standstill: timers fire late. */
  jump(ms: number): void;
  /** Timers that are set. */
  waiting(): number;
}

function manualClock(): ManualClock {
  let now = 0;
  const timers = new Set<{ readonly at: number; readonly act: () => void }>();
  const fireOne = (until: number, isLate: boolean): boolean => {
    const [next] = [...timers].filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at);
    if (next === undefined) return false;
    timers.delete(next);
    now = isLate ? until : next.at;
    next.act();
    return true;
  };
  const go = (ms: number, isLate: boolean): void => {
    const until = now + ms;
    while (fireOne(until, isLate));
    now = until;
  };
  return {
    now: () => ({ steady: now, wall: now }),
    after(ms, act) {
      const timer = { at: now + ms, act };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    random: () => 0.5,
    advance: (ms) => go(ms, false),
    jump: (ms) => go(ms, true),
    waiting: () => timers.size,
  };
}

function dripped(response: ServerResponse): void {
  response.writeHead(200);
  const timer = setInterval(() => response.write("."), 20);
  response.on("close", () => clearInterval(timer));
}
