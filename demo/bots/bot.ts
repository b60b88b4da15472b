/** One bot: reads a message, asks the model, answers; it apologises when that does not work in time. */
import type { Control } from "./control.ts";
import type { BotFlags } from "./flags.ts";
import type { BotName, Metrics } from "./metrics.ts";
import { askModel, MODELS } from "./models.ts";
import type { Pool } from "./pool.ts";

const CACHE_ENTRIES = 200;
const CACHE_MS = 10_000;
const SORRY = "Sorry, I cannot answer at the moment.";
/** What one message leaves in memory. */
const CONTEXT_BYTES = 64 * 1024;
const CONTEXTS_KEPT = 16;
/** Where the leak ends, for each bot: the machine of who watches the demo has other things to do. */
const LEAK_MOST_BYTES = 60_000_000;
const [MODEL, NEW_MODEL] = MODELS;
/** A model that nobody has uploaded. */
const MISSING_MODEL = "parrot:2b-draft";
const ENDLESS_WORDS = 80;

export interface BotParts {
  readonly flags: BotFlags;
  readonly control: Control;
  readonly metrics: Metrics;
  readonly pool: Pool;
  /** `http://127.0.0.1:PORT` of the model server. */
  readonly model: string;
}

export interface Bot {
  /** The answer to a user's message; an apology where there is none. Never rejects. */
  readonly answer: (user: string, message: string) => Promise<string>;
  readonly contextBytes: () => number;
}

/** Creates one of the five bots; the parts are shared with the others. */
export function createBot(name: BotName, parts: BotParts): Bot {
  const { flags, control, metrics } = parts;
  const cache = new Map<string, { readonly reply: string; readonly untilMs: number }>();
  const contexts: Uint8Array[] = [];

  function fromCache(message: string): string | undefined {
    const found = cache.get(message);
    const fresh = found !== undefined && found.untilMs > performance.now();
    metrics.cacheLookup(name, fresh);
    return fresh ? found.reply : undefined;
  }
  function intoCache(message: string, reply: string): void {
    cache.delete(message);
    cache.set(message, { reply, untilMs: performance.now() + CACHE_MS });
    const [oldest] = cache.keys();
    if (cache.size > CACHE_ENTRIES && oldest !== undefined) cache.delete(oldest);
  }
  function remember(): void {
    const most = control.now().leak ? LEAK_MOST_BYTES / CONTEXT_BYTES : CONTEXTS_KEPT;
    // Written to, so that it is memory and not a promise of it.
    contexts.push(new Uint8Array(CONTEXT_BYTES).fill(1));
    if (contexts.length > most) contexts.splice(0, contexts.length - Math.floor(most));
  }
  async function reply(user: string, message: string): Promise<string> {
    const cached = flags.on("response-cache", user);
    const known = cached ? fromCache(message) : undefined;
    if (known !== undefined) return known;
    const text = await think(name, parts, user, message);
    if (cached) intoCache(message, text);
    return text;
  }
  return {
    async answer(user, message) {
      const startedMs = performance.now();
      const done = (failed: boolean): void =>
        metrics.replied(name, failed, (performance.now() - startedMs) / 1_000);
      remember();
      try {
        const text = await reply(user, message);
        done(false);
        return text;
      } catch {
        // Whatever it was, the user gets an answer, and the counter says that it was none.
        done(true);
        return SORRY;
      }
    },
    contextBytes: () => contexts.length * CONTEXT_BYTES,
  };
}

/** A connection is held from the first query to the last: where the model is slow, the pool runs out. */
function think(name: BotName, parts: BotParts, user: string, message: string): Promise<string> {
  const { flags, control, pool, model: origin } = parts;
  const { misbehave } = control.now();
  const isNew = flags.on("new-model", user);
  const missing = isNew && misbehave === "errors";
  const endless = isNew && misbehave === "slow";
  return pool.use(async (connection) => {
    const history = await connection.history(user);
    const text = await askModel(origin, {
      model: missing ? MISSING_MODEL : isNew ? NEW_MODEL : MODEL,
      prompt: [`You are the ${name} bot.`, ...history, message].join("\n"),
      stream: flags.on("streaming-replies", user),
      ...(endless ? { words: ENDLESS_WORDS } : {}),
    });
    await connection.save(user, `${message} - ${text}`);
    return text;
  });
}
