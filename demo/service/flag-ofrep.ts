/** Asks an OFREP server (OpenFeature Remote Evaluation Protocol) for all flags every 100 ms, by bulk evaluation with an ETag. */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { FEATURE_KEYS, type FeatureKey, type FlagSetting, type PartialFlagSettings } from "./features.ts";
import type { FlagListener, FlagSource } from "./flag-file.ts";

const POLL_EVERY_MS = 100;
/** From the first byte sent to the last byte read; a server that drips is a server that is down. */
const DEADLINE_MS = 500;
const MAX_BYTES = 1024 * 1024;

const metadataSchema = z.object({
  percent: z.number().min(0).max(100).optional(),
  on: z.string().optional(),
  off: z.string().optional(),
});
const flagSchema = z.object({
  key: z.string(),
  value: z.union([z.string(), z.boolean()]).optional(),
  errorCode: z.string().optional(),
  metadata: metadataSchema.optional(),
});
const answerSchema = z.object({ flags: z.array(z.unknown()) });

type Answer =
  | { readonly kind: "same" }
  | { readonly kind: "new"; readonly settings: PartialFlagSettings; readonly etag: string | undefined };

/** Parses a bulk answer. A flag with an errorCode, or one that makes no sense, is left out; throws on anything else wrong. */
export function parseBulkAnswer(text: string): PartialFlagSettings {
  const answer = answerSchema.parse(JSON.parse(text));
  const settings: Partial<Record<FeatureKey, FlagSetting>> = {};
  for (const raw of answer.flags) {
    const flag = flagSchema.safeParse(raw);
    if (!flag.success || flag.data.errorCode !== undefined) continue;
    const key = FEATURE_KEYS.find((known) => known === flag.data.key);
    if (key === undefined) continue;
    const { value, metadata } = flag.data;
    if (metadata?.percent !== undefined) {
      const { percent, on = "true", off = "false" } = metadata;
      settings[key] = { kind: "percent", percent, on, off };
    } else if (value !== undefined) settings[key] = { kind: "value", value: String(value) };
  }
  return settings;
}

/** Polls the server at `baseUrl` with the service's own targeting key; resolves after the first answer or its failure. */
export async function followOfrep(
  baseUrl: string,
  targetingKey: string,
  listener: FlagListener,
): Promise<FlagSource> {
  const url = new URL("ofrep/v1/evaluate/flags", baseUrl.endsWith("/") ? baseUrl : `${baseUrl}/`);
  const body = JSON.stringify({ context: { targetingKey } });
  const stopping = new AbortController();
  let etag: string | undefined;

  async function poll(): Promise<void> {
    try {
      const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(DEADLINE_MS)]);
      const answer = await ask(url, body, etag, signal);
      if (stopping.signal.aborted || answer.kind === "same") return;
      etag = answer.etag;
      listener.found(answer.settings);
    } catch {
      if (stopping.signal.aborted) return;
      // After a failure the whole answer is wanted again: a server that lost its state may reuse a tag.
      etag = undefined;
      listener.lost();
    }
  }
  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      await delay(POLL_EVERY_MS);
      if (!stopping.signal.aborted) await poll();
    }
  }

  await poll();
  void loop();
  return { stop: () => stopping.abort() };
}

async function ask(url: URL, body: string, etag: string | undefined, signal: AbortSignal): Promise<Answer> {
  const headers: Record<string, string> = { "content-type": "application/json", accept: "application/json" };
  if (etag !== undefined) headers["if-none-match"] = etag;
  const response = await fetch(url, { method: "POST", headers, body, signal, redirect: "error" });
  if (response.status === 304 && etag !== undefined) {
    await response.body?.cancel();
    return { kind: "same" };
  }
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`OFREP answered ${response.status}`);
  }
  const text = await readLimited(response);
  return { kind: "new", settings: parseBulkAnswer(text), etag: response.headers.get("etag") ?? undefined };
}

async function readLimited(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BYTES) throw new Error(`OFREP answered more than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
