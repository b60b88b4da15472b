/** The ingestion service as a real process: what each feature does, how it misbehaves, stops and is restarted. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { FEATURE_KEYS } from "../../demo/service/features.ts";
import { ROUND_TRIP_MS, STORE_CALLS } from "../../demo/service/graph-store.ts";
import { createProbe, type Probe } from "../../demo/service/probe.ts";
import { startService } from "../../demo/service/supervise.ts";
import {
  ALL_ON,
  during,
  failed,
  files,
  SERIAL,
  sees,
  slow,
  until,
  useServiceGround,
} from "../support/service-ground.ts";

const MAIN = fileURLToPath(new URL("../../demo/service/main.ts", import.meta.url));
const SUPERVISE = pathToFileURL(join(MAIN, "../supervise.ts")).href;
const ground = useServiceGround();

describe("features", () => {
  /** Works through the first files with the first `level` features on; what it did for each file on average. */
  async function measure(level: number, count: number) {
    const env = Object.fromEntries(FEATURE_KEYS.slice(0, level).map((key) => [key, "true"]));
    const running = await ground.service({ env, seed: 1, ratePerS: 400 });
    expect((await running.features()).optimisation_level).toBe(level);
    const startedMs = performance.now();
    const first = files(await running.metrics());
    const done = await until(running.metrics, (now) => files(now) >= count, 40_000);
    const perSecond = (files(done) - first) / ((performance.now() - startedMs) / 1000);
    await running.stop();
    const calls = (call: string): number => done(`ingestion_store_calls_total{call="${call}"}`) / files(done);
    const waitMs = STORE_CALLS.reduce((sum, call) => sum + calls(call) * ROUND_TRIP_MS[call], 0);
    const looked = done("ingestion_cache_lookups_total");
    return { perSecond, waitMs, calls, looked, parses: done("ingestion_parses_total") / files(done) };
  }

  test("each feature saves real work, and all of them make it several times faster", async () => {
    const [off, cache, batching, graph, parallel] = await Promise.all([
      measure(0, 180),
      measure(1, 180),
      measure(2, 180),
      measure(3, 180),
      measure(4, 800),
    ]);
    expect(off.looked).toBe(0);
    expect(off.parses).toBeGreaterThan(0.97);
    expect(cache.parses).toBeLessThan(0.85);
    expect(cache.calls("claim")).toBeGreaterThan(0.97);
    expect(batching.calls("claim")).toBeLessThan(0.2);
    expect(batching.calls("write")).toBeGreaterThan(4);
    expect(graph.calls("write")).toBeLessThan(0.2);
    expect(off.waitMs / cache.waitMs).toBeGreaterThan(1.1);
    expect(cache.waitMs / batching.waitMs).toBeGreaterThan(1.1);
    expect(batching.waitMs / graph.waitMs).toBeGreaterThan(1.1);
    expect(parallel.perSecond / graph.perSecond).toBeGreaterThan(1.5);
    expect(parallel.perSecond / off.perSecond).toBeGreaterThan(4);
  });

  test("the metrics are there from the start, agree with each other, and FEATURE_METRICS hides the histograms", async () => {
    ground.writeFlags(ALL_ON);
    const running = await ground.service({ flags: `file=${ground.flagFile}`, appVersion: "1.2.3" });
    const first = await running.metrics();
    for (const name of [
      "files",
      "failures",
      "cache_hits",
      "cache_lookups",
      "graph_writes",
      "parses",
      "units",
    ])
      expect(first(`ingestion_${name}_total`)).toBeLessThan(200);
    expect(first('app_info{version="1.2.3"}')).toBe(1);
    expect(first("process_resident_memory_bytes")).toBeGreaterThan(20e6);
    expect(first("ingestion_queue_depth")).toBeGreaterThanOrEqual(0);
    const then = await until(running.metrics, (now) => files(now) > 200);
    expect(then("ingestion_failures_total")).toBe(0);
    expect(then("ingestion_cache_hits_total")).toBeGreaterThan(0);
    expect(then("ingestion_cache_hits_total")).toBeLessThan(then("ingestion_cache_lookups_total"));
    expect(then("ingestion_process_seconds_count")).toBe(files(then));
    expect(then("ingestion_parse_seconds_count")).toBe(then("ingestion_parses_total"));
    expect(then("ingestion_batch_size_count")).toBe(then("ingestion_units_total"));
    expect(then("ingestion_batch_size_sum")).toBeGreaterThanOrEqual(files(then));
    expect(slow(then)).toBeLessThan(0.05);
    const idle = then('ingestion_pool_workers{state="idle"}');
    expect(then('ingestion_pool_workers{state="busy"}') + idle).toBe(5);
    for (const flag of FEATURE_KEYS) expect(then(`feature_enabled{flag="${flag}"}`)).toBe(1);
    ground.writeFlags({ FEATURE_METRICS: "false" });
    const hidden = await until(
      running.metrics,
      (now) => now('feature_enabled{flag="FEATURE_METRICS"}') === 0,
    );
    expect(() => hidden("ingestion_parse_seconds_count")).toThrow("no series");
    expect(files(hidden)).toBeGreaterThanOrEqual(files(then));
  });
});

describe("misbehaviour", () => {
  test("errors and latency strike only while parallel is on", async () => {
    ground.writeFlags(SERIAL);
    const running = await ground.service({ flags: `file=${ground.flagFile}`, misbehave: "errors" });
    expect(await running.misbehaviour()).toEqual({ mode: "errors", active: false });
    expect(failed(await during(running, 60))).toBeLessThan(0.05);
    ground.writeFlags(ALL_ON);
    await sees(running, "true");
    const failing = failed(await during(running, 200));
    expect(failing).toBeGreaterThan(0.15);
    expect(failing).toBeLessThan(0.4);
    expect(await running.misbehave("latency")).toEqual({ mode: "latency", active: true });
    await during(running, 40);
    const late = await during(running, 40);
    expect(slow(late)).toBeGreaterThan(0.5);
    expect(failed(late)).toBeLessThan(0.05);
    ground.writeFlags(SERIAL);
    await sees(running, "false");
    await during(running, 50);
    const quiet = await during(running, 40);
    expect([slow(quiet) < 0.05, failed(quiet) < 0.05]).toEqual([true, true]);
  });

  test("leak: the resident memory grows with parallel, and goes back without it", async () => {
    ground.writeFlags(SERIAL);
    const running = await ground.service({ flags: `file=${ground.flagFile}`, misbehave: "leak" });
    const memory = async (): Promise<number> => (await running.metrics())("process_resident_memory_bytes");
    await during(running, 50);
    const before = await memory();
    ground.writeFlags(ALL_ON);
    await until(memory, (now) => now > before + 80e6, 20_000);
    ground.writeFlags(SERIAL);
    await until(memory, (now) => now < before + 40e6);
  });

  test("crash: it comes back on its port and goes on crashing until parallel is off", async () => {
    ground.writeFlags(SERIAL);
    const running = await ground.service({ flags: `file=${ground.flagFile}`, restartDelayMs: 100 });
    const pid = running.pid();
    expect(await running.misbehave("crash")).toEqual({ mode: "crash", active: false });
    ground.writeFlags(ALL_ON);
    await until(running.crashes, (crashes) => crashes >= 2);
    ground.writeFlags(SERIAL);
    await until(running.healthy, (healthy) => healthy);
    await sees(running, "false");
    const crashes = running.crashes();
    await during(running, 20);
    expect([running.crashes(), running.pid() === pid]).toEqual([crashes, false]);
    expect(await running.misbehaviour()).toEqual({ mode: "crash", active: false });
  });

  test("a request that makes no sense is refused and changes nothing", async () => {
    const running = await ground.service({});
    const post = async (body: string, type = "application/json"): Promise<number> =>
      (
        await fetch(`${running.origin}/misbehave`, {
          method: "POST",
          headers: { "content-type": type },
          body,
        })
      ).status;
    expect(await post('{"mode":"dance"}')).toBe(400);
    expect(await post("{")).toBe(400);
    expect(await post('{"mode":"crash"}', "text/plain")).toBe(415);
    expect(await post(`{"mode":"${"x".repeat(5_000)}"}`)).toBe(413);
    expect((await fetch(`${running.origin}/nothing`)).status).toBe(404);
    expect(await running.misbehaviour()).toEqual({ mode: "none", active: false });
  });
});

/** Starts a script with a temporary folder of its own, and waits for the port in its first line. */
async function run(argv: readonly string[]): Promise<{ child: ChildProcess; probe: Probe; temp: string }> {
  const temp = join(ground.dir, "tmp");
  mkdirSync(temp);
  const env = { ...process.env, ...ALL_ON, TMPDIR: temp };
  const child = spawn(process.execPath, argv, { env, stdio: ["ignore", "pipe", "inherit"] });
  ground.atEnd(() => void child.kill("SIGKILL"));
  const line = await new Promise<string>((resolve) =>
    createInterface({ input: child.stdout }).once("line", resolve),
  );
  const { port } = z.object({ port: z.number() }).parse(JSON.parse(line));
  return { child, probe: createProbe(`http://127.0.0.1:${port}`), temp };
}

describe("life", () => {
  test.each(["SIGTERM", "SIGINT"] as const)(
    "%s ends it within a second, with nothing left",
    async (signal) => {
      const { child, probe, temp } = await run([MAIN, "--port", "0"]);
      await during(probe, 50);
      expect(readdirSync(temp)).toHaveLength(1);
      const gone = new Promise((resolve) => child.once("exit", resolve));
      const sentMs = performance.now();
      child.kill(signal);
      expect(await gone).toBe(0);
      expect(performance.now() - sentMs).toBeLessThan(1_000);
      expect([readdirSync(temp), await probe.healthy()]).toEqual([[], false]);
    },
  );

  test("a killed parent leaves no service and no folder behind", async () => {
    const start = `const { port } = await startService({}); console.log(JSON.stringify({ port }));`;
    const script = `import { startService } from ${JSON.stringify(SUPERVISE)}; ${start}`;
    const { child, probe, temp } = await run(["--input-type=module", "-e", script]);
    expect([await probe.healthy(), readdirSync(temp).length]).toEqual([true, 1]);
    child.kill("SIGKILL");
    await until(probe.healthy, (healthy) => !healthy);
    await until(
      () => readdirSync(temp),
      (left) => left.length === 0,
    );
  });

  test("a start that cannot work is refused with the reason", async () => {
    const { port } = await ground.service({});
    await expect(startService({ port })).rejects.toThrow("EADDRINUSE");
    await expect(startService({ envFile: join(ground.dir, "none.env") })).rejects.toThrow("none.env");
    await expect(startService({ seed: -1 })).rejects.toThrow(/code 2\n--seed: .*\n\nusage:/);
  });

  test("the keeper gives up in the end, and stops for good in the middle of a restart", async () => {
    const events: string[] = [];
    const onEvent = ({ event }: { event: string }): void => void events.push(event);
    const sick = await ground.service({
      env: ALL_ON,
      misbehave: "crash",
      restartDelayMs: 20,
      maxRestarts: 2,
      onEvent,
    });
    await until(
      () => events,
      (seen) => seen.includes("gave_up"),
    );
    expect([sick.crashes(), sick.pid()]).toEqual([3, undefined]);
    await expect(sick.waitReady()).rejects.toThrow("3 times in a row");
    const well = await ground.service({});
    const restarting = well.restart();
    await Promise.all([well.stop(), well.stop(), restarting]);
    await expect(well.restart()).rejects.toThrow("was stopped");
    expect(await well.healthy()).toBe(false);
  });
});
