/** Gathers what changed in production lately: from the journal, from the flag systems' own histories and from the services' metrics, all at once and within a deadline. */
import { processLookbackMs, startsOf, versionsOf } from "../core/deployed.ts";
import type { Recorded, RecordedOf } from "../core/event.ts";
import type { Plan } from "../core/plan.ts";
import {
  CHANGING,
  type ChangeSources,
  changesLines,
  changesTitle,
  type Processes,
  type RunChange,
  type SystemChange,
} from "../core/report/changes.ts";
import { placeOf } from "../core/rollout/place.ts";
import { MINUTE, SECOND } from "../core/time.ts";
import type { ProbeEvent } from "../core/watch/probe.ts";
import { said } from "./answers.ts";
import { withDeadline } from "./concurrency.ts";
import type { CommandAnswer } from "./messages.ts";
import { type Clock, type Journal, type Log, messageOfFault, OutsideFault, type Service } from "./ports.ts";

/** Somebody waits for the answer: who takes longer is named as silent. */
const ASK_WITHIN_MS = 3 * SECOND;
/** More events than this are not looked at; the newest count. */
const MOST_EVENTS = 500;
const MOST_CHECKS = 5_000;
/** A write may come this much later than the decision that the journal tells. */
const BEFORE_MS = 10 * MINUTE;
/** Points of a range over which versions are looked for. */
const STEPS = 240;
const LEAST_STEP_MS = 15 * SECOND;

export interface ChangesDeps {
  readonly clock: Clock;
  readonly journal: Pick<Journal, "eventsSince" | "run">;
  readonly log: Log;
  readonly zone: string;
  readonly connect: (plan: Plan) => Service;
  /** Events of the watches' probes since a wall instant; without it Belay restarts nothing. */
  readonly probeEventsSince?:
    | ((
        wall: number,
        most: number,
      ) => Promise<readonly { readonly id: string; readonly recorded: RecordedOf<ProbeEvent> }[]>)
    | undefined;
}

/** What changed in the last `spanMs`, as an answer; never rejects for what is outside. `plans`: those loaded and those of live runs. */
export async function changes(
  deps: ChangesDeps,
  plans: readonly Plan[],
  spanMs: number,
): Promise<CommandAnswer> {
  const now = deps.clock.now().wall;
  const since = now - spanMs;
  const silent: string[] = [];
  const asked = async <T>(whom: string, call: () => Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await withDeadline(deps.clock, ASK_WITHIN_MS, whom, call());
    } catch (error) {
      if (!(error instanceof OutsideFault))
        deps.log.error("changes: a source threw", { whom, error: messageOfFault(error) });
      silent.push(`Not asked in full: ${whom} (${messageOfFault(error)}).`);
      return otherwise;
    }
  };
  const [runs, restarts, systems, processes] = await Promise.all([
    asked("Belay's journal", () => runChanges(deps, since), []),
    asked("the journal of the watches", () => restartsSince(deps, since), []),
    Promise.all(
      onePerSystem(plans).map((plan) =>
        asked(placeOf(plan), () => historyOf(deps, plan, since), { plan, keepsNone: false, changes: [] }),
      ),
    ),
    Promise.all(
      onePerService(plans).map((plan) =>
        asked(`the metrics of ${plan.service}`, () => processesOf(deps, plan, since, now), []),
      ),
    ),
  ]);
  const sources: ChangeSources = {
    runs,
    restarts,
    systems: systems.flatMap((system) => system.changes),
    processes: processes.flat(),
    silent: [...silent.sort(), ...forgetful(systems)],
  };
  const lines = changesLines(sources, since, now, deps.zone);
  return said(changesTitle(spanMs, lines, sources.silent.length), lines);
}

async function runChanges({ journal }: ChangesDeps, since: number): Promise<readonly RunChange[]> {
  const events = await journal.eventsSince(since - BEFORE_MS, MOST_EVENTS, CHANGING);
  const runs = new Map<string, Recorded[]>();
  for (const { run, recorded } of events) runs.set(run, [...(runs.get(run) ?? []), recorded]);
  const told: RunChange[] = [];
  for (const [run, recordeds] of runs) {
    const stored = await journal.run(run);
    if (stored === undefined) continue;
    const { plan, state } = stored;
    const { startedBy } = state;
    told.push(...recordeds.map((recorded) => ({ run, plan, startedBy, recorded })));
  }
  return told;
}

async function restartsSince(
  { probeEventsSince }: ChangesDeps,
  since: number,
): Promise<ChangeSources["restarts"]> {
  return (await probeEventsSince?.(since, MOST_CHECKS)) ?? [];
}

interface History {
  readonly plan: Plan;
  readonly keepsNone: boolean;
  readonly changes: readonly SystemChange[];
}

async function historyOf({ connect }: ChangesDeps, plan: Plan, since: number): Promise<History> {
  const { flags } = connect(plan);
  if (!flags.can.history) return { plan, keepsNone: true, changes: [] };
  const found = await flags.history(Object.values(plan.flags), since);
  return { plan, keepsNone: false, changes: found.map((change) => ({ ...change, plan })) };
}

/** Versions and process starts; what metrics do not tell is told nowhere. */
async function processesOf(
  { connect }: ChangesDeps,
  plan: Plan,
  since: number,
  now: number,
): Promise<readonly Processes[]> {
  if (plan.deploys === undefined) return [];
  const { metrics } = connect(plan);
  const { label = "version", started, version } = plan.deploys;
  const stepMs = Math.max(LEAST_STEP_MS, Math.ceil((now - since) / STEPS / SECOND) * SECOND);
  const fresh = processLookbackMs(plan.scrapeMs);
  const [begun, ranges] = await Promise.all([
    started === undefined ? undefined : metrics.query(started, now, fresh),
    version === undefined ? undefined : metrics.queryRange(version, since, now, stepMs, fresh),
  ]);
  for (const answer of [begun, ranges])
    if (answer?.kind === "down") throw new OutsideFault(answer.detail, { recoverable: true });
  const points = ranges?.kind === "points" ? ranges.points : [];
  const versions: Processes["versions"][number][] = [];
  let known: readonly string[] | undefined;
  for (const { wall, answer } of points) {
    const after = versionsOf(answer, label);
    if (after === undefined) continue;
    const before = known;
    if (before !== undefined && after.some((one) => !before.includes(one)))
      versions.push({ wall, before, after });
    known = after;
  }
  const starts = begun === undefined ? [] : startsOf(begun).filter((wall) => wall >= since);
  return [{ plan, starts, versions, stepMs }];
}

/** Stores that keep no history: what people change there is known only while a rollout watches. */
function forgetful(systems: readonly History[]): readonly string[] {
  const places = systems
    .filter(({ keepsNone }) => keepsNone)
    .map(({ plan }) => `${plan.outside.provider.kind} of ${plan.service}`);
  if (places.length === 0) return [];
  const keep = places.length === 1 ? "keeps" : "keep";
  return [
    `No history: ${places.join(", ")} ${keep} none; changes by people there are known only while a rollout watches.`,
  ];
}

/** Each flag system with its catalogue once, however many rollouts use it. */
function onePerSystem(plans: readonly Plan[]): readonly Plan[] {
  return [
    ...new Map(
      plans.map((plan) => [
        JSON.stringify([
          plan.outside.provider,
          plan.environment,
          plan.service,
          Object.keys(plan.flags).sort(),
        ]),
        plan,
      ]),
    ).values(),
  ];
}

function onePerService(plans: readonly Plan[]): readonly Plan[] {
  return [
    ...new Map(
      plans.map((plan) => [
        JSON.stringify([plan.deploys, plan.outside.prometheus, plan.environment, plan.service]),
        plan,
      ]),
    ).values(),
  ];
}
