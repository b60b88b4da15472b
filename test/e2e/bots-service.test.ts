/** The bot platform of the demo as real processes: what it measures, what each flag does, how it fails, and that nothing of it is left. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type ServerType, serve } from "@hono/node-server";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import type { Change } from "../../demo/bots/control.ts";
import { BOT_FLAGS, type BotFlag } from "../../demo/bots/flags.ts";
import { MODELS } from "../../demo/bots/models.ts";
import { createBotProbe, overBots } from "../../demo/bots/probe.ts";
import { startProgram } from "../../demo/bots/program.ts";
import { type BotWorld, startBotWorld } from "../../demo/bots/world.ts";
import type { Samples } from "../../demo/service/probe.ts";
import { freePort } from "../../demo/world/loopback.ts";
import { createFileStore, type FileStore } from "../../src/adapters/flags/file.ts";
import { ofrepRoutes } from "../../src/adapters/flags/ofrep.ts";
import { createProcessTarget } from "../../src/adapters/target/process.ts";
import type { FlagDef } from "../../src/core/plan.ts";
import { OFF, ON, type Setting } from "../../src/core/setting.ts";
import { eventually, until } from "../support/eventually.ts";
import { isThere } from "../support/processes.ts";

const MAIN = fileURLToPath(new URL("../../demo/bots/main.ts", import.meta.url));
const WORLD = pathToFileURL(join(MAIN, "../world.ts")).href;
const TOKEN = "token-of-the-test";
const WELL: Change = { misbehave: "none", leak: false, users: 60, pool: 20 };

const toldSchema = z.object({
  version: z.literal("4"),
  alerts: z.array(
    z.object({
      status: z.enum(["firing", "resolved"]),
      labels: z.record(z.string(), z.string()),
      annotations: z.record(z.string(), z.string()),
      startsAt: z.string(),
    }),
  ),
});
const resultSchema = z.object({
  data: z.object({ result: z.array(z.object({ value: z.tuple([z.number(), z.string()]) })) }),
});
const firingSchema = z.array(z.object({ labels: z.record(z.string(), z.string()) }));
type Told = z.output<typeof toldSchema>["alerts"][number];

let temp: string;
let flags: FileStore;
let flagServer: ServerType;
let alertServer: ReturnType<typeof createServer>;
const told: { readonly headers: IncomingHttpHeaders; readonly alert: Told }[] = [];
let world: BotWorld;
const children: ChildProcess[] = [];

function portOf(server: { address(): unknown }): number {
  return z.object({ port: z.number() }).parse(server.address()).port;
}

beforeAll(async () => {
  temp = mkdtempSync(join(tmpdir(), "bots-service-test-"));
  flags = createFileStore({ path: join(temp, "flags.json") });
  flagServer = serve({ fetch: ofrepRoutes(() => flags.current()).fetch, hostname: "127.0.0.1", port: 0 });
  alertServer = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    for (const alert of toldSchema.parse(JSON.parse(Buffer.concat(chunks).toString())).alerts)
      told.push({ headers: request.headers, alert });
    response.end();
  }).listen(0, "127.0.0.1");
  await once(alertServer, "listening");
  world = await startBotWorld({
    ofrepUrl: `http://127.0.0.1:${portOf(flagServer)}`,
    webhook: { url: `http://127.0.0.1:${portOf(alertServer)}/alerts`, token: TOKEN },
    labels: { service: "bots", environment: "test" },
    users: 60,
  });
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  for (const key of BOT_FLAGS) await flip(key, OFF);
  await world.probe.control(WELL);
});

afterAll(async () => {
  await world.stop();
  await flags.close();
  flagServer.close();
  alertServer.close();
  alertServer.closeAllConnections();
  rmSync(temp, { recursive: true, force: true });
});

/** Writes the flag as Belay does, and waits until the bots themselves say so. */
async function flip(key: BotFlag, setting: Setting): Promise<void> {
  const flag: FlagDef = { name: key, key, on: "true", off: "false", requires: [], undo: "flip" };
  const intent = `test-${performance.now()}`;
  expect(await flags.write([{ flag, setting, intent }])).toEqual({ [key]: "written" });
  const wanted = { on: "true", off: "false", percent: "50%", value: "" }[setting.kind];
  await until(`${key} is ${wanted}`, async () => (await world.probe.features()).flags[key] === wanted);
}

const replies = (samples: Samples): number => overBots(samples, "bot_replies_total");
const errors = (samples: Samples): number => overBots(samples, "bot_reply_errors_total");
const failing = (samples: Samples): number => errors(samples) / replies(samples);
const meanMs = (samples: Samples): number =>
  (overBots(samples, "bot_reply_seconds_sum") / overBots(samples, "bot_reply_seconds_count")) * 1_000;

/** What the bots did while they gave `count` more replies, from now on. */
async function during(count: number): Promise<Samples> {
  const before = await world.probe.metrics();
  const after = await eventually(`${count} more replies`, async () => {
    const now = await world.probe.metrics();
    return replies(now) >= replies(before) + count ? now : undefined;
  });
  return (series) => after(series) - before(series);
}

/** What the bots' metrics are once they fit. */
function metrics(what: string, fits: (now: Samples) => boolean): Promise<Samples> {
  return eventually(what, async () => {
    const now = await world.probe.metrics();
    return fits(now) ? now : undefined;
  });
}

async function prometheusSays(query: string): Promise<number | undefined> {
  const response = await fetch(`${world.urls.prometheus}/api/v1/query?query=${encodeURIComponent(query)}`);
  const [first] = resultSchema.parse(await response.json()).data.result;
  return first === undefined ? undefined : Number(first.value[1]);
}

/** No alert fires any more but the one that always does; the next one is told as a new one. */
async function calm(): Promise<void> {
  const firing = async (): Promise<readonly string[]> => {
    const response = await fetch(`${world.urls.alertmanager}/api/v2/alerts`);
    return firingSchema.parse(await response.json()).map(({ labels }) => labels["alertname"] ?? "");
  };
  await until("no alert fires", async () => (await firing()).join() === "Watchdog", {
    instead: async () => (await firing()).join(),
  });
}

async function alerted(name: string, status: Told["status"], from = 0): Promise<(typeof told)[number]> {
  return eventually(
    `${name} ${status}`,
    () => told.slice(from).find(({ alert }) => alert.labels["alertname"] === name && alert.status === status),
    {
      instead: () =>
        JSON.stringify(told.slice(from).map(({ alert }) => [alert.labels["alertname"], alert.status])),
    },
  );
}

describe("what it measures", () => {
  test("every figure is there from the start, they agree with each other, and Prometheus has them", async () => {
    const now = await metrics("100 replies", (samples) => replies(samples) > 100);
    expect(overBots(now, "bot_reply_seconds_count")).toBe(replies(now));
    expect(overBots(now, "bot_active_users")).toBe(60);
    expect(now('bot_active_users{bot="support"}')).toBe(12);
    expect(errors(now)).toBe(0);
    // Two queries for each message, those under way included.
    expect(now("bot_db_query_seconds_count") / replies(now)).toBeCloseTo(2, 0);
    expect(now("bot_db_pool_size")).toBe(20);
    expect(now("bot_db_pool_used")).toBeLessThan(16);
    expect(now("process_resident_memory_bytes")).toBeGreaterThan(50e6);
    expect(overBots(now, "bot_cache_lookups_total")).toBe(0);
    // 20 ms of the model and two round trips of 4 ms to the database.
    const mean = meanMs(now);
    expect(mean).toBeGreaterThan(27);
    expect(mean).toBeLessThan(250);
    await until(
      "Prometheus counts replies",
      async () => ((await prometheusSays("sum(rate(bot_replies_total[5s]))")) ?? 0) > 10,
    );
    expect(await prometheusSays('up{job="bots"}')).toBe(1);
  });

  test("users come and go, and 70 of them are told to be too many, with the runbook", async () => {
    const from = told.length;
    await world.probe.control({ users: 75 });
    await metrics("75 users", (now) => overBots(now, "bot_active_users") === 75);
    const { alert, headers } = await alerted("ScalingTrigger", "firing", from);
    expect(headers.authorization).toBe(`Bearer ${TOKEN}`);
    expect(alert.labels).toEqual({
      alertname: "ScalingTrigger",
      service: "bots",
      environment: "test",
      severity: "warning",
    });
    expect(alert.annotations).toEqual({
      summary: expect.stringMatching(/^75 users/),
      runbook: "scale-out.md",
    });
    await world.probe.control({ users: 20 });
    await metrics("20 users", (now) => overBots(now, "bot_active_users") === 20);
    await alerted("ScalingTrigger", "resolved", from);
  });

  test("an alert that always fires is told too", async () => {
    expect((await alerted("Watchdog", "firing")).alert.labels).toMatchObject({
      service: "bots",
      severity: "none",
    });
  });
});

describe("flags", () => {
  test("response-cache answers from memory: fewer queries, sooner", async () => {
    const without = await during(60);
    expect(without("bot_db_query_seconds_count") / replies(without)).toBeGreaterThan(1.6);
    await flip("response-cache", ON);
    // It fills first.
    await during(100);
    const cached = await during(100);
    const share = overBots(cached, "bot_cache_hits_total") / overBots(cached, "bot_cache_lookups_total");
    expect(share).toBeGreaterThan(0.2);
    expect(cached("bot_db_query_seconds_count") / replies(cached)).toBeLessThan(1.6);
    expect(meanMs(cached)).toBeLessThan(meanMs(without));
    expect(failing(cached)).toBe(0);
  });

  test("streaming-replies and a new model that is well change no figure for the worse", async () => {
    await flip("streaming-replies", ON);
    await flip("new-model", ON);
    const samples = await during(80);
    expect(failing(samples)).toBe(0);
    expect(meanMs(samples)).toBeLessThan(250);
  });

  test("new-model: what is armed strikes only those who have it", async () => {
    await world.probe.control({ misbehave: "errors" });
    expect(failing(await during(40))).toBe(0);
    await flip("new-model", { kind: "percent", percent: 50 });
    const half = failing(await during(150));
    expect(half).toBeGreaterThan(0.2);
    expect(half).toBeLessThan(0.8);
    await flip("new-model", ON);
    await during(20);
    expect(failing(await during(40))).toBe(1);
    await flip("new-model", OFF);
    await during(20);
    expect(failing(await during(40))).toBe(0);
  });

  test("a slow new model keeps the connections until there are none left", async () => {
    await calm();
    const from = told.length;
    await world.probe.control({ misbehave: "slow", users: 70 });
    await flip("new-model", ON);
    const now = await metrics("the pool is full", (samples) => samples("bot_db_pool_waiting") > 0);
    expect(now("bot_db_pool_used")).toBe(20);
    const { alert } = await alerted("ConnectionPoolNearlyFull", "firing", from);
    expect(alert.annotations["runbook"]).toBe("connection-pool-exhaustion.md");
    await world.probe.control({ pool: 40 });
    await metrics("the larger pool is used", (samples) => samples("bot_db_pool_used") > 20);
    await flip("new-model", OFF);
    await world.probe.control({ pool: 20 });
    await metrics("the pool is free again", (samples) => samples("bot_db_pool_used") < 10);
    expect((await world.probe.metrics())("bot_db_pool_size")).toBe(20);
  });

  test("the last known flags stay while nobody answers; before the first answer all are off", async () => {
    await flip("response-cache", ON);
    const second = serve({ fetch: ofrepRoutes(() => flags.current()).fetch, hostname: "127.0.0.1", port: 0 });
    await once(second, "listening");
    const argv = ["--model", world.urls.model, "--store", String(world.ports.store), "--users", "0"];
    const alone = createBotProbe(await bots([...argv, "--ofrep", `http://127.0.0.1:${portOf(second)}`]));
    const known = { "response-cache": "true", "streaming-replies": "false", "new-model": "false" };
    expect(await alone.features()).toEqual({ flags: known, source: "ofrep" });
    const closed = once(second, "close");
    second.close();
    if ("closeAllConnections" in second) second.closeAllConnections();
    await closed;
    await until("nobody answers", async () => (await alone.features()).source === "last");
    expect((await alone.features()).flags).toEqual(known);
    const never = createBotProbe(await bots([...argv, "--ofrep", world.urls.model]));
    expect(await never.features()).toEqual({
      flags: { ...known, "response-cache": "false" },
      source: "none",
    });
  });
});

describe("what goes wrong", () => {
  test("a killed model server: errors, a probe that fails, an alert; started again by its pidfile it is well", async () => {
    await calm();
    const from = told.length;
    const { restartAs, upUrl } = world.model;
    expect((await fetch(upUrl)).status).toBe(200);
    const killed = world.model.kill();
    await expect(fetch(upUrl)).rejects.toThrow();
    expect(world.model.pid()).toBeUndefined();
    expect(() => world.model.kill()).toThrow("model does not run");
    await during(20);
    expect(failing(await during(40))).toBe(1);
    const { alert } = await alerted("HighErrorRate", "firing", from);
    expect(alert.labels).toMatchObject({ service: "bots", environment: "test", severity: "critical" });
    // As Belay does it: with nothing but what the watch's file says.
    const { command, pidfile, log } = restartAs;
    const target = createProcessTarget({
      command,
      pidfile,
      logFile: log,
      environment: async () => ({}),
      upWithinMs: 10_000,
    });
    await target.restart();
    await until("it answers", async () => (await fetch(upUrl)).status === 200);
    expect(world.model.pid()).not.toBe(killed);
    expect(world.pids()["model"]).toBe(world.model.pid());
    await during(20);
    expect(failing(await during(40))).toBe(0);
    await alerted("HighErrorRate", "resolved", from);
  });

  test("the model server refuses what it does not have and what makes no sense", async () => {
    const ask = async (body: string): Promise<number> =>
      (await fetch(`${world.urls.model}/api/generate`, { method: "POST", body })).status;
    expect(await ask(JSON.stringify({ model: MODELS[0], prompt: "hello", stream: false }))).toBe(200);
    expect(await ask(JSON.stringify({ model: "none", prompt: "hello" }))).toBe(404);
    expect(await ask(JSON.stringify({ model: MODELS[0] }))).toBe(400);
    expect(await ask("{")).toBe(400);
    expect(await ask(JSON.stringify({ model: MODELS[0], prompt: "x".repeat(70_000) }))).toBe(413);
  });

  test("without its database there are only apologies, and it is found again when it is back", async () => {
    await world.stopStore();
    await during(20);
    expect(failing(await during(40))).toBe(1);
    await world.startStore();
    await during(20);
    expect(failing(await during(40))).toBe(0);
  });

  test("a leak grows the resident memory; a restart frees it and mends nothing", async () => {
    const before = (await world.probe.metrics())("process_resident_memory_bytes");
    const pid = world.bots.pid();
    await world.probe.control({ leak: true, users: 150 });
    const grown = await metrics("50 MB more", (now) => now("process_resident_memory_bytes") > before + 50e6);
    expect(overBots(grown, "bot_context_bytes")).toBeGreaterThan(40e6);
    await world.bots.restart();
    expect(world.bots.pid()).not.toBe(pid);
    const after = await world.probe.metrics();
    expect(after("process_resident_memory_bytes")).toBeLessThan(
      grown("process_resident_memory_bytes") - 30e6,
    );
    expect(await world.probe.settings()).toMatchObject({ leak: true, users: 150 });
  });

  test("a change that makes no sense is refused and changes nothing", async () => {
    const before = await world.probe.settings();
    const post = async (body: string, type = "application/json"): Promise<number> =>
      (await fetch(`${world.urls.bots}/control`, { method: "POST", headers: { "content-type": type }, body }))
        .status;
    expect(await post('{"misbehave":"dance"}')).toBe(400);
    expect(await post('{"users":1000}')).toBe(400);
    expect(await post('{"nothing":1}')).toBe(400);
    expect(await post("{")).toBe(400);
    expect(await post('{"leak":true}', "text/plain")).toBe(415);
    expect(await post(`{"misbehave":"${"x".repeat(5_000)}"}`)).toBe(413);
    expect(await world.probe.settings()).toEqual(before);
  });
});

/** Starts the bots by themselves and returns their address; they end with the test. */
async function bots(argv: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [MAIN, ...argv], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  const { port } = z.object({ port: z.number() }).parse(JSON.parse(await firstLine(child)));
  return `http://127.0.0.1:${port}`;
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    if (child.stdout === null) throw new Error("no standard output");
    createInterface({ input: child.stdout }).once("line", resolve);
    child.once("exit", (code) => reject(new Error(`it ended with ${code}`)));
  });
}

describe("life", () => {
  const start = `import { startBotWorld } from ${JSON.stringify(WORLD)};
    const world = await startBotWorld();
    // Whoever starts one of them anew, it is found by its pidfile.
    await world.model.restart();
    console.log(JSON.stringify({ pids: world.pids(), dir: world.dir }));
    process.once("SIGTERM", async () => { await world.stop(); process.exit(0); });`;
  const startedSchema = z.object({ pids: z.record(z.string(), z.number()), dir: z.string() });

  test.each(["SIGKILL", "SIGTERM"] as const)(
    "a demo that ends by %s leaves no process and no folder",
    async (signal) => {
      const own = mkdtempSync(join(temp, "own-"));
      const child = spawn(process.execPath, ["--input-type=module", "-e", start], {
        env: { ...process.env, TMPDIR: own },
        stdio: ["ignore", "pipe", "inherit"],
      });
      children.push(child);
      const { pids, dir } = startedSchema.parse(JSON.parse(await firstLine(child)));
      expect(Object.keys(pids).sort()).toEqual(["alertmanager", "bots", "model", "prometheus", "warden"]);
      expect(Object.values(pids).every(isThere)).toBe(true);
      expect(dir.startsWith(own)).toBe(true);
      const gone = once(child, "exit");
      child.kill(signal);
      await gone;
      await until("every process is gone", () => !Object.values(pids).some(isThere));
      expect([existsSync(dir), readdirSync(own)]).toEqual([false, []]);
    },
  );

  test("a start that is given up leaves nothing either", async () => {
    const before = readdirSync(tmpdir()).filter((name) => name.startsWith("belay-bots-"));
    const signal = AbortSignal.abort(new Error("it was stopped"));
    await expect(startBotWorld({ signal })).rejects.toThrow("it was stopped");
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith("belay-bots-"))).toEqual(before);
  });

  test("Prometheus ending by itself is noticed, with its last words", async () => {
    const own = await startProgram({
      program: "prometheus",
      port: await freePort(),
      args: ["--config.file=/nonexistent/prometheus.json"],
      onStart: () => {},
    }).catch((error: unknown) => String(error));
    expect(own).toMatch(/prometheus ended \(code \d+\)\n[\s\S]*nonexistent/);
  });

  test("bots that are told nonsense say what they expect", async () => {
    const child = spawn(process.execPath, [MAIN, "--users", "9999"], { stdio: ["ignore", "ignore", "pipe"] });
    children.push(child);
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    const [code] = await once(child, "close");
    expect(code).toBe(2);
    expect(said).toContain("usage: main.ts --model URL --store PORT");
    expect(said).toContain("users");
  });
});
