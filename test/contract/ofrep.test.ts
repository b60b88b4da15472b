/** OFREP over HTTP: the protocol's statuses and bodies, shares by stable hash, and that a write shows at once. */
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { serve } from "@hono/node-server";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFileStore, type FileStore } from "../../src/adapters/flags/file.ts";
import { bucketOf, ofrepRoutes } from "../../src/adapters/flags/ofrep.ts";
import { OFF, ON } from "../../src/core/setting.ts";
import { BATCHING, flagDef, LIMIT, PARALLEL, put, temporaryFolder } from "../support/flag-store-contract.ts";

interface Reply {
  readonly status: number;
  readonly etag: string | null;
  readonly body: unknown;
}

let path: string;
let store: FileStore;
let origin: string;
let close: () => Promise<void>;

beforeEach(async () => {
  const { folder, remove } = await temporaryFolder();
  path = join(folder, "flags.json");
  store = createFileStore({ path });
  const server = serve({ fetch: ofrepRoutes(() => store.current()).fetch, hostname: "127.0.0.1", port: 0 });
  if (!server.listening) await once(server, "listening");
  const address: AddressInfo | string | null = server.address();
  origin = `http://127.0.0.1:${address !== null && typeof address === "object" ? address.port : 0}`;
  close = async () => {
    const closed = once(server, "close");
    server.close();
    if ("closeAllConnections" in server) server.closeAllConnections();
    await closed;
    await remove();
  };
});
afterEach(() => close());

async function ask(
  route: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Reply> {
  const reply = await fetch(`${origin}${route}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
  });
  const text = await reply.text();
  return {
    status: reply.status,
    etag: reply.headers.get("etag"),
    body: text === "" ? undefined : JSON.parse(text),
  };
}
const one = (key: string, context: object = { targetingKey: "file-1.csv" }) =>
  ask(`/ofrep/v1/evaluate/flags/${key}`, JSON.stringify({ context }));
const bulk = (
  context: object = { targetingKey: "file-1.csv" },
  headers: Readonly<Record<string, string>> = {},
) => ask("/ofrep/v1/evaluate/flags", JSON.stringify({ context }), headers);

describe("one flag", () => {
  it("serves true and false as booleans, and every other literal as text", async () => {
    await store.write([
      put(PARALLEL, ON),
      put(BATCHING, OFF),
      put(LIMIT, ON),
      put(flagDef("mode", "MODE"), { kind: "value", value: "007" }),
    ]);
    expect(await one("FEATURE_PARALLEL")).toMatchObject({
      status: 200,
      body: { key: "FEATURE_PARALLEL", value: true, reason: "STATIC", variant: "on", metadata: { rev: 1 } },
    });
    expect((await one("FEATURE_BATCHING")).body).toMatchObject({
      value: false,
      reason: "STATIC",
      variant: "off",
    });
    expect((await one("BATCH_LIMIT")).body).toMatchObject({ value: "1000", reason: "STATIC", variant: "on" });
    const mode = (await one("MODE")).body;
    expect(mode).toMatchObject({ value: "007", reason: "STATIC" });
    expect(mode).not.toHaveProperty("variant");
  });

  it("does not know other flags, whatever they are called", async () => {
    await store.write([put(PARALLEL, ON)]);
    for (const key of ["NONE", "__proto__", "constructor", "feature_parallel"]) {
      expect(await one(key)).toEqual({
        status: 404,
        etag: null,
        body: { key, errorCode: "FLAG_NOT_FOUND", errorDetails: "there is no such flag" },
      });
    }
  });

  it.each([
    ["", "PARSE_ERROR"],
    ["{", "PARSE_ERROR"],
    ["[]", "INVALID_CONTEXT"],
    ["{}", "INVALID_CONTEXT"],
    ['{"context": "x"}', "INVALID_CONTEXT"],
    ['{"context": {"targetingKey": 5}}', "INVALID_CONTEXT"],
  ])("answers %j with 400 %s", async (body, errorCode) => {
    await store.write([put(PARALLEL, ON)]);
    expect(await ask("/ofrep/v1/evaluate/flags/FEATURE_PARALLEL", body)).toMatchObject({
      status: 400,
      body: { key: "FEATURE_PARALLEL", errorCode, errorDetails: expect.any(String) },
    });
    expect(await ask("/ofrep/v1/evaluate/flags", body)).toMatchObject({ status: 400, body: { errorCode } });
  });

  it("needs a targeting key for a share, and only for that", async () => {
    await store.write([put(PARALLEL, { kind: "percent", percent: 25 }), put(BATCHING, ON)]);
    for (const context of [{}, { targetingKey: "" }, { user: "x" }]) {
      expect(await one("FEATURE_PARALLEL", context)).toMatchObject({
        status: 400,
        body: { key: "FEATURE_PARALLEL", errorCode: "TARGETING_KEY_MISSING" },
      });
      expect(await one("FEATURE_BATCHING", context)).toMatchObject({ status: 200, body: { value: true } });
    }
  });

  it("says so when an entry of the file makes no sense", async () => {
    await writeFile(path, '{"flags": {"ODD": {"value": {}}, "FEATURE_PARALLEL": {"value": "true"}}}');
    expect(await one("ODD")).toMatchObject({ status: 400, body: { key: "ODD", errorCode: "PARSE_ERROR" } });
    expect((await bulk()).body).toMatchObject({
      flags: [
        { key: "ODD", errorCode: "PARSE_ERROR" },
        { key: "FEATURE_PARALLEL", value: true },
      ],
    });
  });
});

describe("shares", () => {
  it("puts a key into the bucket that everybody can compute", () => {
    // Computed with another program: int(sha256("FLAG:KEY")[:4], big-endian) % 10000.
    const known = [
      ["FEATURE_PARALLEL", "file-1.csv", 8988],
      ["FEATURE_PARALLEL", "file-2.csv", 420],
      ["FEATURE_BATCHING", "file-1.csv", 6704],
      ["K", "Köln", 5043],
    ] as const;
    expect(known.map(([flag, key]) => bucketOf(flag, key))).toEqual(known.map(([, , bucket]) => bucket));
  });

  it("gives the share to about that many keys, and keeps them when it grows", async () => {
    const keys = Array.from({ length: 10_000 }, (_, i) => `file-${i}.csv`);
    let before = new Set<string>();
    for (const percent of [1, 5, 25.5, 99]) {
      const having = new Set(keys.filter((key) => bucketOf("FEATURE_PARALLEL", key) < percent * 100));
      expect(Math.abs(having.size / 100 - percent)).toBeLessThan(1.6);
      expect([...before].filter((key) => !having.has(key))).toEqual([]);
      before = having;
    }
  });

  it("is served with its reason, its variant and its numbers", async () => {
    await store.write([put(LIMIT, { kind: "percent", percent: 50 })]);
    const seen = new Set<unknown>();
    for (let i = 0; i < 40; i++) {
      const isOn = bucketOf("BATCH_LIMIT", `file-${i}`) < 5_000;
      const { body } = await one("BATCH_LIMIT", { targetingKey: `file-${i}` });
      expect(body).toEqual({
        key: "BATCH_LIMIT",
        value: isOn ? "1000" : "1",
        reason: "SPLIT",
        variant: isOn ? "on" : "off",
        metadata: { rev: 1, percent: 50, on: "1000", off: "1" },
      });
      seen.add(isOn);
    }
    expect(seen.size).toBe(2);
  });
});

describe("all flags", () => {
  it("come with their metadata and a tag, and not again while nothing changes", async () => {
    await store.write([put(PARALLEL, { kind: "percent", percent: 25 }), put(BATCHING, ON)]);
    const first = await bulk();
    expect(first).toMatchObject({
      status: 200,
      body: {
        flags: [
          { key: "FEATURE_PARALLEL", reason: "SPLIT", metadata: { percent: 25, on: "true", off: "false" } },
          { key: "FEATURE_BATCHING", value: true, reason: "STATIC", variant: "on" },
        ],
        metadata: { version: 1 },
      },
    });
    const tag = first.etag ?? "";
    expect(tag).toMatch(/^"[\w-]{27}"$/);
    for (const known of [tag, `W/${tag}`, `"other", ${tag}`, "*"]) {
      expect(await bulk(undefined, { "if-none-match": known })).toEqual({
        status: 304,
        etag: tag,
        body: undefined,
      });
    }
    expect(await bulk(undefined, { "if-none-match": '"other"' })).toEqual(first);
  });

  it("have another tag for another context, where that matters", async () => {
    await store.write([put(PARALLEL, { kind: "percent", percent: 50 })]);
    const tags = new Set<string | null>();
    for (let i = 0; i < 20; i++) tags.add((await bulk({ targetingKey: `file-${i}` })).etag);
    expect(tags.size).toBe(2);
  });

  it("show a write at once, and an outside edit too", async () => {
    for (let i = 0; i < 20; i++) {
      const known = (await bulk()).etag ?? "";
      await store.write([put(PARALLEL, i % 2 === 0 ? ON : OFF)]);
      const next = await bulk(undefined, { "if-none-match": known });
      expect(next).toMatchObject({
        status: 200,
        body: { flags: [{ key: "FEATURE_PARALLEL", value: i % 2 === 0 }] },
      });
      await writeFile(path, `{"flags": {"FEATURE_PARALLEL": {"value": "edit ${i}"}}}`);
      expect((await bulk(undefined, { "if-none-match": next.etag ?? "" })).body).toMatchObject({
        flags: [{ value: `edit ${i}` }],
      });
    }
  });

  it("name a flag that cannot be evaluated, and serve the others", async () => {
    await store.write([put(PARALLEL, { kind: "percent", percent: 25 }), put(BATCHING, ON)]);
    expect((await bulk({})).body).toMatchObject({
      flags: [
        { key: "FEATURE_PARALLEL", errorCode: "TARGETING_KEY_MISSING" },
        { key: "FEATURE_BATCHING", value: true },
      ],
    });
  });

  it("are none while there is no file", async () => {
    expect(await bulk()).toMatchObject({ status: 200, body: { flags: [], metadata: { version: 0 } } });
  });

  it("stay what they were while the file is broken, and say so", async () => {
    await store.write([put(PARALLEL, ON)]);
    await writeFile(path, '{"flags": {');
    expect(await bulk()).toMatchObject({
      status: 200,
      body: { flags: [{ value: true }], metadata: { version: 1, stale: true } },
    });
  });

  it("cannot be told when the file is broken and nothing is known of before", async () => {
    await writeFile(path, '{"flags": {');
    const answer = { status: 500, etag: null, body: { errorDetails: "the flags cannot be read at present" } };
    expect(await bulk()).toEqual(answer);
    expect(await one("FEATURE_PARALLEL")).toEqual(answer);
  });
});

describe("the door", () => {
  it("takes 64 KiB and no more, however they are sent", async () => {
    await store.write([put(PARALLEL, ON)]);
    const body = (size: number) => {
      const start = '{"context": {"targetingKey": "';
      return `${start}${"x".repeat(size - start.length - 3)}"}}`;
    };
    expect((await ask("/ofrep/v1/evaluate/flags", body(65_536))).status).toBe(200);
    expect(await ask("/ofrep/v1/evaluate/flags", body(65_537))).toMatchObject({
      status: 413,
      body: { errorDetails: "a request holds at most 65536 bytes" },
    });
    const chunked = httpRequest(`${origin}/ofrep/v1/evaluate/flags`, {
      method: "POST",
      headers: { "transfer-encoding": "chunked" },
    });
    const answered = once(chunked, "response");
    chunked.on("error", () => {});
    chunked.end(body(200_000));
    const [response] = await answered;
    expect(response.statusCode).toBe(413);
    response.resume();
  });

  it("tells clients of OFREP 0.2 how to use it", async () => {
    const reply = await fetch(`${origin}/ofrep/v1/configuration`);
    expect(await reply.json()).toEqual({
      name: "belay",
      capabilities: {
        cacheInvalidation: { polling: { enabled: true, minPollingIntervalMs: 100 } },
        flagEvaluation: { supportedTypes: ["boolean", "string"] },
        caching: { enabled: false },
      },
    });
    const tag = reply.headers.get("etag") ?? "";
    expect(
      (await fetch(`${origin}/ofrep/v1/configuration`, { headers: { "if-none-match": tag } })).status,
    ).toBe(304);
  });

  it("knows no other way in", async () => {
    for (const method of ["GET", "PUT", "DELETE"]) {
      expect((await fetch(`${origin}/ofrep/v1/evaluate/flags`, { method })).status).toBe(404);
    }
  });
});
