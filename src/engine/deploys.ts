/** Watching the service's own processes: asks its metrics for versions and start times at the guards' pace, for one rollout. */
import { processLookbackMs, startsOf, versionsByInstance, versionsOf } from "../core/deployed.ts";
import { isWaitedFor, type Plan } from "../core/plan.ts";
import { isOpenRun, type State } from "../core/rollout/state.ts";
import type { World } from "../core/rollout/world.ts";
import { MINUTE, SECOND } from "../core/time.ts";
import { type Bell, createBell } from "./concurrency.ts";
import type { Clock, Log, Metrics } from "./ports.ts";

/** Closer polls would tell nothing more; further ones would tell of a deploy later than ten seconds after Prometheus has it. */
const LEAST_PACE_MS = 5 * SECOND;
const MOST_PACE_MS = 8 * SECOND;
/** A rollback needs to know now; but once a second is enough. */
const URGENT_PACE_MS = SECOND;
/** A version that no replica shows counts as gone after this time: one that misses a scrape or two has not changed. */
const GONE_AFTER_MS = MINUTE;

export interface DeploysDeps {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly plan: Plan;
  readonly state: () => State;
  /** Called when something has changed. */
  readonly onSeen: () => void;
}

export class Deploys {
  readonly #deps: DeploysDeps;
  readonly #bell: Bell;
  /** Steady ms at which each version was last seen. */
  readonly #versions = new Map<string, number>();
  /** The versions that each instance showed last. */
  readonly #shown = new Map<string, ReadonlySet<string>>();
  #seen: World["service"];
  #underWay: Promise<void> | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;
  #isWarned = false;
  #stopped = false;

  constructor(deps: DeploysDeps) {
    this.#deps = deps;
    this.#bell = createBell(deps.clock);
  }

  /** What was seen last; undefined before anything was. What cannot be asked now stays as it was. */
  service(): World["service"] {
    return this.#seen;
  }

  /** Asks until stopped or the run has ended; at once resolved where the plan does not say how. Never rejects. */
  async run(): Promise<void> {
    const { clock, plan, state } = this.#deps;
    if (plan.deploys === undefined) return;
    const pace = paceOf(plan);
    while (!this.#stopped && isOpenRun(state())) {
      const leftMs = (): number => this.#askedAt + pace - clock.now().steady;
      if (leftMs() <= 0) await this.askNow();
      // A moment at least: by a rounding error an answer of just now may serve for this one too, and the loop must not spin.
      await this.#bell.wait(Math.max(1, leftMs()));
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#bell.ring();
  }

  /** Asks now, unless that was done within the last seconds (`urgent`: the last second); a question already under way is shared. Never rejects. */
  askNow(how?: "urgent"): Promise<void> {
    const { steady } = this.#deps.clock.now();
    const leastMs = how === "urgent" ? URGENT_PACE_MS : LEAST_PACE_MS;
    if (this.#underWay === undefined && steady - this.#askedAt < leastMs) return Promise.resolve();
    if (this.#underWay === undefined) this.#askedAt = steady;
    this.#underWay ??= this.#ask().finally(() => {
      this.#underWay = undefined;
    });
    return this.#underWay;
  }

  async #ask(): Promise<void> {
    const { clock, metrics, plan } = this.#deps;
    if (plan.deploys === undefined) return;
    const { label = "version", started, version } = plan.deploys;
    const now = clock.now();
    const fresh = processLookbackMs(plan.scrapeMs);
    const [named, begun] = await Promise.all([
      version === undefined ? undefined : metrics.query(version, now.wall, fresh),
      started === undefined ? undefined : metrics.query(started, now.wall, fresh),
    ]);
    if (this.#stopped) return;
    const versions = named === undefined ? undefined : versionsOf(named, label);
    if (named?.kind === "body" && versions === undefined) this.#warnOnce(label);
    for (const one of versions ?? []) this.#versions.set(one, now.steady);
    for (const [one, at] of this.#versions) {
      if (versions !== undefined && now.steady - at >= GONE_AFTER_MS) this.#versions.delete(one);
    }
    if (named !== undefined) this.#dropReplaced(versionsByInstance(named, label), now.steady);
    const newest = begun === undefined ? undefined : startsOf(begun).at(-1);
    const before = this.#seen;
    // A process whose scrape is missing is not gone back in time: an older one tells nothing new.
    const startedWall = latest(before?.startedWall, newest);
    this.#seen = { versions: [...this.#versions.keys()].sort(), startedWall, at: now.steady };
    if (!isSame(before, this.#seen)) this.#deps.onSeen();
  }

  /** A version whose every instance shows another one now has ended: it does not count on like one that misses a scrape. */
  #dropReplaced(shown: ReadonlyMap<string, ReadonlySet<string>>, now: number): void {
    const gone = new Set<string>();
    for (const [instance, versions] of shown) {
      for (const one of this.#shown.get(instance) ?? []) if (!versions.has(one)) gone.add(one);
      this.#shown.set(instance, versions);
    }
    const left = new Set([...this.#shown.values()].flatMap((versions) => [...versions]));
    for (const one of gone) if (!left.has(one) && this.#versions.get(one) !== now) this.#versions.delete(one);
  }

  /** Data without the label says that the query does not tell versions: worth a word, once. */
  #warnOnce(label: string): void {
    const { log, plan, state } = this.#deps;
    if (this.#isWarned || this.#versions.size > 0) return;
    this.#isWarned = true;
    log.warn("the query of deploys.version shows no version, so deploys are not noticed by it", {
      run: state().run,
      service: plan.service,
      label,
    });
  }
}

function latest(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.max(a, b);
}

function isSame(a: World["service"], b: World["service"]): boolean {
  return a?.startedWall === b?.startedWall && a?.versions.join("\n") === b?.versions.join("\n");
}

/** ms between two questions: as often as the guards ask, within bounds. */
function paceOf({ guards }: Plan): number {
  const fastest = Math.min(MOST_PACE_MS, ...guards.filter(isWaitedFor).map((guard) => guard.intervalMs));
  return Math.max(LEAST_PACE_MS, fastest);
}
