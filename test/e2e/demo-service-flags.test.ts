/** What the ingestion service is made of, and how flags reach the running process: file, OFREP, percentage, environment. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { buildCatalogue, corpusFile, isMalformed } from "../../demo/service/corpus.ts";
import { bucketOf, bucketsOf, isOn, settingText, shareOn } from "../../demo/service/features.ts";
import { followFlagFile, parseFlagFile } from "../../demo/service/flag-file.ts";
import { parseBulkAnswer } from "../../demo/service/flag-ofrep.ts";
import { startFlags } from "../../demo/service/flags.ts";
import { lineageOf } from "../../demo/service/lineage.ts";
import { createMisbehaviour } from "../../demo/service/misbehaviour.ts";
import { parseOptions } from "../../demo/service/options.ts";
import { createParseCache } from "../../demo/service/parse-cache.ts";
import { parseSql } from "../../demo/service/sql.ts";
import { ALL_ON, during, files, SERIAL, sees, until, useServiceGround } from "../support/service-ground.ts";

const ground = useServiceGround();

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
    ground.atEnd(() => void vi.useRealTimers());
    const found: string[] = [];
    const lost = (): void => void found.push("lost");
    const source = await followFlagFile(ground.flagFile, {
      found: (flags) => found.push(Object.keys(flags).join()),
      lost,
    });
    ground.atEnd(source.stop);
    ground.writeFlags({ FEATURE_PARALLEL: "true" });
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
    ground.writeFlags(ALL_ON);
    const flags = await startFlags({
      env: {},
      ofrepUrl: undefined,
      filePath: ground.flagFile,
      targetingKey: "t",
    });
    ground.atEnd(flags.stop);
    const sick = createMisbehaviour({ initial: "leak", stateFile: undefined, flags, crash: () => {} });
    const before = process.memoryUsage.rss();
    const grown = (): number => process.memoryUsage.rss() - before;
    for (let file = 0; file < 5_000; file += 1) sick.taken(bucketsOf("any"));
    expect(grown()).toBeGreaterThan(250e6);
    expect(grown()).toBeLessThan(350e6);
    ground.writeFlags(SERIAL);
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
  ground.atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  ofrep.url = `http://127.0.0.1:${z.object({ port: z.number() }).parse(server.address()).port}`;
  return ofrep;
}

describe("flag sources", () => {
  test("the file: a flip is seen within 500 ms, a missing or broken file changes nothing", async () => {
    // The folder comes later than the service, so it cannot be watched.
    ground.flagFile = join(ground.dir, "later", "flags.json");
    const running = await ground.service({ flags: `file=${ground.flagFile}` });
    expect((await sees(running, "false", "env")).flags.FEATURE_METRICS).toBe("true");
    mkdirSync(join(ground.dir, "later"));
    for (const value of ["true", "false", "true"]) {
      ground.writeFlags({ FEATURE_PARALLEL: value });
      await sees(running, value);
    }
    rmSync(ground.flagFile);
    await sees(running, "true", "last");
    ground.writeFlags({ FEATURE_BATCHING: "true" });
    await sees(running, "true");
    writeFileSync(ground.flagFile, '{"version":9,"flags":{"FEATURE_PARALLEL":{"value":"fal');
    await sees(running, "true", "last");
    ground.writeFlags({ FEATURE_PARALLEL: "false" });
    expect((await sees(running, "false")).flags.FEATURE_BATCHING).toBe("true");
  });

  test("OFREP: a flip is seen within 500 ms; when it is down the file answers, then the last value", async () => {
    const ofrep = await startOfrep();
    const answer = (flag: object): void => void Object.assign(ofrep, { flags: [flag], tag: ofrep.tag + 1 });
    const running = await ground.service({ flags: `ofrep=${ofrep.url},file=${ground.flagFile}` });
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
    ground.writeFlags({ FEATURE_PARALLEL: "true" });
    await sees(running, "true");
    ofrep.mode = "up";
    await sees(running, "false", "ofrep");
    ofrep.mode = "hang";
    await sees(running, "true", "file", 2_000);
    ground.writeFlags({ FEATURE_PARALLEL: "false" });
    await sees(running, "false");
  });

  test("a percentage holds for that share of the files", async () => {
    ground.writeFlags({ ...ALL_ON, FEATURE_PARSE_CACHE: { percent: 25 } });
    const running = await ground.service({ flags: `file=${ground.flagFile}` });
    const work = await during(running, 400);
    expect(Math.abs(work("ingestion_cache_lookups_total") / files(work) - 0.25)).toBeLessThan(0.08);
    const now = await running.metrics();
    expect(now('feature_enabled{flag="FEATURE_PARSE_CACHE"}')).toBe(1);
    expect(now('feature_share{flag="FEATURE_PARSE_CACHE"}')).toBe(0.25);
    expect((await running.features()).optimisation_level).toBe(3);
  });

  test("the environment: a flip takes a restart, and the new process is younger than the file", async () => {
    const envFile = join(ground.dir, "features.env");
    writeFileSync(envFile, "FEATURE_PARALLEL=false\nFEATURE_BATCHING=true\n");
    const running = await ground.service({ envFile });
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
