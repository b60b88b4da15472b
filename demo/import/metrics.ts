/** What the import tells Prometheus: counted where it happens, every series there from the start. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";

/** Figures read at each scrape. */
export interface Readers {
  readonly stored: () => number;
  readonly limit: () => number;
  readonly mismatched: () => number;
}

export interface Metrics {
  readonly imported: (records: number, busySeconds: number) => void;
  readonly failed: (records: number) => void;
  /** One query of a reader; `seconds` with its wait for the database. */
  readonly queried: (seconds: number) => void;
  readonly scrape: () => Promise<string>;
  readonly contentType: string;
}

/** Creates all metrics. */
export function createMetrics(readers: Readers): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const counter = (name: string, help: string): Counter => {
    const made = new Counter({ name, help, registers });
    made.inc(0);
    return made;
  };
  const gauge = (name: string, help: string, read: () => number): Gauge =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  const records = counter("import_records_total", "Records imported since the process began.");
  const errors = counter(
    "import_critical_errors_total",
    "Records that failed, whether or not a second try took them.",
  );
  const busy = counter("import_busy_seconds_total", "Time in which a batch was at work.");
  const queries = new Histogram({
    name: "import_query_seconds",
    help: "Time of one query of a reader of the database, with its wait for it.",
    buckets: [0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 1, 5],
    registers,
  });
  gauge("import_stored_records", "Records that are in the database.", readers.stored);
  gauge("import_batch_limit", "The most records that one batch may take.", readers.limit);
  gauge(
    "import_mismatched_records",
    "Records of the last batches that differ from their source.",
    readers.mismatched,
  );
  gauge(
    "process_start_time_seconds",
    "Start of the process, Unix seconds.",
    () => performance.timeOrigin / 1_000,
  );
  return {
    imported: (count, seconds) => {
      records.inc(count);
      busy.inc(seconds);
    },
    failed: (count) => errors.inc(count),
    queried: (seconds) => queries.observe(seconds),
    scrape: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
