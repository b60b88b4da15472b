/** The model server as a process: it speaks the two calls of Ollama's API that the bots use, and works some 20 ms for each answer. */
import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { stream } from "hono/streaming";
import { z } from "zod";
import { MODELS } from "./models.ts";

const MAX_BODY_BYTES = 64 * 1024;
/** Answers that are worked on at the same time; the others wait their turn. */
const SLOTS = 4;
const MOST_WAITING = 200;
const TOKENS = 8;
const MOST_TOKENS = 200;
const TOKEN_MS = 2.5;
const WORDS =
  "yes no the invoice ticket is paid open please ask your team about travel days and try it again".split(" ");

const requestSchema = z.object({
  model: z.string().min(1).max(100),
  prompt: z.string().max(20_000),
  stream: z.boolean().default(true),
  options: z.object({ num_predict: z.int().min(1).max(MOST_TOKENS).default(TOKENS) }).prefault({}),
});

/** A bounded number of slots, given out in the order in which they are asked for. */
function createSlots() {
  let free = SLOTS;
  const waiting: (() => void)[] = [];
  return {
    full: () => waiting.length >= MOST_WAITING,
    take: async () => {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
    },
    give: () => {
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    },
  };
}

/** The words of an answer, one after the other; each takes its time. The same prompt gets the same answer. */
async function* wordsFor(prompt: string, tokens: number): AsyncGenerator<string> {
  const startedMs = performance.now();
  let state = createHash("sha256").update(prompt).digest();
  for (let made = 1; made <= tokens; made++) {
    state = createHash("sha256").update(state).digest();
    const dueMs = startedMs + made * TOKEN_MS;
    const leftMs = dueMs - performance.now();
    // A timer cannot wait for less than a millisecond.
    if (leftMs >= 1) await delay(leftMs);
    yield `${WORDS[(state[0] ?? 0) % WORDS.length] ?? ""} `;
  }
}

function createApp(): Hono {
  const app = new Hono();
  const slots = createSlots();
  app.get("/api/tags", (c) => c.json({ models: MODELS.map((name) => ({ name, model: name })) }));
  app.post("/api/generate", bodyLimit({ maxSize: MAX_BODY_BYTES }), async (c) => {
    const asked = requestSchema.safeParse(await c.req.json().catch(() => undefined));
    if (!asked.success) return c.json({ error: "expected { model, prompt }" }, 400);
    const { model, prompt, options } = asked.data;
    if (!MODELS.some((known) => known === model)) return c.json({ error: `model '${model}' not found` }, 404);
    if (slots.full()) return c.json({ error: "server busy" }, 503);
    const part = (response: string, done: boolean) =>
      `${JSON.stringify({ model, created_at: new Date().toISOString(), response, done })}\n`;
    await slots.take();
    if (!asked.data.stream) {
      try {
        let text = "";
        for await (const word of wordsFor(prompt, options.num_predict)) text += word;
        return c.body(part(text, true), 200, { "content-type": "application/json" });
      } finally {
        slots.give();
      }
    }
    c.header("content-type", "application/x-ndjson");
    return stream(c, async (out) => {
      try {
        for await (const word of wordsFor(prompt, options.num_predict)) await out.write(part(word, false));
        await out.write(part("", true));
      } finally {
        slots.give();
      }
    });
  });
  return app;
}

const { values } = parseArgs({ options: { port: { type: "string", default: "0" } }, strict: true });
const server = serve(
  { fetch: createApp().fetch, hostname: "127.0.0.1", port: z.coerce.number().int().parse(values.port) },
  ({ port }) => {
    process.stdout.write(`${JSON.stringify({ event: "listening", port, pid: process.pid })}\n`);
  },
);
server.on("error", (error) => {
  process.stderr.write(`the model server cannot start: ${error.message}\n`);
  process.exit(1);
});
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));
