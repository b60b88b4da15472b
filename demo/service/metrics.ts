/** What the service tells Prometheus: counted where the work happens, every series there from the start. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { FEATURE_KEYS, type FeatureKey } from "./features.ts";
import { STORE_CALLS, type StoreCall } from "./graph-store.ts";

const EVENT_LOOP_LAG = ["", "min_", "max_", "mean_", "stddev_", "p50_", "p90_", "p99_"].map(
  (part) => `nodejs_eventloop_lag_${part}seconds`,
);

/** Values read at each scrape. */
export interface MetricsReaders {
  readonly share: (key: FeatureKey) => number;
  readonly queueDepth: () => number;
  readonly pool: () => { readonly busy: number; readonly idle: number };
}

export interface Metrics {
  /** One file is done, well or badly; `processS` counts from the moment a worker took it. */
  readonly fileDone: (failed: boolean, processS: number) => void;
  readonly cacheLookup: (hit: boolean) => void;
  /** One parse, cache hits excluded, ended well or badly. */
  readonly parsed: (seconds: number) => void;
  /** One unit of work began with this many files. */
  readonly unitStarted: (files: number) => void;
  readonly storeCalled: (call: StoreCall) => void;
  /** The text of a scrape; the histograms are left out while FEATURE_METRICS is off. */
  readonly scrape: () => Promise<string>;
  readonly contentType: string;
}

/** Creates all metrics; `version` goes into app_info. */
export function createMetrics(version: string, readers: MetricsReaders): Metrics {
  const always = new Registry();
  const optional = new Registry();
  const counters = createCounters(always);
  const histograms = createHistograms(optional);
  collectDefaultMetrics({ register: always });
  // Two scrapes close together would read "Nan" here: nothing was measured between them.
  for (const name of EVENT_LOOP_LAG) always.removeSingleMetric(name);
  createGauges(always, version, readers);
  const detailed = (): boolean => readers.share("FEATURE_METRICS") > 0;
  for (const call of STORE_CALLS) counters.storeCalls.inc({ call }, 0);

  return {
    fileDone: (failed, processS) => {
      counters.files.inc();
      if (failed) counters.failures.inc();
      if (detailed()) histograms.processS.observe(processS);
    },
    cacheLookup: (hit) => {
      counters.cacheLookups.inc();
      if (hit) counters.cacheHits.inc();
    },
    parsed: (seconds) => {
      counters.parses.inc();
      if (detailed()) histograms.parseS.observe(seconds);
    },
    unitStarted: (files) => {
      counters.units.inc();
      if (detailed()) histograms.batchSize.observe(files);
    },
    storeCalled: (call) => {
      counters.storeCalls.inc({ call });
      if (call === "write") counters.graphWrites.inc();
    },
    scrape: async () => {
      // Asked for together, so that all figures are of the same moment.
      const texts = await Promise.all([always.metrics(), detailed() ? optional.metrics() : ""]);
      return texts.join("\n");
    },
    contentType: always.contentType,
  };
}

function createCounters(registry: Registry) {
  const counter = (name: string, help: string) => new Counter({ name, help, registers: [registry] });
  return {
    files: counter("ingestion_files_total", "Files processed, well or badly."),
    failures: counter("ingestion_failures_total", "Files that could not be ingested."),
    cacheHits: counter(
      "ingestion_cache_hits_total",
      "Look-ups that found the file's content in the parse cache.",
    ),
    cacheLookups: counter("ingestion_cache_lookups_total", "Look-ups in the parse cache."),
    parses: counter("ingestion_parses_total", "Files parsed, cache hits excluded."),
    units: counter("ingestion_units_total", "Units of work begun."),
    graphWrites: counter(
      "ingestion_graph_writes_total",
      "Write calls to the graph store, of one edge or of many.",
    ),
    storeCalls: new Counter({
      name: "ingestion_store_calls_total",
      help: "Calls to the store, by kind; each waits one round trip.",
      labelNames: ["call"],
      registers: [registry],
    }),
  };
}

function createHistograms(registry: Registry) {
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name, help, buckets, registers: [registry] });
  return {
    parseS: histogram(
      "ingestion_parse_seconds",
      "Time to parse one file, cache hits excluded.",
      [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    ),
    processS: histogram(
      "ingestion_process_seconds",
      "Time from a worker taking a file until its graph is written.",
      [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    ),
    batchSize: histogram("ingestion_batch_size", "Files in one unit of work.", [1, 2, 3, 4, 5, 6, 7, 8]),
  };
}

function createGauges(registry: Registry, version: string, readers: MetricsReaders): void {
  const registers = [registry];
  new Gauge({ name: "app_info", help: "The version that runs.", labelNames: ["version"], registers }).set(
    { version },
    1,
  );
  new Gauge({
    name: "ingestion_queue_depth",
    help: "Files that wait for a worker.",
    registers,
    collect() {
      this.set(readers.queueDepth());
    },
  });
  new Gauge({
    name: "ingestion_pool_workers",
    help: "Workers, by state.",
    labelNames: ["state"],
    registers,
    collect() {
      const { busy, idle } = readers.pool();
      this.set({ state: "busy" }, busy);
      this.set({ state: "idle" }, idle);
    },
  });
  createFeatureGauges(registry, readers);
}

function createFeatureGauges(registry: Registry, readers: MetricsReaders): void {
  new Gauge({
    name: "feature_enabled",
    help: "1 when at least some files have the feature, else 0.",
    labelNames: ["flag"],
    registers: [registry],
    collect() {
      for (const flag of FEATURE_KEYS) this.set({ flag }, readers.share(flag) > 0 ? 1 : 0);
    },
  });
  new Gauge({
    name: "feature_share",
    help: "The share of files that have the feature, 0 to 1.",
    labelNames: ["flag"],
    registers: [registry],
    collect() {
      for (const flag of FEATURE_KEYS) this.set({ flag }, readers.share(flag));
    },
  });
}
