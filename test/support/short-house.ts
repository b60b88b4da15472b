/** A small rollout of the ingestion service with short soaks: a cache that is harmless, then parallel workers that can be made to break things. */

export interface ShortHouse {
  /** Of the service, without a slash at the end. */
  readonly serviceUrl: string;
  readonly prometheusUrl: string;
  /** The provider as YAML; a flag file with this path when it is a path. */
  readonly flagsPath: string;
  /** `soak` of the first and of the last stage, such as `5s`; the least possible when not given. */
  readonly cacheSoak?: string;
  readonly parallelSoak?: string;
}

/**
 * A window of 3 s, polls twice a second and scrapes each second make a soak of at least 5 s. The window holds few files, of which one fails by
 * itself now and then; three in ten fail when `parallel` breaks things.
 */
export function shortHouse(options: ShortHouse): Readonly<Record<string, string>> {
  const { serviceUrl, prometheusUrl, flagsPath, cacheSoak = "1s", parallelSoak = "1s" } = options;
  return {
    "flags/short.yaml": `service: ingestion
environment: test
provider: { kind: file, path: ${flagsPath} }
view: { http: "${serviceUrl}/features", pointer: /flags }
prometheus: { url: "${prometheusUrl}", scrape_interval: 1s, timeout: 2s }
flags:
  parse-cache: { key: FEATURE_PARSE_CACHE, safe: off }
  parallel: { key: FEATURE_PARALLEL, safe: off, requires: [parse-cache] }
guards:
  failures:
    kind: threshold
    query: sum(rate(ingestion_failures_total[3s])) / sum(rate(ingestion_files_total[3s]))
    max: 10%
    breach: 2 of 3
    interval: 500ms
  alive: { kind: alive, interval: 500ms }
`,
    "schedules/short.yaml": `rollout: short
channel: "#ingestion-ops"
stages:
  - { at: 0s, name: parse-cache, enable: parse-cache, soak: ${cacheSoak} }
  - { at: 1s, name: parallel, enable: parallel, soak: ${parallelSoak} }
unwind: gradual
`,
  };
}
