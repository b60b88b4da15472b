/** Numbers with units as people write them in guard limits: `2%`, `250ms`, `1GiB`, `20`. */

export type Unit = "none" | "percent" | "seconds" | "bytes";

/** `value` is in Prometheus base units: a ratio (2 % is 0.02), seconds, bytes, or a bare number. */
export interface Quantity {
  readonly value: number;
  readonly unit: Unit;
}

const SCALE: Readonly<Record<string, readonly [number, Unit]>> = {
  "": [1, "none"],
  "%": [0.01, "percent"],
  ms: [0.001, "seconds"],
  s: [1, "seconds"],
  m: [60, "seconds"],
  h: [3600, "seconds"],
  B: [1, "bytes"],
  KB: [1e3, "bytes"],
  MB: [1e6, "bytes"],
  GB: [1e9, "bytes"],
  KiB: [1024, "bytes"],
  MiB: [1024 ** 2, "bytes"],
  GiB: [1024 ** 3, "bytes"],
};

/** Reads a limit; undefined when it is neither a finite number nor a number with a known unit. */
export function parseQuantity(input: string | number): Quantity | undefined {
  if (typeof input === "number") return Number.isFinite(input) ? { value: input, unit: "none" } : undefined;
  const match = /^(-?\d{1,15}(?:\.\d{1,9})?)\s*(%|ms|s|m|h|B|KB|MB|GB|KiB|MiB|GiB)?$/.exec(input.trim());
  const scale = SCALE[match?.[2] ?? ""];
  if (match === null || scale === undefined) return undefined;
  return { value: Number(match[1]) * scale[0], unit: scale[1] };
}

/** Writes a measured value in the unit of its limit: `2.4 %`, `188 ms`, `512 MiB`, `0.35`. */
export function formatQuantity(value: number, unit: Unit): string {
  switch (unit) {
    case "percent":
      return `${significant(value * 100)} %`;
    case "seconds":
      return Math.abs(value) < 1 ? `${significant(value * 1000)} ms` : `${significant(value)} s`;
    case "bytes":
      return formatBytes(value);
    case "none":
      return significant(value);
  }
}

/** Writes a count for people: whole, its thousands apart: `41,200`. */
export function formatCount(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}

function formatBytes(value: number): string {
  for (const [size, name] of [
    [1024 ** 3, "GiB"],
    [1024 ** 2, "MiB"],
    [1024, "KiB"],
  ] as const) {
    if (Math.abs(value) >= size) return `${significant(value / size)} ${name}`;
  }
  return `${significant(value)} B`;
}

function significant(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 100) return String(Math.round(value));
  return String(Number(value.toPrecision(size >= 1 ? 3 : 2)));
}
