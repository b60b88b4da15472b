/** The bot platform as a process: five bots, the users who chat with them, and the pool of connections they share. */
import { parseArgs } from "node:util";
import { serve } from "@hono/node-server";
import { z } from "zod";
import { type Bot, createBot } from "./bot.ts";
import { createControl } from "./control.ts";
import { followFlags } from "./flags.ts";
import { createApp } from "./http.ts";
import { type BotName, createMetrics } from "./metrics.ts";
import { createPool } from "./pool.ts";
import { createUsers } from "./users.ts";

const USAGE = `usage: main.ts --model URL --store PORT [options]
  --port N            port on 127.0.0.1, 0 for any free one (0)
  --model URL         where the model server is
  --store PORT        port of the database on 127.0.0.1
  --ofrep URL         where flags are asked for; without it all are off
  --users N           users at first (30)
  --pool N            database connections at first (20)
  --control-file PATH keeps what POST /control says over a restart`;

const port = z.coerce.number().int().min(0).max(65_535);
const optionsSchema = z.object({
  port: port.default(0),
  model: z.url(),
  store: port,
  ofrep: z.url().optional(),
  users: z.coerce.number().int().min(0).max(150).default(30),
  pool: z.coerce.number().int().min(1).max(100).default(20),
  "control-file": z.string().optional(),
});
type Options = z.output<typeof optionsSchema>;

async function main(options: Options): Promise<void> {
  const control = createControl(options["control-file"], {
    misbehave: "none",
    leak: false,
    users: options.users,
    pool: options.pool,
  });
  const flags = await followFlags(options.ofrep);
  const pool = createPool({
    port: options.store,
    size: control.now().pool,
    onQuery: (seconds) => metrics.queried(seconds),
  });
  const users = createUsers({ ask: (bot, user, message) => bots[bot].answer(user, message) });
  const metrics = createMetrics({
    activeUsers: users.active,
    contextBytes: (bot) => bots[bot].contextBytes(),
    pool: pool.figures,
  });
  const botOf = (name: BotName): Bot =>
    createBot(name, { flags, control, metrics, pool, model: options.model });
  const bots: Readonly<Record<BotName, Bot>> = {
    support: botOf("support"),
    sales: botOf("sales"),
    people: botOf("people"),
    travel: botOf("travel"),
    billing: botOf("billing"),
  };
  control.onChange((now) => {
    users.set(now.users);
    pool.resize(now.pool);
  });
  const app = createApp({ flags, metrics, control });
  const server = serve({ fetch: app.fetch, hostname: "127.0.0.1", port: options.port }, (address) => {
    users.set(control.now().users);
    say({ event: "listening", port: address.port, pid: process.pid });
  });
  server.on("error", fail);
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function fail(error: unknown): never {
  process.stderr.write(`the bots cannot start: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

function optionsOrExit(): Options {
  const text = { type: "string" } as const;
  try {
    const { values } = parseArgs({
      options: {
        port: text,
        model: text,
        store: text,
        ofrep: text,
        users: text,
        pool: text,
        "control-file": text,
      },
      strict: true,
    });
    return optionsSchema.parse(values);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}\n`);
    process.exit(2);
  }
}

// Nothing is kept that could be lost, so a signal ends it at once.
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));
// Nobody may be reading any more: that is no reason to fail.
process.stdout.on("error", () => {});
await main(optionsOrExit()).catch(fail);
