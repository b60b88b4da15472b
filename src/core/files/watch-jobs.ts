/** From the jobs and blackouts of a watch as written to what fires when, and when nothing does. */
import { formatDuration, HOUR, MINUTE } from "../time.ts";
import { parseBlackoutHours } from "../watch/blackout.ts";
import type { Blackout, Job, JobAction, TrendQuestion } from "../watch/plan.ts";
import { endOf, parseDate, startOf } from "./calendar-date.ts";
import { type CronFields, minutesOfDay, readCron, shortestGapMinutes } from "./cron.ts";
import { found, type Mistake, mistake, warning } from "./mistake.ts";
import type { BlackoutFile, JobFile } from "./watch-file.ts";

const DEFAULT_GRACE_MS = HOUR;
const MORNING_MINUTE = 7 * 60;
const NIGHT_MINUTE = 22 * 60;

type Path = readonly (string | number)[];

export interface JobContext {
  readonly zone: string;
  readonly targetNames: readonly string[];
  readonly trends: readonly TrendQuestion[];
  /** Stem of the flags file. */
  readonly source: string;
}

/** The jobs in the order of the file; mistakes are added, with paths into the watch. */
export function jobsFrom(
  jobs: Readonly<Record<string, JobFile>>,
  context: JobContext,
  mistakes: Mistake[],
): readonly Job[] {
  return Object.entries(jobs).flatMap(([name, entry]): Job[] => {
    const path = ["jobs", name];
    const action = actionFrom(entry, path, context, mistakes);
    const zone = entry.zone ?? context.zone;
    const missed = entry.missed ?? "skip";
    const jitterMs = entry.jitter ?? 0;
    if (entry.grace !== undefined && missed !== "run-once")
      mistakes.push(
        mistake(
          [...path, "grace"],
          "`grace` is for `missed: run-once`: how late may a missed one still run?",
        ),
      );
    const until = untilFrom(entry, zone, path, mistakes);
    const fields = cronFrom(entry.cron, path, mistakes);
    if (fields !== undefined) {
      checkJitter(fields, jitterMs, path, mistakes);
      if (action?.kind === "drill") checkDrill(fields, missed, jitterMs, path, mistakes);
    }
    if (action === undefined || fields === undefined) return [];
    return [
      {
        name,
        cron: entry.cron.trim(),
        zone,
        action,
        missed,
        graceMs: missed === "run-once" ? (entry.grace ?? DEFAULT_GRACE_MS) : 0,
        overlap: entry.overlap ?? "skip",
        jitterMs,
        ...(until === undefined ? {} : { until }),
      },
    ];
  });
}

function actionFrom(
  entry: JobFile,
  path: Path,
  context: JobContext,
  mistakes: Mistake[],
): JobAction | undefined {
  const { restart, only_if, post, drill } = entry;
  if ([restart, post, drill].filter((one) => one !== undefined).length !== 1) {
    mistakes.push(mistake(path, "expected exactly one of restart, post or drill"));
    return undefined;
  }
  if (only_if !== undefined && restart === undefined)
    mistakes.push(mistake([...path, "only_if"], "`only_if` is for restart"));
  if (post !== undefined) return { kind: "post", post };
  if (restart === undefined) return { kind: "drill" };
  if (!context.targetNames.includes(restart))
    mistakes.push(
      mistake(
        [...path, "restart"],
        `expected a target of this file (${context.targetNames.join(", ") || "it has none"}), found ${found(restart)}`,
      ),
    );
  const names = context.trends.map((trend) => trend.name);
  if (only_if !== undefined && !names.includes(only_if))
    mistakes.push(
      mistake(
        [...path, "only_if"],
        `expected a guard of kind trend in flags/${context.source} (${names.join(", ") || "it has none"}), found ${found(only_if)}`,
      ),
    );
  return { kind: "restart", target: restart, ...(only_if === undefined ? {} : { onlyIf: only_if }) };
}

function cronFrom(text: string, path: Path, mistakes: Mistake[]): CronFields | undefined {
  const read = readCron(text);
  if (read.kind === "fault") {
    const { message, offset } = read;
    mistakes.push({ path: [...path, "cron"], message, offset, level: "error" });
    return undefined;
  }
  if (read.fields.eitherDay)
    mistakes.push(
      warning(
        [...path, "cron"],
        "both a day and a weekday are given: it fires when either matches, not only when both do",
      ),
    );
  return read.fields;
}

/** A fire that is put off must not meet the next one. */
function checkJitter(fields: CronFields, jitterMs: number, path: Path, mistakes: Mistake[]): void {
  const gapMs = shortestGapMinutes(fields) * MINUTE;
  if (jitterMs >= gapMs)
    mistakes.push(
      mistake(
        [...path, "jitter"],
        `expected less than the ${formatDuration(gapMs)} between two fires, found ${formatDuration(jitterMs)}`,
      ),
    );
}

/** A drill wakes somebody: never between 22:00 and 07:00 of its zone, also not late. */
function checkDrill(
  fields: CronFields,
  missed: Job["missed"],
  jitterMs: number,
  path: Path,
  mistakes: Mistake[],
): void {
  const night = minutesOfDay(fields).find(
    (minute) => minute < MORNING_MINUTE || minute + jitterMs / MINUTE >= NIGHT_MINUTE,
  );
  if (night !== undefined) {
    const clock = [Math.floor(night / 60), night % 60].map((part) => String(part).padStart(2, "0")).join(":");
    mistakes.push(
      mistake(
        [...path, "cron"],
        `a drill pages somebody: expected times from 07:00 until 22:00 of its zone, found ${clock}${jitterMs > 0 ? ` with a jitter of ${formatDuration(jitterMs)}` : ""}`,
      ),
    );
  }
  if (missed === "run-once")
    mistakes.push(
      mistake(
        [...path, "missed"],
        "a drill that was missed is not made up for, since it might be night by then",
      ),
    );
}

function untilFrom(entry: JobFile, zone: string, path: Path, mistakes: Mistake[]): number | undefined {
  if (entry.until === undefined) return undefined;
  const date = dateAt(entry.until, [...path, "until"], mistakes);
  return date === undefined ? undefined : endOf(date, zone) - 1;
}

function dateAt(text: string, path: Path, mistakes: Mistake[]): ReturnType<typeof parseDate> {
  const date = parseDate(text);
  if (date === undefined)
    mistakes.push(
      mistake(path, `expected a date such as 2026-12-24 or "2026-12-24 09:30", found ${found(text)}`),
    );
  return date;
}

/** The blackouts in the order of the file; mistakes are added, with paths into the watch. */
export function blackoutsFrom(
  blackouts: readonly BlackoutFile[],
  zone: string,
  mistakes: Mistake[],
): readonly Blackout[] {
  return blackouts.flatMap((entry, index): Blackout[] => {
    const path = ["blackouts", index];
    const { hours, from, to, because } = entry;
    const own = entry.zone ?? zone;
    if ((hours === undefined) === (from === undefined && to === undefined)) {
      mistakes.push(mistake(path, "expected either hours, or from and to"));
      return [];
    }
    if (hours !== undefined) {
      if (parseBlackoutHours(hours, own) !== undefined)
        return [{ kind: "hours", text: hours.trim(), zone: own, because }];
      mistakes.push(
        mistake(
          [...path, "hours"],
          `expected hours such as "Sun 02:00-04:00" or "22:00-02:00", found ${found(hours)}`,
        ),
      );
      return [];
    }
    if (from === undefined || to === undefined) {
      mistakes.push(mistake(path, "expected both from and to"));
      return [];
    }
    const [first, last] = [dateAt(from, [...path, "from"], mistakes), dateAt(to, [...path, "to"], mistakes)];
    if (first === undefined || last === undefined) return [];
    const dates = { kind: "dates", from: startOf(first, own), to: endOf(last, own), because } as const;
    if (dates.from >= dates.to)
      mistakes.push(mistake([...path, "to"], `expected a date after ${from}, found ${found(to)}`));
    return [dates];
  });
}
