/** What the bots tell Prometheus: counted where it happens, every series there from the start. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { PoolFigures } from "./pool.ts";

/** The five bots of the platform. */
export const BOTS = ["support", "sales", "people", "travel", "billing"] as const;
export type BotName = (typeof BOTS)[number];

/** Figures read at each scrape. */
export interface Readers {
  readonly activeUsers: (bot: BotName) => number;
  readonly contextBytes: (bot: BotName) => number;
  readonly pool: () => PoolFigures;
}

export interface Metrics {
  /** One message was answered, well or badly; `seconds` since it came in. */
  readonly replied: (bot: BotName, failed: boolean, seconds: number) => void;
  readonly cacheLookup: (bot: BotName, hit: boolean) => void;
  readonly queried: (seconds: number) => void;
  readonly scrape: () => Promise<string>;
  readonly contentType: string;
}

/** Creates all metrics. */
export function createMetrics(readers: Readers): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const counter = (name: string, help: string) => {
    const made = new Counter({ name, help, labelNames: ["bot"], registers });
    for (const bot of BOTS) made.inc({ bot }, 0);
    return made;
  };
  const replies = counter("bot_replies_total", "Messages answered, well or badly.");
  const errors = counter("bot_reply_errors_total", "Messages answered with an apology.");
  const lookups = counter("bot_cache_lookups_total", "Look-ups in the response cache.");
  const hits = counter("bot_cache_hits_total", "Look-ups that found an answer.");
  const seconds = new Histogram({
    name: "bot_reply_seconds",
    help: "Time from a message coming in until its answer, good or bad.",
    labelNames: ["bot"],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.45, 0.75, 1.2, 2, 3.2, 5],
    registers,
  });
  for (const bot of BOTS) seconds.zero({ bot });
  const queries = new Histogram({
    name: "bot_db_query_seconds",
    help: "Time of one query of the database, without the wait for a connection.",
    buckets: [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1],
    registers,
  });
  createGauges(registry, readers);
  return {
    replied: (bot, failed, took) => {
      replies.inc({ bot });
      if (failed) errors.inc({ bot });
      seconds.observe({ bot }, took);
    },
    cacheLookup: (bot, hit) => {
      lookups.inc({ bot });
      if (hit) hits.inc({ bot });
    },
    queried: (took) => queries.observe(took),
    scrape: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

function createGauges(registry: Registry, readers: Readers): void {
  const registers = [registry];
  const perBot = (name: string, help: string, read: (bot: BotName) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ["bot"],
      registers,
      collect() {
        for (const bot of BOTS) this.set({ bot }, read(bot));
      },
    });
  const one = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  perBot("bot_active_users", "Users with an open chat.", readers.activeUsers);
  perBot("bot_context_bytes", "What a bot keeps in memory of its chats.", readers.contextBytes);
  one("bot_db_pool_used", "Database connections in use.", () => readers.pool().used);
  one("bot_db_pool_size", "Database connections there may be.", () => readers.pool().size);
  one("bot_db_pool_waiting", "Messages that wait for a connection.", () => readers.pool().waiting);
  one("process_resident_memory_bytes", "Resident memory of the process of all five bots.", () =>
    process.memoryUsage.rss(),
  );
  one(
    "process_start_time_seconds",
    "Start of the process, Unix seconds.",
    () => performance.timeOrigin / 1_000,
  );
}
