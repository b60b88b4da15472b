/** Signed HTTP: everything that Socket Mode does, and everything that an address on a network invites: forged, old, future, repeated, huge and odd requests. */
import { request } from "node:http";
import { connect } from "node:net";
import { afterEach, expect, test } from "vitest";
import { Replays } from "../../src/adapters/slack/replays.ts";
import type { HttpMode } from "../fakes/slack/http-mode.ts";
import { answerItem, type Bench, faultFrom, OPS, startHttpBench, stopAll } from "../support/slack-bot.ts";

afterEach(stopAll);

function httpOf({ fake }: Bench): HttpMode {
  if (fake.http === undefined) throw new Error("not an HTTP workspace");
  return fake.http;
}

/** One request as anybody could send it. */
function send(
  bench: Bench,
  how: {
    readonly method?: string;
    readonly path?: string;
    readonly headers?: Record<string, string>;
    readonly body?: string;
  },
): Promise<number> {
  const url = new URL(how.path ?? "/slack/events", bench.slack.endpoint());
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      { method: how.method ?? "POST", agent: false, headers: how.headers ?? {} },
      (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode ?? 0));
      },
    );
    outgoing.on("error", reject);
    outgoing.end(how.body ?? "");
  });
}

test("commands, presses, forms and mentions work as in Socket Mode, and are answered", async () => {
  const bench = await startHttpBench();
  const { fake, taker, slack } = bench;
  const seen = await fake.command("ana", OPS, "/rollout enable parallel");
  expect(seen).toMatchObject({ outcome: "ok", text: "" });
  await fake.mention("ben", OPS, "rollout hold");
  expect(taker.taken.map(({ text, noun }) => [text, noun])).toEqual([
    ["enable parallel", "rollout"],
    ["rollout hold", undefined],
  ]);
  for (const request of taker.taken)
    await slack.chat.post(answerItem(request, `Answer to ${request.text}.`), undefined, undefined);
  expect(fake.channelMessages(OPS, { as: "ana" }).map(fake.textOf)).toContain("Answer to enable parallel.");
  expect(fake.channelMessages(OPS, { as: "ben" }).map(fake.textOf)).toContain("Answer to rollout hold.");
  taker.instead = async () => ({ kind: "unavailable", text: "Nothing changed." });
  expect((await fake.command("ana", OPS, "/rollout hold")).text).toBe("Nothing changed.");
  expect((await fake.command("ana", OPS, "/runbook list")).text).toContain("not available in this version");
  expect(bench.ackMs.length).toBe(4);
  expect(fake.violations()).toEqual([]);
});

test("the address is proved with the challenge", async () => {
  const bench = await startHttpBench();
  expect(await httpOf(bench).verifyUrl("abc123")).toMatchObject({
    status: 200,
    body: JSON.stringify({ challenge: "abc123" }),
  });
});

test("forged, tampered, unsigned, old and future requests are refused unread", async () => {
  const bench = await startHttpBench();
  await bench.fake.command("ana", OPS, "/rollout hold");
  const http = httpOf(bench);
  const [sent] = http.sent();
  if (sent === undefined) throw new Error("nothing was sent");
  for (const forgery of [
    { secret: "another" },
    { tamperedBody: sent.body.replace("hold", "rollback") },
    { unsigned: true },
    { skewS: -301 },
    { skewS: 61 },
    { skewS: 3_600 },
  ])
    expect({ forgery, status: (await http.forge(sent, forgery)).status }).toEqual({ forgery, status: 401 });
  expect((await http.forge(sent, { skewS: 55 })).status).toBe(200);
  expect((await http.forge(sent, { skewS: -290 })).status).toBe(200);
  expect(bench.taker.taken).toHaveLength(1);
});

test("another workspace, another app, a channel shared with strangers: signed and refused all the same", async () => {
  const bench = await startHttpBench();
  const { fake, taker } = bench;
  await fake.command("ana", OPS, "/rollout hold");
  await fake.mention("ana", OPS, "rollout hold");
  const http = httpOf(bench);
  const [command, mention] = http.sent();
  if (command === undefined || mention === undefined) throw new Error("nothing was sent");
  const changed = (sent: typeof command, from: RegExp, to: string) => {
    const body = sent.body.replace(from, to);
    expect(body).not.toBe(sent.body);
    return http.forge({ ...sent, body: body.replaceAll(/trigger_id=[^&]*/g, "trigger_id=new") }, {});
  };
  const before = taker.taken.length;
  const team = await changed(command, /team_id=[^&]*/, "team_id=T0OTHER");
  expect(team).toMatchObject({ status: 200, body: expect.stringContaining("another workspace") });
  const app = await changed(command, /api_app_id=[^&]*/, "api_app_id=A0OTHER");
  expect(app).toMatchObject({ status: 200, body: expect.stringContaining("another Slack app") });
  const shared = await changed(mention, /"is_ext_shared_channel":false/, '"is_ext_shared_channel":true');
  expect(shared.status).toBe(200);
  await fake.waitForMessage(OPS, (_, text) => text.includes("shared with another organisation"), {
    as: "ana",
  });
  expect(taker.taken).toHaveLength(before);
  expect(fake.violations()).toEqual([]);
});

test("a request sent again byte for byte is answered and has no effect", async () => {
  const bench = await startHttpBench();
  await bench.fake.command("ana", OPS, "/rollout hold");
  const http = httpOf(bench);
  const [sent] = http.sent();
  if (sent === undefined) throw new Error("nothing was sent");
  let submits = 0;
  bench.taker.instead = async () => {
    submits += 1;
    return { kind: "accepted" };
  };
  for (let times = 0; times < 3; times += 1) expect((await http.replay(sent)).status).toBe(200);
  expect(submits).toBe(0);
  expect(bench.log.lines.filter(({ text }) => text.includes("byte for byte"))).toHaveLength(3);
});

test("signatures are forgotten after ten minutes, and the oldest when there are too many", () => {
  let now = 0;
  const replays = new Replays(() => now);
  expect([replays.admit("a"), replays.admit("a")]).toEqual([true, false]);
  now = 9 * 60_000;
  expect(replays.admit("a")).toBe(false);
  now = 10 * 60_000;
  expect(replays.admit("a")).toBe(true);
  replays.forget("a");
  expect(replays.admit("a")).toBe(true);
  for (let count = 0; count < 60_000; count += 1) replays.admit(`flood ${count}`);
  expect(replays.admit("a")).toBe(true);
  expect(replays.admit("flood 59999")).toBe(false);
});

test("odd requests get their status and nothing else", async () => {
  const bench = await startHttpBench();
  const form = { "content-type": "application/x-www-form-urlencoded" };
  const large = "x".repeat(300 * 1024);
  const cases: readonly [number, Parameters<typeof send>[1]][] = [
    [404, { path: "/", headers: form }],
    [404, { path: "/slack/events/more", headers: form }],
    [405, { method: "GET" }],
    [415, { headers: { "content-type": "text/plain" }, body: "x" }],
    [415, { headers: { ...form, "content-encoding": "gzip" }, body: "x" }],
    [413, { headers: { ...form, "content-length": String(large.length) }, body: large }],
    [401, { headers: form, body: "ssl_check=1" }],
    [401, { headers: form, body: `payload=${"[".repeat(100_000)}` }],
  ];
  for (const [status, how] of cases) expect(await send(bench, how)).toBe(status);
  const seen = await bench.fake.command("ana", OPS, `/rollout ${"x".repeat(5_000_000)}`);
  expect(seen.outcome).toBe("dispatch_failed");
  expect((await bench.fake.command("ana", OPS, "/rollout list")).outcome).toBe("ok");
  expect(bench.taker.taken.map(({ text }) => text)).toEqual(["list"]);
  expect(bench.fake.violations()).toEqual([]);
});

test("a body that is signed and still not what it should be is refused", async () => {
  const bench = await startHttpBench();
  const http = httpOf(bench);
  const json = (body: string) => ({ body, headers: { "content-type": "application/json" } });
  for (const body of ["", "{", "5", "null", "[]"])
    expect((await http.forge(json(body), {})).status).toBe(400);
  for (const body of ['{"type":"event_callback"}', '{"a":1}', '{"type":"block_actions","actions":5}'])
    expect([200, 500]).toContain((await http.forge(json(body), {})).status);
  const deep = `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`;
  expect([200, 400, 500]).toContain((await http.forge(json(deep), {})).status);
  expect(bench.taker.taken).toEqual([]);
});

test("whoever sends headers one letter at a time is hung up on, and others are served meanwhile", async () => {
  const bench = await startHttpBench();
  const { port } = new URL(bench.slack.endpoint() ?? "");
  const slow = connect(Number(port), "127.0.0.1");
  const closed = new Promise((resolve) => slow.on("close", resolve));
  slow.on("error", () => undefined);
  slow.write("POST /slack/events HTTP/1.1\r\nhost: x\r\nx-slow: ");
  const dripping = setInterval(() => slow.write("x"), 200);
  expect((await bench.fake.command("ana", OPS, "/rollout list")).outcome).toBe("ok");
  await closed;
  clearInterval(dripping);
});

test("an event that is delivered twice is taken once", async () => {
  const bench = await startHttpBench();
  const { fake, taker } = bench;
  fake.duplicateNext("events_api");
  await fake.mention("ana", OPS, "rollout hold");
  await expect
    .poll(
      () => bench.ackMs.length + bench.log.lines.filter(({ text }) => text.includes("byte for byte")).length,
    )
    .toBe(2);
  expect(taker.taken).toHaveLength(1);
  expect(fake.violations()).toEqual([]);
});

test("it listens on loopback, and says so when the port is taken", async () => {
  const bench = await startHttpBench();
  const endpoint = new URL(bench.slack.endpoint() ?? "");
  expect(endpoint.hostname).toBe("127.0.0.1");
  const fault = await faultFrom(startHttpBench({ port: Number(endpoint.port) }));
  expect(fault.recoverable).toBe(false);
  expect(fault.message).toContain(`127.0.0.1:${endpoint.port}`);
});
