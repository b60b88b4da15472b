/** The ingestion service as a real process: what each feature does, how flags reach it, how it misbehaves, stops and is restarted. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { buildCatalogue, corpusFile, isMalformed } from "../../demo/service/corpus.ts";
import {
  bucketOf,
  bucketsOf,
  FEATURE_KEYS,
  isOn,
  settingText,
  shareOn,
} from "../../demo/service/features.ts";
import { followFlagFile, parseFlagFile } from "../../demo/service/flag-file.ts";
import { parseBulkAnswer } from "../../demo/service/flag-ofrep.ts";
import { startFlags } from "../../demo/service/flags.ts";
import { ROUND_TRIP_MS, STORE_CALLS } from "../../demo/service/graph-store.ts";
import { lineageOf } from "../../demo/service/lineage.ts";
import { createMisbehaviour } from "../../demo/service/misbehaviour.ts";
import { parseOptions } from "../../demo/service/options.ts";
import { createParseCache } from "../../demo/service/parse-cache.ts";
import { createProbe, type FeaturesView, type Probe, type Samples } from "../../demo/service/probe.ts";
import { parseSql } from "../../demo/service/sql.ts";
import { type RunningService, type ServiceOptions, startService } from "../../demo/service/supervise.ts";

const MAIN = fileURLToPath(new URL("../../demo/service/main.ts", import.meta.url));
const SUPERVISE = pathToFileURL(join(MAIN, "../supervise.ts")).href;
const ALL_ON = Object.fromEntries(FEATURE_KEYS.map((key) => [key, "true"]));
const SERIAL = { ...ALL_ON, FEATURE_PARALLEL: "false" };
const cleanups: (() => Promise<void> | void)[] = [];
let dir = "";
let flagFile = "";
let version = 0;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "demo-service-test-"));
  flagFile = join(dir, "flags.json");
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  rmSync(dir, { recursive: true, force: true });
});

async function service(options: ServiceOptions): Promise<RunningService & Probe> {
  const running = await startService(options);
  cleanups.push(running.stop);
  return { ...running, ...createProbe(running.origin) };
}

/** Writes the flag file the way Belay does: whole, then renamed. */
function writeFlags(flags: Record<string, string | { percent: number }>): void {
  const entries = Object.entries(flags).map(([key, entry]) => [
    key,
    typeof entry === "string" ? { value: entry } : entry,
  ]);
  version += 1;
  writeFileSync(`${flagFile}.new`, JSON.stringify({ version, flags: Object.fromEntries(entries) }));
  renameSync(`${flagFile}.new`, flagFile);
}

/** Waits until the reading fits, and returns it; says at the deadline what the last one was. */
async function until<T>(
  read: () => Promise<T> | T,
  fits: (value: T) => boolean,
  timeoutMs = 10_000,
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const value = await read();
    if (fits(value)) return value;
    if (performance.now() > deadlineMs)
      throw new Error(`still, after ${timeoutMs} ms: ${JSON.stringify(value)}`);
    await delay(20);
  }
}

/** Waits until the service itself says that parallel has this value; a flip must be seen within 500 ms. */
function sees(probe: Probe, parallel: string, source = "file", timeoutMs = 500): Promise<FeaturesView> {
  const fits = (now: FeaturesView): boolean =>
    now.flags.FEATURE_PARALLEL === parallel && now.source === source;
  return until(probe.features, fits, timeoutMs);
}

const files = (samples: Samples): number => samples("ingestion_files_total");
const failed = (samples: Samples): number => samples("ingestion_failures_total") / files(samples);
const slow = (samples: Samples): number =>
  1 - samples('ingestion_parse_seconds_bucket{le="0.25"}') / samples("ingestion_parse_seconds_count");

/** What the service did between now and the time it has processed `count` more files. */
async function during(probe: Probe, count: number): Promise<Samples> {
  const before = await probe.metrics();
  const after = await until(probe.metrics, (now) => files(now) >= files(before) + count, 20_000);
  return (series) => after(series) - before(series);
}

describe("parts", () => {
  test("a bucket is the hash everybody else computes, and a percentage keeps its files when it grows", () => {
    // From: printf KEY:NAME | sha256sum, the first 8 digits, modulo 10000.
    expect(bucketOf("FEATURE_PARALLEL", "lineage-000000.sql")).toBe(5263);
    expect(bucketOf("FEATURE_PARALLEL", "lineage-000001.sql")).toBe(331);
    expect(bucketOf("f", "ü")).toBe(195);
    const at = (percent: number) => ({ kind: "percent", percent, on: "true", off: "false" }) as const;
    const buckets = Array.from({ length: 5_000 }, (_, index) => bucketsOf(`file-${index}`).FEATURE_PARALLEL);
    const chosen = (percent: number) => buckets.filter((bucket) => isOn(at(percent), bucket));
    expect([chosen(0).length, chosen(100).length]).toEqual([0, 5_000]);
    expect(Math.abs(chosen(25).length / 5_000 - 0.25)).toBeLessThan(0.02);
    expect(chosen(50)).toEqual(expect.arrayContaining(chosen(5)));
    expect([0, 25, 100].map((percent) => settingText(at(percent)))).toEqual(["false", "25%", "true"]);
    expect(shareOn({ kind: "percent", percent: 10, on: "false", off: "true" })).toBeCloseTo(0.9);
  });

  test("a flag file and an OFREP answer give what makes sense in them", () => {
    const expected = {
      FEATURE_PARALLEL: { kind: "percent", percent: 5, on: "true", off: "false" },
      FEATURE_BATCHING: { kind: "value", value: "true" },
    };
    const entries = {
      FEATURE_PARALLEL: { percent: 5 },
      FEATURE_BATCHING: { value: "true" },
      FEATURE_METRICS: { value: 1 },
    };
    expect(parseFlagFile(JSON.stringify({ version: 3, flags: entries }))).toEqual(expected);
    for (const broken of ["", "{", "[]", '{"flags":[]}', '{"version":1}'])
      expect(parseFlagFile(broken)).toBeUndefined();
    expect(parseFlagFile('{"flags":{"FEATURE_PARALLEL":{"percent":101}}}')).toEqual({});
    const flags = [
      { key: "FEATURE_PARALLEL", value: false, metadata: { percent: 5 } },
      { key: "FEATURE_BATCHING", value: true, reason: "STATIC", variant: "on" },
      { key: "FEATURE_METRICS", value: "false", errorCode: "FLAG_NOT_FOUND" },
    ];
    expect(parseBulkAnswer(JSON.stringify({ flags }))).toEqual(expected);
    for (const broken of ["<html>", "{}", ""]) expect(() => parseBulkAnswer(broken)).toThrow();
  });

  test("the files are the same for a seed, repeat themselves, and one in a thousand cannot be parsed", async () => {
    const catalogue = buildCatalogue();
    const texts = new Set<string>();
    const broken: number[] = [];
    for (let index = 0; index < 3_000; index += 1) {
      const { name, text } = corpusFile(catalogue, 7, index);
      expect(corpusFile(catalogue, 7, index).text).toBe(text);
      texts.add(text);
      const edges = await lineageOf(name, text, async (table) => catalogue.get(table)).catch(() => []);
      if (edges.length < 3) broken.push(index);
    }
    expect(broken).toHaveLength(3);
    expect(broken.every((index) => isMalformed(7, index))).toBe(true);
    expect(Math.abs(texts.size / 3_000 - 0.66)).toBeLessThan(0.05);
    expect(corpusFile(catalogue, 8, 0).text).not.toBe(corpusFile(catalogue, 7, 0).text);
  });

  test("the parser reads SQL and refuses what is none", () => {
    const sql =
      "INSERT INTO t (a, b) SELECT UPPER(x.c), y.d FROM p AS x JOIN q AS y ON x.k = y.k WHERE x.n > 3;";
    expect(parseSql(sql)).toEqual([
      { targetTable: "t", targetColumn: "a", sourceTable: "p", sourceColumn: "c" },
      { targetTable: "t", targetColumn: "b", sourceTable: "q", sourceColumn: "d" },
    ]);
    expect(() => parseSql(sql.slice(0, -1))).toThrow("cut short");
    expect(() => parseSql(sql.replace("x.c", "z.c"))).toThrow("unknown alias z");
    expect(() => parseSql(sql.replace("(a, b)", "(a)"))).toThrow("1 columns, but 2 expressions");
    expect(() => parseSql(sql.replace("> 3", "$ 3"))).toThrow("unexpected text");
  });

  test("a change of the flag file is told by the watch alone, before the next look at the file", async () => {
    vi.useFakeTimers({ toFake: ["setInterval"] });
    cleanups.push(() => void vi.useRealTimers());
    const found: string[] = [];
    const lost = (): void => void found.push("lost");
    const source = await followFlagFile(flagFile, {
      found: (flags) => found.push(Object.keys(flags).join()),
      lost,
    });
    cleanups.push(source.stop);
    writeFlags({ FEATURE_PARALLEL: "true" });
    await until(
      () => found,
      (now) => now.at(-1) === "FEATURE_PARALLEL",
    );
  });

  test("the parse cache keeps the thousand texts looked up last", () => {
    const cache = createParseCache();
    for (let index = 0; index < 1_000; index += 1) cache.put(`text ${index}`, []);
    cache.get("text 0");
    cache.put("one more", []);
    expect([cache.get("text 0"), cache.get("text 1")]).toEqual([[], undefined]);
  });

  test("the leak takes real memory, never more than 300 MB, and gives it back when parallel goes off", async () => {
    writeFlags(ALL_ON);
    const flags = await startFlags({ env: {}, ofrepUrl: undefined, filePath: flagFile, targetingKey: "t" });
    cleanups.push(flags.stop);
    const sick = createMisbehaviour({ initial: "leak", stateFile: undefined, flags, crash: () => {} });
    const before = process.memoryUsage.rss();
    const grown = (): number => process.memoryUsage.rss() - before;
    for (let file = 0; file < 5_000; file += 1) sick.taken(bucketsOf("any"));
    expect(grown()).toBeGreaterThan(250e6);
    expect(grown()).toBeLessThan(350e6);
    writeFlags(SERIAL);
    await until(grown, (left) => left < 100e6);
  });

  test("every mistake of the command line is told at once", () => {
    const wrong = ["--port", "x", "--rate", "0", "--flags", "ofrep=nowhere"];
    const told = /--port: .*"x"\n--rate: .*"0"\n--flags: .*"ofrep=nowhere"\nDEMO_MISBEHAVE: .*"dance"/;
    expect(() => parseOptions(wrong, { DEMO_MISBEHAVE: "dance" })).toThrow(told);
    const right = parseOptions(["--flags", "ofrep=http://127.0.0.1:1,file=/f"], { PORT: "8000" });
    expect(right).toMatchObject({
      ofrepUrl: "http://127.0.0.1:1",
      flagFile: "/f",
      port: 8000,
      misbehave: "none",
    });
  });
});

describe("features", () => {
  /** Works through the first files with the first `level` features on; what it did for each file on average. */
  async function measure(level: number, count: number) {
    const env = Object.fromEntries(FEATURE_KEYS.slice(0, level).map((key) => [key, "true"]));
    const running = await service({ env, seed: 1, ratePerS: 400 });
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
    writeFlags(ALL_ON);
    const running = await service({ flags: `file=${flagFile}`, appVersion: "1.2.3" });
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
    writeFlags({ FEATURE_METRICS: "false" });
    const hidden = await until(
      running.metrics,
      (now) => now('feature_enabled{flag="FEATURE_METRICS"}') === 0,
    );
    expect(() => hidden("ingestion_parse_seconds_count")).toThrow("no series");
    expect(files(hidden)).toBeGreaterThanOrEqual(files(then));
  });
});

/** A tiny OFREP server whose answer, and whether it answers at all, the test decides by changing the object. */
async function startOfrep() {
  const ofrep = { url: "", tag: 0, flags: [] as readonly object[], mode: "up", unchanged: 0, request: "" };
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    ofrep.request = `${request.method} ${request.url} ${body}`;
    if (ofrep.mode === "hang") return;
    const same = ofrep.mode === "up" && request.headers["if-none-match"] === `"${ofrep.tag}"`;
    if (same) ofrep.unchanged += 1;
    if (same || ofrep.mode === "error") response.writeHead(same ? 304 : 503).end();
    else response.writeHead(200, { etag: `"${ofrep.tag}"` }).end(JSON.stringify({ flags: ofrep.flags }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  ofrep.url = `http://127.0.0.1:${z.object({ port: z.number() }).parse(server.address()).port}`;
  return ofrep;
}

describe("flag sources", () => {
  test("the file: a flip is seen within 500 ms, a missing or broken file changes nothing", async () => {
    // The folder comes later than the service, so it cannot be watched.
    flagFile = join(dir, "later", "flags.json");
    const running = await service({ flags: `file=${flagFile}` });
    expect((await sees(running, "false", "env")).flags.FEATURE_METRICS).toBe("true");
    mkdirSync(join(dir, "later"));
    for (const value of ["true", "false", "true"]) {
      writeFlags({ FEATURE_PARALLEL: value });
      await sees(running, value);
    }
    rmSync(flagFile);
    await sees(running, "true", "last");
    writeFlags({ FEATURE_BATCHING: "true" });
    await sees(running, "true");
    writeFileSync(flagFile, '{"version":9,"flags":{"FEATURE_PARALLEL":{"value":"fal');
    await sees(running, "true", "last");
    writeFlags({ FEATURE_PARALLEL: "false" });
    expect((await sees(running, "false")).flags.FEATURE_BATCHING).toBe("true");
  });

  test("OFREP: a flip is seen within 500 ms; when it is down the file answers, then the last value", async () => {
    const ofrep = await startOfrep();
    const answer = (flag: object): void => void Object.assign(ofrep, { flags: [flag], tag: ofrep.tag + 1 });
    const running = await service({ flags: `ofrep=${ofrep.url},file=${flagFile}` });
    for (const value of [true, false, true]) {
      answer({ key: "FEATURE_PARALLEL", value, reason: "STATIC", variant: "v" });
      await sees(running, String(value), "ofrep");
    }
    expect(ofrep.request).toBe('POST /ofrep/v1/evaluate/flags {"context":{"targetingKey":"ingestion"}}');
    await until(
      () => ofrep.unchanged,
      (count) => count > 2,
    );
    answer({ key: "FEATURE_PARALLEL", value: "false", metadata: { percent: 25 } });
    expect((await sees(running, "25%", "ofrep")).percent).toEqual({ FEATURE_PARALLEL: 25 });
    ofrep.mode = "error";
    // Like a server that lost its state and counts its tags anew: after a failure the whole answer is asked for.
    ofrep.flags = [{ key: "FEATURE_PARALLEL", value: "false" }];
    await sees(running, "25%", "last");
    writeFlags({ FEATURE_PARALLEL: "true" });
    await sees(running, "true");
    ofrep.mode = "up";
    await sees(running, "false", "ofrep");
    ofrep.mode = "hang";
    await sees(running, "true", "file", 2_000);
    writeFlags({ FEATURE_PARALLEL: "false" });
    await sees(running, "false");
  });

  test("a percentage holds for that share of the files", async () => {
    writeFlags({ ...ALL_ON, FEATURE_PARSE_CACHE: { percent: 25 } });
    const running = await service({ flags: `file=${flagFile}` });
    const work = await during(running, 400);
    expect(Math.abs(work("ingestion_cache_lookups_total") / files(work) - 0.25)).toBeLessThan(0.08);
    const now = await running.metrics();
    expect(now('feature_enabled{flag="FEATURE_PARSE_CACHE"}')).toBe(1);
    expect(now('feature_share{flag="FEATURE_PARSE_CACHE"}')).toBe(0.25);
    expect((await running.features()).optimisation_level).toBe(3);
  });

  test("the environment: a flip takes a restart, and the new process is younger than the file", async () => {
    const envFile = join(dir, "features.env");
    writeFileSync(envFile, "FEATURE_PARALLEL=false\nFEATURE_BATCHING=true\n");
    const running = await service({ envFile });
    const pid = running.pid();
    expect((await sees(running, "false", "env")).optimisation_level).toBe(1);
    writeFileSync(envFile, 'FEATURE_PARALLEL="true"\nFEATURE_BATCHING=true\n');
    const writtenMs = Date.now();
    expect((await running.features()).flags.FEATURE_PARALLEL).toBe("false");
    await running.restart();
    const now = await sees(running, "true", "env");
    expect(now.optimisation_level).toBe(2);
    expect(Date.parse(now.started_at)).toBeGreaterThanOrEqual(writtenMs);
    expect([running.crashes(), running.pid() === pid]).toEqual([0, false]);
  });
});

describe("misbehaviour", () => {
  test("errors and latency strike only while parallel is on", async () => {
    writeFlags(SERIAL);
    const running = await service({ flags: `file=${flagFile}`, misbehave: "errors" });
    expect(await running.misbehaviour()).toEqual({ mode: "errors", active: false });
    expect(failed(await during(running, 60))).toBeLessThan(0.05);
    writeFlags(ALL_ON);
    await sees(running, "true");
    const failing = failed(await during(running, 200));
    expect(failing).toBeGreaterThan(0.15);
    expect(failing).toBeLessThan(0.4);
    expect(await running.misbehave("latency")).toEqual({ mode: "latency", active: true });
    await during(running, 40);
    const late = await during(running, 40);
    expect(slow(late)).toBeGreaterThan(0.5);
    expect(failed(late)).toBeLessThan(0.05);
    writeFlags(SERIAL);
    await sees(running, "false");
    await during(running, 50);
    const quiet = await during(running, 40);
    expect([slow(quiet) < 0.05, failed(quiet) < 0.05]).toEqual([true, true]);
  });

  test("leak: the resident memory grows with parallel, and goes back without it", async () => {
    writeFlags(SERIAL);
    const running = await service({ flags: `file=${flagFile}`, misbehave: "leak" });
    const memory = async (): Promise<number> => (await running.metrics())("process_resident_memory_bytes");
    await during(running, 50);
    const before = await memory();
    writeFlags(ALL_ON);
    await until(memory, (now) => now > before + 80e6, 20_000);
    writeFlags(SERIAL);
    await until(memory, (now) => now < before + 40e6);
  });

  test("crash: it comes back on its port and goes on crashing until parallel is off", async () => {
    writeFlags(SERIAL);
    const running = await service({ flags: `file=${flagFile}`, restartDelayMs: 100 });
    const pid = running.pid();
    expect(await running.misbehave("crash")).toEqual({ mode: "crash", active: false });
    writeFlags(ALL_ON);
    await until(running.crashes, (crashes) => crashes >= 2);
    writeFlags(SERIAL);
    await until(running.healthy, (healthy) => healthy);
    await sees(running, "false");
    const crashes = running.crashes();
    await during(running, 20);
    expect([running.crashes(), running.pid() === pid]).toEqual([crashes, false]);
    expect(await running.misbehaviour()).toEqual({ mode: "crash", active: false });
  });

  test("a request that makes no sense is refused and changes nothing", async () => {
    const running = await service({});
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
  const temp = join(dir, "tmp");
  mkdirSync(temp);
  const env = { ...process.env, ...ALL_ON, TMPDIR: temp };
  const child = spawn(process.execPath, argv, { env, stdio: ["ignore", "pipe", "inherit"] });
  cleanups.push(() => void child.kill("SIGKILL"));
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
    const { port } = await service({});
    await expect(startService({ port })).rejects.toThrow("EADDRINUSE");
    await expect(startService({ envFile: join(dir, "none.env") })).rejects.toThrow("none.env");
    await expect(startService({ seed: -1 })).rejects.toThrow(/code 2\n--seed: .*\n\nusage:/);
  });

  test("the keeper gives up in the end, and stops for good in the middle of a restart", async () => {
    const events: string[] = [];
    const onEvent = ({ event }: { event: string }): void => void events.push(event);
    const sick = await service({
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
    const well = await service({});
    const restarting = well.restart();
    await Promise.all([well.stop(), well.stop(), restarting]);
    await expect(well.restart()).rejects.toThrow("was stopped");
    expect(await well.healthy()).toBe(false);
  });
});
