/** Everything that changed in production lately, on one line of time: flips, drift, rollbacks, deploys, restarts, and what people did in the flag systems. */
import { changeInWords } from "../deployed.ts";
import { type Actor, type Flip, formatActor, type RecordedOf, type RolloutEvent } from "../event.ts";
import { inOneLine } from "../one-line.ts";
import { claimOf, type Plan, settingInWords } from "../plan.ts";
import { sameSetting } from "../setting.ts";
import { DAY, formatClock, formatDay, formatDuration, HOUR, MINUTE, SECOND } from "../time.ts";
import type { ProbeEvent } from "../watch/probe.ts";
import { eventInWords } from "./words.ts";

/** Lines shown at most. */
export const MOST_LINES = 40;
/** From a decision to its write in the flag system's own history: a write may wait and be tried again, and its clock may differ from ours. */
const WRITTEN_WITHIN_MS = 5 * MINUTE;
const CLOCKS_DIFFER_MS = MINUTE;
const MOST_WHAT_CHARS = 200;
const MOST_NAME_CHARS = 100;
/** Starts of processes this close to each other are one line. */
const TOGETHER_MS = MINUTE;

/** Events of a rollout that changed something, or told of a change by others. */
export const CHANGING: readonly RolloutEvent["kind"][] = [
  "stage_started",
  "stage_withdrawn",
  "rollback_started",
  "rollback_off",
  "flip_corrected",
  "lever_pulled",
  "drift_found",
  "deploy_found",
  "mode_set",
];

/** An event of a run, with what is needed to tell it. */
export interface RunChange {
  readonly run: string;
  readonly plan: Plan;
  /** Who started the run. */
  readonly startedBy: Actor;
  readonly recorded: RecordedOf<RolloutEvent>;
}

/** One entry of a flag system's own history. `by` undefined: it does not say. */
export interface SystemChange {
  readonly plan: Plan;
  /** The flag's name in the catalogue. */
  readonly flag: string;
  readonly wall: number;
  readonly by: string | undefined;
  readonly own: boolean;
  readonly what: string;
  /** Nothing that gave the flag another setting: it was created, archived ... */
  readonly isLife?: true;
}

/** What a service's metrics tell over the time asked for. Instants are Unix ms; a new version was first seen at `wall`, give or take `stepMs`. */
export interface Processes {
  readonly plan: Plan;
  readonly starts: readonly number[];
  readonly versions: readonly {
    readonly wall: number;
    readonly before: readonly string[];
    readonly after: readonly string[];
  }[];
  readonly stepMs: number;
}

export interface ChangeSources {
  readonly runs: readonly RunChange[];
  readonly restarts: readonly { readonly id: string; readonly recorded: RecordedOf<ProbeEvent> }[];
  readonly systems: readonly SystemChange[];
  readonly processes: readonly Processes[];
  /** Who could not be asked, each a sentence. */
  readonly silent: readonly string[];
}

interface Line {
  readonly wall: number;
  readonly text: string;
}

/** The changes since `sinceWall`, newest last, at most `MOST_LINES`, with clock times in `zone`; who could not be asked comes after them. */
export function changesLines(
  sources: ChangeSources,
  sinceWall: number,
  nowWall: number,
  zone: string,
): readonly string[] {
  const all = [
    ...sources.runs.flatMap((one) => runLine(one, sources)),
    ...sources.restarts.flatMap(restartLine),
    ...sources.systems.flatMap((one) => systemLine(one, sources)),
    ...sources.processes.flatMap((one) => processLines(one, sources)),
  ]
    .filter(({ wall }) => wall >= sinceWall)
    .sort((a, b) => a.wall - b.wall);
  const cut = all.length - MOST_LINES;
  const left =
    cut > 0
      ? [
          `... ${cut} earlier ${cut === 1 ? "change" : "changes"} left out; ask for a shorter time to see fewer`,
        ]
      : [];
  const shown = all.slice(Math.max(0, cut)).map(({ wall, text }) => `${clock(wall, nowWall, zone)}  ${text}`);
  return [...left, ...shown, ...sources.silent];
}

/** The clock time; with its day when it may be mistaken for one of today. */
function clock(wall: number, nowWall: number, zone: string): string {
  return nowWall - wall < DAY - HOUR ? formatClock(wall, zone) : formatDay(wall, zone);
}

function runLine(one: RunChange, { runs, systems }: ChangeSources): readonly Line[] {
  const { plan, recorded, run } = one;
  const { event, wall } = recorded;
  const where = `${plan.rollout} (${run})`;
  if (event.kind === "drift_found" && changeBehind(one, systems) !== undefined) return [];
  if (event.kind === "rollback_off") return [{ wall, text: `${where}: ${offInWords(one, runs)}` }];
  if (event.kind === "stage_started") {
    const flips = settings(plan, event.flips);
    if (flips === "") return [];
    const stage = plan.stages[event.stage]?.name ?? `stage ${event.stage}`;
    const who = event.asked === true ? "asked of people" : "by Belay";
    return [
      {
        wall,
        text: `${where}: ${flips}, ${who} for stage ${stage}; ${formatActor(one.startedBy)} started it`,
      },
    ];
  }
  const words = eventInWords(plan, event);
  return words === undefined ? [] : [{ wall, text: `${where}: ${words}` }];
}

/** `b OFF read back, 31 s after the decision`: when what a rollback decided had become true. */
function offInWords({ run, plan, recorded }: RunChange, runs: readonly RunChange[]): string {
  const isLever = recorded.event.kind === "rollback_off" && recorded.event.by === "lever";
  const { began, flips } = decidedBefore(run, recorded.seq, runs);
  if (began === undefined)
    return isLever ? "the second lever holds the flags off" : "the flags that go back were read back";
  const sinceMs = recorded.wall - began;
  const after = `${formatDuration(sinceMs < SECOND ? 0 : Math.round(sinceMs / SECOND) * SECOND)} after the decision`;
  return isLever
    ? `the second lever holds ${flips.map(({ flag }) => flag).join(", ")} off, ${after}`
    : `${flips.map(({ flag, to }) => `${flag} ${settingInWords(plan, flag, to)}`).join(", ")} read back, ${after}`;
}

/** What rollbacks of a run had decided since the last time that all of it was read back, and since when (Unix ms). */
function decidedBefore(
  run: string,
  seq: number,
  runs: readonly RunChange[],
): { readonly began: number | undefined; readonly flips: readonly Flip[] } {
  let began: number | undefined;
  const flips = new Map<string, Flip>();
  const before = runs
    .filter((one) => one.run === run && one.recorded.seq < seq)
    .sort((a, b) => a.recorded.seq - b.recorded.seq);
  for (const { recorded } of before) {
    if (recorded.event.kind === "rollback_off") {
      began = undefined;
      flips.clear();
    }
    if (recorded.event.kind !== "rollback_started") continue;
    began ??= recorded.wall;
    for (const one of recorded.event.flips) flips.set(one.flag, one);
  }
  return { began, flips: [...flips.values()] };
}

/** The flips that change anything. */
function settings(plan: Plan, flips: readonly Flip[]): string {
  return flips
    .filter(({ from, to }) => !sameSetting(from, to))
    .map(({ flag, to }) => `${flag} ${settingInWords(plan, flag, to)}`)
    .join(", ");
}

function restartLine({ id, recorded: { event, wall } }: ChangeSources["restarts"][number]): readonly Line[] {
  switch (event.kind) {
    case "restart_started": {
      const replica = event.of > 1 ? `, replica ${event.replica + 1} of ${event.of}` : "";
      const why = event.planned ? "as planned or asked for" : "because it failed";
      return [
        { wall, text: `${id}: restart of ${event.target}${replica} by ${formatActor(event.by)}, ${why}` },
      ];
    }
    case "restart_failed":
      return [{ wall, text: `${id}: the restart of ${event.target} failed: ${event.detail}` }];
    default:
      return [];
  }
}

/** A change in the flag system; one of Belay's own that its journal tells is left out, and a person's that it noticed says so. */
function systemLine(change: SystemChange, { runs, systems }: ChangeSources): readonly Line[] {
  const { plan, flag, wall, own } = change;
  const what = inOneLine(change.what, MOST_WHAT_CHARS);
  const by = change.by === undefined ? undefined : inOneLine(change.by, MOST_NAME_CHARS);
  if (own && runs.some((one) => isWriteOf(change, one))) return [];
  const where = `${plan.outside.provider.kind} (${plan.service}, ${plan.environment})`;
  if (own) {
    const who = `with Belay's token${by === undefined ? "" : ` (${by})`}, though Belay's journal tells of no such flip`;
    return [{ wall, text: `${where}: ${flag} ${what}, ${who}` }];
  }
  const noticed = runs.find((one) => changeBehind(one, systems) === change);
  const then = noticed === undefined ? "" : `; ${noticed.plan.rollout} (${noticed.run}) noticed it`;
  return [{ wall, text: `${where}: ${flag} ${what}, by ${by ?? "somebody"}${then}` }];
}

function isSameFlag(change: SystemChange, plan: Plan, flag: string): boolean {
  return claimOf(change.plan, change.flag) === claimOf(plan, flag);
}

function isWriteOf(change: SystemChange, { plan, recorded: { event, wall } }: RunChange): boolean {
  // What people were asked for, or did themselves, Belay wrote not.
  if (event.kind === "stage_started" && event.asked === true) return false;
  if (event.kind === "rollback_started" && event.byHand === true) return false;
  const flips = "flips" in event ? event.flips : "flip" in event ? [event.flip] : [];
  const late = change.wall - wall;
  return (
    late >= -CLOCKS_DIFFER_MS &&
    late <= WRITTEN_WITHIN_MS &&
    flips.some(({ flag }) => isSameFlag(change, plan, flag))
  );
}

/** The change by a person that a drift was noticed for: the newest one up to then that gave that flag a setting; undefined for what is no drift, or when none is told. */
function changeBehind(
  { plan, recorded: { event, wall } }: RunChange,
  systems: readonly SystemChange[],
): SystemChange | undefined {
  if (event.kind !== "drift_found") return undefined;
  const made = systems
    .filter(
      (change) =>
        !change.own &&
        change.isLife !== true &&
        isSameFlag(change, plan, event.flag) &&
        wall - change.wall <= WRITTEN_WITHIN_MS,
    )
    .sort((a, b) => a.wall - b.wall);
  // The clock of the flag system may be ahead of ours: only then may a later one be it.
  return (
    made.findLast((change) => change.wall <= wall) ??
    made.find((change) => change.wall - wall <= CLOCKS_DIFFER_MS)
  );
}

/** New versions and processes that nothing else on the line of time tells of. */
function processLines(seen: Processes, { runs, restarts }: ChangeSources): readonly Line[] {
  const { plan, stepMs } = seen;
  const where = `${plan.service} (${plan.environment})`;
  const told = runs.flatMap(({ plan: other, recorded: { event, wall } }) =>
    event.kind === "deploy_found" && other.service === plan.service && other.environment === plan.environment
      ? [{ wall: event.startedWall ?? wall, what: event.what }]
      : [],
  );
  const deploys = seen.versions
    .filter(({ wall }) => !told.some((one) => one.what === "deploy" && isNear(one.wall, wall, stepMs)))
    .map(({ wall, before, after }) => ({
      wall,
      text: `${where}: ${changeInWords(before, after)} was deployed`,
    }));
  const explained = [
    ...told.map(({ wall }) => ({ from: wall - stepMs, to: wall + stepMs })),
    ...deploys.map(({ wall }) => ({ from: wall - 2 * stepMs - MINUTE, to: wall + MINUTE })),
    ...runs.flatMap((one) => restartedBy(one, plan)),
    ...restarts.flatMap(({ id, recorded: { event, wall } }) =>
      event.kind === "restart_started" && [plan.service, plan.source].includes(id.split("/")[0] ?? "")
        ? [{ from: wall - 5 * SECOND, to: wall + 2 * MINUTE }]
        : [],
    ),
  ];
  const left = seen.starts.filter((wall) => !explained.some(({ from, to }) => wall >= from && wall <= to));
  return [
    ...deploys,
    ...together(left).map(({ wall, count }) => ({ wall, text: startInWords(where, count) })),
  ];
}

function isNear(a: number, b: number, stepMs: number): boolean {
  return Math.abs(a - b) <= 2 * stepMs + MINUTE;
}

/** When a flip of a provider that restarts the service did so. */
function restartedBy(
  { plan: other, recorded: { event, wall } }: RunChange,
  plan: Plan,
): readonly { readonly from: number; readonly to: number }[] {
  const { restartMs } = other.provider;
  const isOurs = other.service === plan.service && other.environment === plan.environment && restartMs > 0;
  return isOurs && ("flips" in event || "flip" in event)
    ? [{ from: wall - 5 * SECOND, to: wall + restartMs + MINUTE }]
    : [];
}

function together(starts: readonly number[]): readonly { readonly wall: number; readonly count: number }[] {
  const groups: { wall: number; last: number; count: number }[] = [];
  for (const wall of starts) {
    const open = groups.at(-1);
    if (open !== undefined && wall - open.last <= TOGETHER_MS) {
      open.last = wall;
      open.count++;
    } else groups.push({ wall, last: wall, count: 1 });
  }
  return groups;
}

function startInWords(where: string, count: number): string {
  const what = count === 1 ? "a process" : `${count} processes`;
  return `${where}: ${what} began, by nothing that Belay knows of`;
}

/** What stands above the lines. */
export function changesTitle(spanMs: number, lines: readonly string[], silent: number): string {
  const span = formatDuration(spanMs);
  if (lines.length > silent) return `Changes in the last ${span}, newest last:`;
  return silent > 0
    ? `No change is known in the last ${span}, but not everybody could be asked:`
    : `No change is known in the last ${span}.`;
}
