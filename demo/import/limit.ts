/** The batch limit right now: asked of Belay's flag store over OFREP every 100 ms; from its file when that does not answer at the start; the last known one while neither does. */
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";

export const LIMIT_KEY = "IMPORT_BATCH_LIMIT";
const POLL_EVERY_MS = 100;
/** From the first byte sent to the last byte read. */
const DEADLINE_MS = 500;
/** What is safe, before anybody has said anything. */
const LEAST_LIMIT = 10;

const limit = z.union([z.string(), z.number()]).pipe(z.coerce.number<string | number>().int().positive());
const answerSchema = z.object({ key: z.literal(LIMIT_KEY), value: limit });
const fileSchema = z.object({ flags: z.object({ [LIMIT_KEY]: z.object({ value: limit }) }) });

export interface BatchLimit {
  readonly now: () => number;
  /** `last`: neither store answers, and the limit is the last known one. */
  readonly source: () => "ofrep" | "file" | "last" | "none";
}

export interface LimitOptions {
  /** Base address of Belay. */
  readonly ofrep: string | undefined;
  /** Path of its flags.json. */
  readonly file: string | undefined;
}

/** Begins to follow the limit; resolves after the first answer or its failure. */
export async function followLimit({ ofrep, file }: LimitOptions): Promise<BatchLimit> {
  let now: number | undefined;
  let source: ReturnType<BatchLimit["source"]> = "none";
  async function poll(): Promise<void> {
    for (const [name, ask] of [
      ["ofrep", ofrep === undefined ? undefined : () => askOfrep(ofrep)],
      ["file", file === undefined ? undefined : () => readFrom(file)],
    ] as const) {
      const found = await ask?.().catch(() => undefined);
      if (found === undefined) continue;
      now = found;
      source = name;
      return;
    }
    if (now !== undefined) source = "last";
  }
  async function loop(): Promise<void> {
    for (;;) {
      await delay(POLL_EVERY_MS);
      await poll();
    }
  }
  await poll();
  void loop();
  return { now: () => now ?? LEAST_LIMIT, source: () => source };
}

async function askOfrep(base: string): Promise<number> {
  const response = await fetch(new URL(`/ofrep/v1/evaluate/flags/${LIMIT_KEY}`, base), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ context: { targetingKey: "bulk-import" } }),
    signal: AbortSignal.timeout(DEADLINE_MS),
    redirect: "error",
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`OFREP answered ${response.status}`);
  return answerSchema.parse(JSON.parse(text)).value;
}

async function readFrom(path: string): Promise<number> {
  return fileSchema.parse(JSON.parse(await readFile(path, "utf8"))).flags[LIMIT_KEY].value;
}
