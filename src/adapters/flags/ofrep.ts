/** The OpenFeature Remote Evaluation Protocol (OFREP 0.3, https://github.com/open-feature/protocol) served from a flags file. */
import { createHash } from "node:crypto";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import type { FlagsNow } from "./file.ts";
import type { Entry } from "./flags-json.ts";

const MAX_BODY_BYTES = 64 * 1024;
const BUCKETS = 10_000;
/** What a client that polls is advised to keep to; nothing enforces it. */
const LEAST_POLL_MS = 100;

const requestSchema = z.looseObject({ context: z.looseObject({ targetingKey: z.string().optional() }) });

/** The outcome for one flag, as the protocol writes it. */
type Evaluation =
  | {
      readonly key: string;
      readonly value: string | boolean;
      readonly reason: "STATIC" | "SPLIT";
      readonly variant?: string;
      readonly metadata: Readonly<Record<string, string | number>>;
    }
  | {
      readonly key: string;
      readonly errorCode: "PARSE_ERROR" | "TARGETING_KEY_MISSING" | "FLAG_NOT_FOUND";
      readonly errorDetails: string;
    };

type Asked =
  | { readonly kind: "asked"; readonly targetingKey: string | undefined }
  | {
      readonly kind: "wrong";
      readonly errorCode: "PARSE_ERROR" | "INVALID_CONTEXT";
      readonly errorDetails: string;
    };

/**
 * The routes `POST /ofrep/v1/evaluate/flags/{key}`, `POST /ofrep/v1/evaluate/flags` and `GET /ofrep/v1/configuration` (the last for clients of
 * OFREP 0.2). `source` is asked at each request, so that a write shows at once.
 */
export function ofrepRoutes(source: () => Promise<FlagsNow>): Hono {
  const app = new Hono();
  app.use("/ofrep/*", bodyLimit({ maxSize: MAX_BODY_BYTES, onError: tooLarge }));
  app.onError((_error, c) => c.json({ errorDetails: "the flags cannot be read at present" }, 500));

  app.post("/ofrep/v1/evaluate/flags", async (c) => {
    const asked = await askedOf(c);
    if (asked.kind === "wrong")
      return c.json({ errorCode: asked.errorCode, errorDetails: asked.errorDetails }, 400);
    const { file, stale } = await source();
    const flags = [...file.entries].map(([key, entry]) => evaluate(key, entry, asked.targetingKey));
    return tagged(c, { flags, metadata: { version: file.version, ...(stale ? { stale } : {}) } });
  });

  app.post("/ofrep/v1/evaluate/flags/:key", async (c) => {
    const key = c.req.param("key");
    const asked = await askedOf(c);
    if (asked.kind === "wrong")
      return c.json({ key, errorCode: asked.errorCode, errorDetails: asked.errorDetails }, 400);
    const { file } = await source();
    const evaluation = evaluate(key, file.entries.get(key), asked.targetingKey);
    if (!("errorCode" in evaluation)) return c.json(evaluation);
    return c.json(evaluation, evaluation.errorCode === "FLAG_NOT_FOUND" ? 404 : 400);
  });

  app.get("/ofrep/v1/configuration", (c) =>
    tagged(c, {
      name: "belay",
      capabilities: {
        cacheInvalidation: { polling: { enabled: true, minPollingIntervalMs: LEAST_POLL_MS } },
        flagEvaluation: { supportedTypes: ["boolean", "string"] },
        caching: { enabled: false },
      },
    }),
  );
  return app;
}

function tooLarge(c: Context): Response {
  return c.json(
    { errorCode: "PARSE_ERROR", errorDetails: `a request holds at most ${MAX_BODY_BYTES} bytes` },
    413,
  );
}

async function askedOf(c: Context): Promise<Asked> {
  let body: unknown;
  try {
    body = JSON.parse(await c.req.text());
  } catch {
    return { kind: "wrong", errorCode: "PARSE_ERROR", errorDetails: "the body is not JSON" };
  }
  const parsed = requestSchema.safeParse(body);
  if (!parsed.success) {
    const errorDetails =
      'expected {"context": {"targetingKey": "..."}}: an object with a context whose targetingKey is text';
    return { kind: "wrong", errorCode: "INVALID_CONTEXT", errorDetails };
  }
  const { targetingKey } = parsed.data.context;
  return { kind: "asked", targetingKey: targetingKey === "" ? undefined : targetingKey };
}

/**
 * The bucket (0 to 9999) of a targeting key for a flag: the first four bytes of sha256("FLAG:TARGETING_KEY"), big-endian, modulo 10,000. A key
 * keeps its bucket, so a share that grows only adds keys.
 */
export function bucketOf(flagKey: string, targetingKey: string): number {
  return createHash("sha256").update(`${flagKey}:${targetingKey}`).digest().readUInt32BE(0) % BUCKETS;
}

function evaluate(key: string, entry: Entry | undefined, targetingKey: string | undefined): Evaluation {
  if (entry === undefined) return { key, errorCode: "FLAG_NOT_FOUND", errorDetails: "there is no such flag" };
  if (entry.kind === "odd")
    return {
      key,
      errorCode: "PARSE_ERROR",
      errorDetails: "the flag's entry in the flags file makes no sense",
    };
  const { value, percent, on, off } = entry.served;
  if (percent === undefined) {
    const variant = value === on ? { variant: "on" } : value === off ? { variant: "off" } : {};
    return { key, value: typed(value), reason: "STATIC", ...variant, metadata: { rev: entry.rev } };
  }
  if (targetingKey === undefined) {
    return {
      key,
      errorCode: "TARGETING_KEY_MISSING",
      errorDetails: `${percent} % of targeting keys get this flag: the context needs a targetingKey`,
    };
  }
  const isOn = bucketOf(key, targetingKey) < percent * 100;
  return {
    key,
    value: typed(isOn ? on : off),
    reason: "SPLIT",
    variant: isOn ? "on" : "off",
    metadata: { rev: entry.rev, percent, on, off },
  };
}

/**
 * `true` and `false` are served as booleans, because that is what the SDKs ask on-off flags for. Every other literal stays text: the store keeps no
 * types, and a guessed number would turn "007" or "1e3" into something else.
 */
function typed(literal: string): string | boolean {
  if (literal === "true") return true;
  return literal === "false" ? false : literal;
}

/** The answer with an ETag made from it, or 304 when the client has that very answer. */
function tagged(c: Context, body: object): Response {
  const text = JSON.stringify(body);
  const etag = `"${createHash("sha256").update(text).digest("base64url").slice(0, 27)}"`;
  const known = (c.req.header("if-none-match") ?? "").split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  if (known.includes(etag) || known.includes("*")) return c.body(null, 304, { ETag: etag });
  return c.body(text, 200, { ETag: etag, "Content-Type": "application/json" });
}
