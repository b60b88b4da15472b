/** The bulk import as a process: it imports a source of records into a database, batch by batch, while readers ask that database. */
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { serve } from "@hono/node-server";
import { z } from "zod";
import { createControl } from "./control.ts";
import { createApp } from "./http.ts";
import { createImporter, type Importer } from "./importer.ts";
import { followLimit } from "./limit.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { openImportStore } from "./store.ts";

const USAGE = `usage: main.ts --database PATH [options]
  --port N            port on 127.0.0.1, 0 for any free one (0)
  --database PATH     the SQLite file; an import that was killed goes on in it
  --ofrep URL         where the batch limit is asked for
  --flags-file PATH   where it is read when that does not answer
  --records N         how many records there are to import (500000)`;

/** Between two queries of the readers. */
const READ_EVERY_MS = 20;

const optionsSchema = z.object({
  port: z.coerce.number().int().min(0).max(65_535).default(0),
  database: z.string().min(1),
  ofrep: z.url().optional(),
  "flags-file": z.string().optional(),
  records: z.coerce.number().int().min(1).max(10_000_000).default(500_000),
});
type Options = z.output<typeof optionsSchema>;

async function main(options: Options): Promise<void> {
  const { database, ofrep, port, records } = options;
  const store = openImportStore(database);
  const control = createControl(`${database}.control.json`);
  const limit = await followLimit({ ofrep, file: options["flags-file"] });
  const metrics = createMetrics({
    stored: () => importer.stored(),
    limit: limit.now,
    mismatched: () => importer.mismatched(),
  });
  const importer = createImporter({ store, limit, control, metrics, total: records });
  const app = createApp({ importer, limit, metrics, control });
  const server = serve({ fetch: app.fetch, hostname: "127.0.0.1", port }, (address) => {
    process.stdout.write(
      `${JSON.stringify({ event: "listening", port: address.port, stored: importer.stored() })}\n`,
    );
    importer.run().catch(fail);
    readFor(importer, metrics).catch(fail);
  });
  server.on("error", fail);
}

/** The readers of the database: one query after the other, of any record that is in. */
async function readFor(importer: Importer, metrics: Metrics): Promise<never> {
  for (let n = 1; ; n++) {
    const since = performance.now();
    await importer.read(1 + ((n * 7_919) % Math.max(1, importer.stored())));
    metrics.queried((performance.now() - since) / 1_000);
    await delay(READ_EVERY_MS);
  }
}

function fail(error: unknown): never {
  process.stderr.write(
    `the import cannot go on: ${error instanceof Error ? error.message : String(error)}\n`,
  );
  process.exit(1);
}

function optionsOrExit(): Options {
  const text = { type: "string" } as const;
  try {
    const { values } = parseArgs({
      options: { port: text, database: text, ofrep: text, "flags-file": text, records: text },
      strict: true,
    });
    return optionsSchema.parse(values);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}\n`);
    process.exit(2);
  }
}

// What is stored is whole after every transaction, so a signal ends it at once.
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));
// Nobody may be reading any more: that is no reason to fail.
process.stdout.on("error", () => {});
await main(optionsOrExit()).catch(fail);
