/** Deploys and restarts of the service inside a soak: what is measured from then on tells of two changes at once, so the rollout holds and soaks anew. */
import { changeInWords } from "../deployed.ts";
import { BELAY, type Cause, type RolloutEvent, SELF_ENDING } from "../event.ts";
import type { Plan } from "../plan.ts";
import { formatDuration, MINUTE, type Now, SECOND } from "../time.ts";
import type { Of } from "./edits.ts";
import {
  newestFlagStage,
  newestUndoable,
  pendingAsked,
  pendingBackward,
  type Rollback,
  type State,
  stageAt,
} from "./state.ts";
import type { World } from "./world.ts";

const NONE: readonly RolloutEvent[] = [];

/** Start times of one and the same process may differ by this much from scrape to scrape. */
const START_JITTER_MS = 2 * SECOND;
/** While people decide anyway, further process starts are journaled at most this often. */
const RECORD_EVERY_MS = MINUTE;
/** For so long after the last change, more changes of a service that runs two versions belong to the same rolling deploy. */
const ROLLING_MS = 15 * MINUTE;

/** From a new version's first scrape until it is known here, at most. */
const NOTICED_WITHIN_MS = 10 * SECOND;

type News = Of<"deploy_found" | "versions_seen">;

/**
 * While walking: a deploy or restart that this rollout did not cause is recorded, and holds unless people are asked to decide already. Decided by level, on
 * what is journaled, so that one which nobody watched counts too.
 */
export function onDeploys(plan: Plan, state: State, world: World, now: Now): readonly RolloutEvent[] {
  const news = deployNews(plan, state, world, now);
  if (news === undefined) return NONE;
  if (news.kind === "versions_seen") return [news];
  if (!isHoldDue(state, world, now)) return isWorthRecording(state, news) ? [news] : NONE;
  const { since, name } = newestSoak(plan, state);
  const happened = happenedAt(news, now);
  const when = since === undefined ? "" : ` ${sinceInWords(happened - since, `${name} went live`)}`;
  const detail = `${news.detail}${when}; resume begins the soak anew`;
  return [news, { kind: "held", reason: "unattributed", detail, by: BELAY }];
}

/** What the world tells of the service that the journal does not know yet. `now`: one instant on both clocks, to compare process starts with flips. */
export function deployNews(plan: Plan, state: State, world: World, now: Now): News | undefined {
  const seen = world.service;
  const status = state.stages[newestFlagStage(plan, state)]?.status;
  if (plan.deploys === undefined || seen === undefined) return undefined;
  // It will fall into the soak; not what happens while people have not flipped yet.
  if (status === "enabling" && pendingAsked(state).length === 0) return undefined;
  // Our own restart may be under way; what it brings is not judged before it is over.
  if (plan.provider.restartMs > 0 && pendingBackward(state).length > 0) return undefined;
  const known = state.service?.versions ?? [];
  const versions = seen.versions.length === 0 ? known : seen.versions;
  if (status === "soaking" || status === "passed") {
    const isNew = known.length > 0 && versions.some((version) => !known.includes(version));
    const startedWall = newStart(state, plan, seen.startedWall, now);
    const started = startedWall === undefined ? {} : { startedWall };
    if (isNew) {
      const detail = `${changeInWords(known, versions)} was deployed`;
      return { kind: "deploy_found", what: "deploy", detail, versions, ...started };
    }
    if (startedWall !== undefined) {
      const detail = `a process of ${plan.service} was restarted`;
      return { kind: "deploy_found", what: "restart", detail, versions, ...started };
    }
  }
  return isSame(known, versions) ? undefined : { kind: "versions_seen", versions };
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one) => b.includes(one));
}

/** The start of the newest process, if it began after the newest flip took effect (plus a scrape) and is not known yet. */
function newStart(state: State, plan: Plan, startedWall: number | undefined, now: Now): number | undefined {
  if (startedWall === undefined) return undefined;
  const known = state.service?.startedWall ?? Number.NEGATIVE_INFINITY;
  if (startedWall <= known + START_JITTER_MS) return undefined;
  const tookEffect = [
    state.stages[newestFlagStage(plan, state)]?.enabledAt,
    state.rollback?.confirmedAt,
    state.lever?.at,
    ...Object.values(state.flips).map(({ at, verifiedAt }) => verifiedAt ?? at),
  ].filter((at) => at !== undefined);
  const settledWall = wallOf(Math.max(Number.NEGATIVE_INFINITY, ...tookEffect), now) + plan.scrapeMs;
  return startedWall > settledWall ? startedWall : undefined;
}

function wallOf(steady: number, now: Now): number {
  return now.wall - (now.steady - steady);
}

/** Not while people are asked to decide anyway, and once for all replicas of a rolling deploy. */
function isHoldDue(state: State, world: World, now: Now): boolean {
  if (state.holds.some(({ reason }) => !SELF_ENDING.has(reason))) return false;
  const { unattributed } = state;
  const isMixed = Math.max(state.service?.versions.length ?? 0, world.service?.versions.length ?? 0) > 1;
  const isRolling = isMixed && unattributed !== undefined && now.steady - unattributed.at <= ROLLING_MS;
  return !(isRolling && isKnownDeploy(state, world));
}

/** Whether no version runs that is not known. */
function isKnownDeploy(state: State, world: World): boolean {
  const known = state.service?.versions ?? [];
  return (world.service?.versions ?? []).every((version) => known.includes(version));
}

/** A process that restarts over and over does not fill the journal. */
function isWorthRecording(state: State, news: Of<"deploy_found">): boolean {
  const known = state.service?.startedWall;
  if (news.what === "deploy" || known === undefined || news.startedWall === undefined) return true;
  return news.startedWall - known >= RECORD_EVERY_MS;
}

/** The newest stage that sets flags, and since when (steady ms) it is live. */
function newestSoak(plan: Plan, state: State): { readonly name: string; readonly since: number | undefined } {
  const index = newestFlagStage(plan, state);
  if (index < 0) return { name: "", since: undefined };
  return { name: stageAt(plan, index).name, since: state.stages[index]?.enabledAt };
}

/** Steady ms at which it happened: when the newest process began, or else when it was noticed. */
export function happenedAt(news: Of<"deploy_found">, noticed: Now): number {
  if (news.startedWall === undefined) return noticed.steady;
  return Math.min(noticed.steady, noticed.steady - (noticed.wall - news.startedWall));
}

function sinceInWords(ms: number, what: string): string {
  return ms < 0
    ? `${formatDuration(-roughly(-ms))} before ${what}`
    : `${formatDuration(roughly(ms))} after ${what}`;
}

/** Whole seconds, and whole minutes from two minutes on. */
function roughly(ms: number): number {
  const unit = Math.abs(ms) < 2 * MINUTE ? SECOND : MINUTE;
  return Math.round(ms / unit) * unit;
}

/** A rollback by Belay itself, when the service changed after the newest flip. */
export interface Attributed {
  /** What is not in the journal yet; to be recorded before the rollback. */
  readonly news: readonly RolloutEvent[];
  /** The cause, saying that both happened. */
  readonly cause: Cause;
}

/**
 * The cause of a rollback, and that a deploy or restart happened too. It delays nothing: the rollback comes with it, in the same commit. `isTakenBack`:
 * there is one; not where Belay only says that it would.
 */
export function attribute(
  plan: Plan,
  state: State,
  world: World,
  cause: Cause,
  isTakenBack: boolean,
): Attributed {
  if (cause.kind === "person") return { news: NONE, cause };
  // A restart by the breach itself counts too: it is what happened, and people tell cause from effect.
  const last: Now = { steady: state.lastAt, wall: state.lastWall };
  const found = deployNews(plan, state, world, last);
  const news = found?.kind === "deploy_found" ? found : undefined;
  const beside =
    news === undefined ? state.unattributed : { detail: news.detail, at: happenedAt(news, last) };
  if (beside === undefined) return { news: NONE, cause };
  const stage = state.stages[newestUndoable(plan, state)];
  const name = plan.stages[newestUndoable(plan, state)]?.name ?? "the newest stage";
  const { at, what } = beginningOf(state, cause, last);
  const on =
    stage?.enabledAt === undefined
      ? ""
      : `${name} was on for ${formatDuration(roughly(at - stage.enabledAt))}; `;
  const gap = at - beside.at;
  const when =
    gap >= 0
      ? `${formatDuration(roughly(gap))} before ${what}`
      : `${formatDuration(roughly(-gap))} after ${what} began`;
  return {
    news: news === undefined ? NONE : [isTakenBack ? { ...news, withRollback: true } : news],
    cause: { ...cause, also: `${on}${beside.detail} ${when}` },
  };
}

/**
 * While Belay itself takes stages back and looks: a deploy or restart between the newest flip and the decision, which the metrics told too late for the
 * cause. It changes nothing of the rollback; its message says that both happened.
 */
export function onLateDeploy(plan: Plan, state: State, world: World, now: Now): readonly RolloutEvent[] {
  const { rollback, service } = state;
  const seen = world.service;
  if (plan.deploys === undefined || seen === undefined || rollback === undefined) return NONE;
  if (rollback.cause.kind === "person") return NONE;
  const known = service?.versions ?? [];
  const isNew = known.length > 0 && seen.versions.some((version) => !known.includes(version));
  const startedWall = startBefore(plan, state, rollback, seen.startedWall, now);
  if (
    startedWall === "later" ||
    (startedWall === undefined && !(isNew && isOfThatMoment(plan, rollback, now)))
  )
    return NONE;
  const detail = isNew
    ? `${changeInWords(known, seen.versions)} was deployed`
    : `a process of ${plan.service} was restarted`;
  const versions = seen.versions.length === 0 ? known : seen.versions;
  const started = startedWall === undefined ? {} : { startedWall };
  const what = isNew ? "deploy" : "restart";
  return [{ kind: "deploy_found", what, detail, versions, ...started, withRollback: true }];
}

/** The start of the newest process if that lies between the newest flip and the decision; `later` after it, undefined when nothing new is told. */
function startBefore(
  plan: Plan,
  state: State,
  rollback: Rollback,
  startedWall: number | undefined,
  now: Now,
): number | "later" | undefined {
  const known = state.service?.startedWall ?? Number.NEGATIVE_INFINITY;
  if (startedWall === undefined || startedWall <= known + START_JITTER_MS) return undefined;
  if (startedWall > rollback.decidedWall) return "later";
  const flipped = rollback.stages.map((index) => {
    const { enabledAt, startedAt } = state.stages[index] ?? {};
    return Math.max(enabledAt ?? Number.NEGATIVE_INFINITY, startedAt ?? Number.NEGATIVE_INFINITY);
  });
  const settledWall = wallOf(Math.max(Number.NEGATIVE_INFINITY, ...flipped), now) + plan.scrapeMs;
  return startedWall > settledWall ? startedWall : undefined;
}

/** Without a start time: found so soon after the decision that it was there before. A provider that restarts the service may have brought it by that. */
function isOfThatMoment(plan: Plan, { decidedAt }: Rollback, now: Now): boolean {
  return plan.provider.restartMs === 0 && now.steady - decidedAt <= plan.scrapeMs + NOTICED_WITHIN_MS;
}

/** When what led to the rollback began (steady ms), and what it is called. */
function beginningOf(
  state: State,
  cause: Exclude<Cause, { kind: "person" }>,
  last: Now,
): { readonly at: number; readonly what: string } {
  switch (cause.kind) {
    case "breach":
      return { at: cause.breachAt, what: "the breach" };
    case "still_breaching":
      return { at: state.rollback?.breachAt ?? state.rollback?.decidedAt ?? last.steady, what: "the breach" };
    case "alert":
      return { at: last.steady - (last.wall - cause.startsAt), what: "the alert" };
    case "blind":
      return {
        at: state.holds.find(({ reason }) => reason === "blind")?.since ?? last.steady,
        what: "the blindness",
      };
  }
}
