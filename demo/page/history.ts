/** What the service said of itself, sample by sample, for the last minutes: as rates, and as sums that outlive its restarts. */

/** Throughput is averaged over this time, ms. */
const RATE_MS = 1_000;
/** Failures are rare: their share is taken over this many files, else over 5 s as the guard does, so that one bad file is no fire. */
const SHARE_FILES = 100;
const SHARE_MIN_MS = 1_000;
const SHARE_MAX_MS = 5_000;
const KEPT_MS = 6 * 60_000;

/** One answer of the service; sums count from the start of its process. */
export interface Reading {
  readonly files: number;
  readonly failures: number;
  /** Files whose parsing took longer than 250 ms. */
  readonly slow: number;
  readonly memoryBytes: number;
  /** By flag key, such as FEATURE_PARALLEL. */
  readonly flags: Readonly<Record<string, string>>;
  readonly optimisations: number;
  /** Whether it misbehaves at the moment. */
  readonly broken: boolean;
}

/** The same at a wall instant (ms). Sums go on over restarts; while the service is down everything but `t` is as it was last. */
export interface Sample extends Reading {
  readonly t: number;
  readonly up: boolean;
}

/** `[wall ms, failed files in percent, files per second, whether the service answered]`; null where nothing is known. */
export type Point = readonly [number, number | null, number | null, boolean];

export class History {
  #samples: readonly Sample[] = [];
  #points: readonly Point[] = [];
  #last: Reading | undefined;

  /** Takes the service's answer at `t`; undefined when it gave none. Nothing is kept before its first answer. */
  add(t: number, reading: Reading | undefined): void {
    const before = this.#samples.at(-1);
    if (before === undefined && reading === undefined) return;
    const sample = reading === undefined ? { ...(before ?? NOTHING), t, up: false } : this.#sum(t, reading);
    const keep = (at: number): boolean => at > t - KEPT_MS;
    this.#samples = [...this.#samples.filter((one) => keep(one.t)), sample];
    this.#points = [...this.#points.filter((one) => keep(one[0])), this.#pointOf(sample)];
  }

  /** The service said at `t` that it misbehaves: it may be gone before it is asked again. */
  broke(t: number): void {
    const before = this.#samples.at(-1);
    if (before !== undefined && t > before.t)
      this.#samples = [...this.#samples, { ...before, t, broken: true }];
  }

  /** Points after `t`, oldest first. */
  pointsAfter(t: number): readonly Point[] {
    return this.#points.filter((point) => point[0] > t);
  }

  newest(): Sample | undefined {
    return this.#samples.at(-1);
  }

  /** The newest sample at or before `t`; the oldest kept one when `t` is before all of them. */
  at(t: number): Sample | undefined {
    return this.#samples.findLast((sample) => sample.t <= t) ?? this.#samples[0];
  }

  /** The first sample at or after `t` of which this holds. */
  firstFrom(t: number, holds: (sample: Sample) => boolean): Sample | undefined {
    return this.#samples.find((sample) => sample.t >= t && holds(sample));
  }

  /** Files per second over the `ms` before `t`, outages left out; 0 when nothing is known. */
  rateBefore(t: number, ms: number): number {
    const span = this.#samples.filter((sample) => sample.t <= t && sample.t >= t - ms && sample.up);
    const [first] = span;
    const last = span.at(-1);
    if (first === undefined || last === undefined || last.t === first.t) return 0;
    return ((last.files - first.files) / (last.t - first.t)) * 1_000;
  }

  /** When the misbehaviour that went on at `t` began; undefined when there was none. */
  brokenSince(t: number): number | undefined {
    const at = this.#samples.findLastIndex((sample) => sample.t <= t && sample.broken);
    if (at < 0 || (this.#samples[at + 1]?.t ?? t) < t) return undefined;
    const well = this.#samples.findLastIndex((sample, index) => index < at && !sample.broken);
    return this.#samples[well + 1]?.t;
  }

  #sum(t: number, reading: Reading): Sample {
    const last = this.#last;
    this.#last = reading;
    const before = this.#samples.at(-1);
    const sumOf = (key: "files" | "failures" | "slow"): number => {
      const [now, then] = [reading[key], last?.[key] ?? reading[key]];
      return (before?.[key] ?? 0) + (now >= then ? now - then : now);
    };
    return {
      ...reading,
      t,
      up: true,
      files: sumOf("files"),
      failures: sumOf("failures"),
      slow: sumOf("slow"),
    };
  }

  #pointOf(sample: Sample): Point {
    if (!sample.up) return [sample.t, null, null, false];
    // Nothing is averaged over an outage.
    const fresh = this.#samples.slice(this.#samples.findLastIndex((one) => !one.up) + 1);
    const quick = fresh.findLast((one) => one.t <= sample.t - RATE_MS);
    const rate = quick === undefined ? null : ((sample.files - quick.files) / (sample.t - quick.t)) * 1_000;
    const many = fresh.findLast(
      (one) =>
        one.t <= sample.t - SHARE_MAX_MS ||
        (one.t <= sample.t - SHARE_MIN_MS && sample.files - one.files >= SHARE_FILES),
    );
    const from = many ?? fresh[0];
    const files = from === undefined ? 0 : sample.files - from.files;
    const share = files === 0 ? null : (100 * (sample.failures - (from?.failures ?? 0))) / files;
    return [sample.t, share, rate, true];
  }
}

const NOTHING: Reading = {
  files: 0,
  failures: 0,
  slow: 0,
  memoryBytes: 0,
  flags: {},
  optimisations: 0,
  broken: false,
};
