/** Figures: samples in, median, 99th percentile and maximum out; as a table for people or one JSON object each. */

export interface Figure {
  readonly figure: string;
  readonly unit: "ms" | "per s" | "MB" | "";
  readonly n: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** What the figure is held to, in words; undefined when it is only reported. */
  readonly target?: string;
  readonly met?: boolean;
}

/** Nearest-rank percentile of samples; `share` from 0 to 1. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** One figure of these samples. `within` holds the statistic that the target speaks of to a bound. */
export function figureOf(
  figure: string,
  samples: readonly number[],
  within?: { readonly statistic: "p50" | "p99" | "max"; readonly most: number; readonly words: string },
): Figure {
  const base = {
    figure,
    unit: "ms" as const,
    n: samples.length,
    p50: round(percentile(samples, 0.5)),
    p99: round(percentile(samples, 0.99)),
    max: round(Math.max(...samples)),
  };
  return within === undefined
    ? base
    : { ...base, target: within.words, met: base[within.statistic] <= within.most };
}

/** A figure of things counted, one sample for each round; `most` is the bound that the largest is held to. */
export function countsOf(
  figure: string,
  samples: readonly number[],
  within?: { readonly most: number; readonly words: string },
): Figure {
  const { n, p50, p99, max } = figureOf(figure, samples);
  const base: Figure = { figure, unit: "", n, p50, p99, max };
  return within === undefined ? base : { ...base, target: within.words, met: max <= within.most };
}

/** A figure that is counted or read once; `most` is the bound that it is held to. */
export function countedFigure(
  figure: string,
  unit: "MB" | "",
  value: number,
  within: { readonly most: number; readonly words: string },
): Figure {
  const rounded = round(value);
  const values = { p50: rounded, p99: rounded, max: rounded };
  return { figure, unit, n: 1, ...values, target: within.words, met: rounded <= within.most };
}

function round(value: number): number {
  return value >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}

export function tableOf(figures: readonly Figure[]): string {
  const rows = figures.map((one) => [
    one.figure,
    String(one.n),
    inUnit(one.p50, one.unit),
    inUnit(one.p99, one.unit),
    inUnit(one.max, one.unit),
    one.target === undefined ? "" : `${one.target}: ${one.met === true ? "met" : "NOT MET"}`,
  ]);
  const head = ["figure", "n", "p50", "p99", "max", "held to"];
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        column === 0 || column === 5 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd();
  return [line(head), ...rows.map(line)].join("\n");
}

function inUnit(value: number, unit: Figure["unit"]): string {
  if (unit !== "ms") return `${value} ${unit}`.trimEnd();
  return value >= 10_000 ? `${(value / 1_000).toFixed(1)} s` : `${value} ms`;
}

/** What peers document, from a visible regression to the beginning of the rollback. Not measured here. */
export const PEERS: readonly (readonly [string, string])[] = [
  ["Argo Rollouts, documented example", "15-20 min"],
  ["Flagger, tutorial settings", "5-6 min"],
  ["Kayenta", "the canary's lifetime"],
  ["GrowthBook ramp", "rest of the hold + next snapshot"],
];
