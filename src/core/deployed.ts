/** What metrics tell of the service's processes: which versions run, and when they began; read out of Prometheus answers, total over whatever comes back. */
import { type Answer, numbersOf, vectorOf } from "./measurement.ts";
import { inOneLine } from "./one-line.ts";
import { SECOND } from "./time.ts";

/** More versions than this at once are no versions; the first ones in their order are kept. */
const MOST_VERSIONS = 20;
const MOST_VERSION_CHARS = 60;

/**
 * How old the last sample of a process may be (ms): one scrape may be late, and what is older tells of a process that is gone. Prometheus by itself shows a
 * series up to five minutes after its process, where it was away itself when that ended.
 */
export function processLookbackMs(scrapeMs: number): number {
  return 2 * scrapeMs + 5 * SECOND;
}

/** The different values of a label over all series, sorted; undefined when the answer tells nothing. */
export function versionsOf(answer: Answer, label: string): readonly string[] | undefined {
  if (numbersOf(answer).kind !== "numbers") return undefined;
  const found = vectorOf(answer).map((series) => inOneLine(series.labels[label] ?? "", MOST_VERSION_CHARS));
  const versions = [...new Set(found.filter((version) => version !== ""))].sort();
  return versions.length === 0 ? undefined : versions.slice(0, MOST_VERSIONS);
}

/** The version by the instance that shows it, as far as series name theirs: what an instance showed before has ended with it. */
export function versionsByInstance(answer: Answer, label: string): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>();
  if (numbersOf(answer).kind !== "numbers") return found;
  for (const { labels } of vectorOf(answer)) {
    const { instance, job = "" } = labels;
    const version = inOneLine(labels[label] ?? "", MOST_VERSION_CHARS);
    if (instance === undefined || version === "") continue;
    const key = `${job}\n${instance}`;
    found.set(key, (found.get(key) ?? new Set()).add(version));
  }
  return found;
}

/** When each process began (Unix ms), sorted; none when the answer tells nothing. */
export function startsOf(answer: Answer): readonly number[] {
  const found = numbersOf(answer);
  if (found.kind !== "numbers") return [];
  const starts = found.values.filter((value) => Number.isFinite(value) && value > 0);
  return [...new Set(starts.map((value) => Math.round(value * SECOND)))].sort((a, b) => a - b);
}

const MOST_NAMED = 4;

/** `1.4.2`, `1.4.2 and 1.5.0`, or so many of them. */
export function versionsInWords(versions: readonly string[]): string {
  const named = versions.slice(0, MOST_NAMED);
  const more = versions.length - named.length;
  const last = more > 0 ? `${more} more` : named.pop();
  return named.length === 0 ? (last ?? "no version") : `${named.join(", ")} and ${last}`;
}

/** `1.4.2 -> 1.5.0`; of versions that stay beside the new ones only the new ones are named after the arrow. */
export function changeInWords(before: readonly string[], after: readonly string[]): string {
  const fresh = after.filter((version) => !before.includes(version));
  return `${versionsInWords(before)} -> ${versionsInWords(fresh.length === 0 ? after : fresh)}`;
}
