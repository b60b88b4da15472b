/** Restarts of targets: one of each at a time, replica after replica, each journaled before it begins and after it ended. */
import { MINUTE, SECOND } from "../core/time.ts";
import type { WatchPlan, WatchTarget } from "../core/watch/plan.ts";
import type { ProbeEvent } from "../core/watch/probe.ts";
import { restartStarted } from "../core/watch/restart.ts";
import { sleep, withDeadline } from "./concurrency.ts";
import type { ProbeDesk } from "./health-probe.ts";
import { type Clock, type Log, messageOfFault } from "./ports.ts";
import type { Restarter } from "./watch-ports.ts";

/** A restart waits so long for a rollout step, or for the outcome of one that was cut short; then it is given up. */
const MOST_WAIT_MS = 10 * MINUTE;
/** So long between two replicas, where half of the target is new and half is old. */
const MOST_WAIT_BETWEEN_MS = 2 * MINUTE;
const LOOK_EVERY_MS = SECOND;
/** A restarter ends by itself; one that does not is given up so long after its time, and nothing is restarted beside it. */
const RESTART_GRACE_MS = 2 * MINUTE;

type Started = Extract<ProbeEvent, { kind: "restart_started" }>;

export interface RestartHow {
  /** No downtime, and not in a live rollout. */
  readonly planned: boolean;
  readonly by: Started["by"];
  /** Of the command that asks for it; journaled, so that the command is known when it comes again. */
  readonly key?: string;
}

/** What came of a restart of all replicas. `detail` is a clause. */
export interface RestartResult {
  readonly ok: boolean;
  readonly detail: string;
  readonly tookMs: number;
}

export interface RestartsDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly restarter: Restarter;
  readonly stepUnderWay: (service: string, environment: string) => boolean;
  /** The live rollout of this service by its name, such as `demo (r-1)`; undefined when there is none. */
  readonly rolloutLive: (service: string, environment: string) => string | undefined;
  /** The probes that restart this target. */
  readonly sharing: (plan: WatchPlan, target: string) => readonly ProbeDesk[];
}

interface Held {
  readonly planned: boolean;
  readonly service: string;
  readonly environment: string;
  /** A replica is being restarted at this moment. */
  active: boolean;
  /** Nobody waits for it any more, and it has not ended. */
  givenUp: boolean;
}

/** What keeps a restart from being begun now; `forGood`: waiting does not help. */
interface Obstacle {
  readonly detail: string;
  readonly forGood: boolean;
}

export class Restarts {
  readonly #deps: RestartsDeps;
  readonly #held = new Map<string, Held>();
  readonly #waiting = new Map<string, (() => void)[]>();
  readonly #wasPlanned = new Map<string, boolean>();
  #stopped = false;

  constructor(deps: RestartsDeps) {
    this.#deps = deps;
  }

  /** What is under way goes on, but is not recorded any more: the next start finds it as cut short. */
  stop(): void {
    this.#stopped = true;
  }

  isHeld(plan: WatchPlan, target: string): boolean {
    return this.#held.has(keyOf(plan, target));
  }

  isActive(plan: WatchPlan, target: string): boolean {
    return this.#held.get(keyOf(plan, target))?.active === true;
  }

  /** Whether the newest restart of the target was a planned one. */
  wasPlanned(plan: WatchPlan, target: string): boolean {
    return this.#wasPlanned.get(keyOf(plan, target)) === true;
  }

  /** What of this service is being restarted, in words; undefined when nothing is. */
  underWay(service: string, environment: string): string | undefined {
    const found = [...this.#held].find(
      ([, held]) => held.service === service && held.environment === environment,
    );
    if (found === undefined) return undefined;
    const [key, { givenUp }] = found;
    return givenUp ? `the restart of ${key} was given up and has not ended` : `${key} is being restarted`;
  }

  /** A restart that a probe decided on. To be called in the turn of its desk; resolves once it is begun, or not to be. */
  async begin(desk: ProbeDesk, target: WatchTarget, started: ProbeEvent): Promise<void> {
    if (started.kind !== "restart_started") return;
    const plan = desk.plan();
    const how = { planned: started.planned, by: started.by };
    if (!this.#tryHold(plan, target.name, how.planned)) return;
    desk.inHand = true;
    if ((await desk.recordNow([started])) !== "kept") {
      await desk.recordNow([failedOf(target, 0, how, "it was not begun, because the journal is away")]);
      desk.inHand = false;
      this.#release(plan, target.name);
      return;
    }
    void this.#roll(plan, target, desk, how, true);
  }

  /** A restart that a job or a person asks for: it waits for its turn, and for the end of a rollout step; a planned one does not wait for that of a whole rollout. Never rejects. */
  async run(plan: WatchPlan, target: WatchTarget, how: RestartHow): Promise<RestartResult> {
    const { clock } = this.#deps;
    const begunAt = clock.now().steady;
    const giveUpAt = begunAt + MOST_WAIT_MS;
    for (;;) {
      const inTheWay = await this.#clear(plan, target.name, how, giveUpAt);
      if (inTheWay !== undefined)
        return { ok: false, detail: inTheWay, tookMs: clock.now().steady - begunAt };
      if (!(await this.#hold(plan, target.name, how.planned, giveUpAt))) {
        const detail = `not restarted: ${this.underWay(plan.service, plan.environment) ?? "another restart is under way"}`;
        return { ok: false, detail, tookMs: clock.now().steady - begunAt };
      }
      if (this.#obstacle(plan, target.name, how) === undefined) break;
      this.#release(plan, target.name);
    }
    return this.#roll(plan, target, this.#deps.sharing(plan, target.name)[0], how, false);
  }

  /** All replicas, one after the other; the next one only when this one is up. The target is held, and released at the end. */
  async #roll(
    plan: WatchPlan,
    target: WatchTarget,
    owner: ProbeDesk | undefined,
    how: RestartHow,
    isFirstRecorded: boolean,
  ): Promise<RestartResult> {
    const { clock } = this.#deps;
    const begunAt = clock.now().steady;
    if (owner !== undefined) owner.inHand = true;
    let settled: Promise<unknown> = Promise.resolve();
    let fault: string | undefined;
    try {
      for (let replica = 0; replica < target.replicas.length && fault === undefined; replica++) {
        if (replica > 0) fault = await this.#clearBetween(plan, replica, how);
        if (this.#stopped) fault = "Belay is stopping";
        if (fault !== undefined) break;
        if (replica > 0 || !isFirstRecorded)
          fault = await this.#recordStart(plan, owner, target, replica, how);
        if (fault !== undefined) break;
        const one = await this.#one(plan, target, replica, how);
        settled = one.settled;
        fault = one.fault;
        await this.#recordEnd(owner, target, replica, how, one);
      }
    } catch (error) {
      fault = messageOfFault(error);
    }
    if (owner !== undefined) owner.inHand = false;
    const held = this.#held.get(keyOf(plan, target.name));
    if (held !== undefined) held.givenUp = true;
    // One that was given up may still be at work; until it has ended nothing is restarted beside it.
    void settled.then(() => this.#release(plan, target.name));
    const tookMs = clock.now().steady - begunAt;
    return { ok: fault === undefined, detail: fault ?? `${target.name} was restarted`, tookMs };
  }

  async #one(
    plan: WatchPlan,
    target: WatchTarget,
    replica: number,
    how: RestartHow,
  ): Promise<{
    readonly fault: string | undefined;
    readonly tookMs: number;
    readonly settled: Promise<unknown>;
  }> {
    const { clock, log, restarter, stepUnderWay } = this.#deps;
    const unbegun = stepUnderWay(plan.service, plan.environment)
      ? "it was not begun, because a rollout step began first"
      : this.#spoils(plan, replica, how);
    if (unbegun !== undefined) return { fault: unbegun, tookMs: 0, settled: Promise.resolve() };
    const key = keyOf(plan, target.name);
    const held = this.#held.get(key);
    const begunAt = clock.now().steady;
    if (held !== undefined) {
      held.active = true;
      this.#wasPlanned.set(key, held.planned);
    }
    const restart = restarter.restart(target, replica);
    let fault: string | undefined;
    try {
      await withDeadline(clock, target.upWithinMs + RESTART_GRACE_MS, `restart of ${target.name}`, restart);
    } catch (error) {
      fault = messageOfFault(error);
      log.warn("a restart failed", { target: key, replica, error: fault });
    }
    if (held !== undefined) held.active = false;
    return { fault, tookMs: clock.now().steady - begunAt, settled: restart.catch(() => undefined) };
  }

  /** Nothing is begun that the journal does not have; a target that no probe names is journaled by who asked for it. */
  async #recordStart(
    plan: WatchPlan,
    owner: ProbeDesk | undefined,
    target: WatchTarget,
    replica: number,
    how: RestartHow,
  ): Promise<string | undefined> {
    if (owner === undefined) return undefined;
    const away = "it was not begun, because the journal is away";
    if (!owner.isFlushed()) return away;
    const started = restartStarted(target, replica, how, this.#deps.clock.now().steady);
    const closed = replica === 0 ? this.#circuitsToClose(plan, target, how) : [];
    const closing: ProbeEvent = { kind: "circuit_closed", by: how.by };
    const kept = await owner.record([...(closed.includes(owner) ? [closing] : []), started]);
    for (const desk of closed) if (desk !== owner) await desk.record([closing]);
    if (kept === "kept") return undefined;
    await owner.record([failedOf(target, replica, how, away)]);
    return away;
  }

  /** A person's restart closes an open circuit, for all that share the target; while it is held, so that no probe restarts it beside. */
  #circuitsToClose(plan: WatchPlan, target: WatchTarget, { by, planned }: RestartHow): readonly ProbeDesk[] {
    const sharing = this.#deps.sharing(plan, target.name);
    const isOpen = sharing.some((desk) => desk.state().circuitOpen);
    return planned || by.kind === "belay" || !isOpen ? [] : sharing;
  }

  async #recordEnd(
    owner: ProbeDesk | undefined,
    target: WatchTarget,
    replica: number,
    how: RestartHow,
    { fault, tookMs }: { readonly fault: string | undefined; readonly tookMs: number },
  ): Promise<void> {
    if (this.#stopped) return;
    if (owner !== undefined) {
      const { planned } = how;
      const event: ProbeEvent =
        fault === undefined
          ? { kind: "restart_done", target: target.name, replica, planned, tookMs }
          : failedOf(target, replica, how, fault);
      await owner.record([event]);
      for (const desk of this.#deps.sharing(owner.plan(), target.name)) {
        desk.restarted();
        desk.checkSoon();
      }
    }
  }

  /** What stands in the way of a restart now. */
  #obstacle(plan: WatchPlan, target: string, how: RestartHow): Obstacle | undefined {
    const { sharing, stepUnderWay } = this.#deps;
    if (this.#stopped) return { detail: "not restarted: Belay is stopping", forGood: true };
    const spoils = this.#spoils(plan, 0, how);
    if (spoils !== undefined) return { detail: spoils, forGood: true };
    if (stepUnderWay(plan.service, plan.environment))
      return { detail: "not restarted: a rollout step of the same service is under way", forGood: false };
    if (!sharing(plan, target).some((desk) => desk.isCutShort())) return undefined;
    return { detail: "not restarted: what came of an earlier restart is not known yet", forGood: false };
  }

  /** A planned restart in the middle of a rollout would spoil the evidence that its stages are judged by; why it is not done, as a clause. */
  #spoils({ service, environment }: WatchPlan, replica: number, { planned }: RestartHow): string | undefined {
    const live = planned ? this.#deps.rolloutLive(service, environment) : undefined;
    if (live === undefined) return undefined;
    const what = replica === 0 ? "not restarted" : `stopped before replica ${replica + 1}`;
    return `${what}: the rollout ${live} is live, and a restart would spoil its evidence; \`/belay health restart\` does it all the same`;
  }

  async #clear(
    plan: WatchPlan,
    target: string,
    how: RestartHow,
    giveUpAt: number,
  ): Promise<string | undefined> {
    const { clock } = this.#deps;
    for (;;) {
      const found = this.#obstacle(plan, target, how);
      if (found === undefined || found.forGood || clock.now().steady >= giveUpAt) return found?.detail;
      await sleep(clock, LOOK_EVERY_MS);
    }
  }

  async #clearBetween(plan: WatchPlan, replica: number, how: RestartHow): Promise<string | undefined> {
    const { clock, stepUnderWay } = this.#deps;
    const giveUpAt = clock.now().steady + MOST_WAIT_BETWEEN_MS;
    while (stepUnderWay(plan.service, plan.environment)) {
      if (this.#stopped || clock.now().steady >= giveUpAt)
        return `stopped before replica ${replica + 1}, because a rollout step is under way`;
      await sleep(clock, LOOK_EVERY_MS);
    }
    return this.#spoils(plan, replica, how);
  }

  #tryHold(plan: WatchPlan, target: string, planned: boolean): boolean {
    const key = keyOf(plan, target);
    if (this.#held.has(key)) return false;
    const { service, environment } = plan;
    this.#held.set(key, { planned, service, environment, active: false, givenUp: false });
    return true;
  }

  /** Waits for its turn; false when it had none until `giveUpAt` (steady ms). */
  async #hold(plan: WatchPlan, target: string, planned: boolean, giveUpAt: number): Promise<boolean> {
    const { clock } = this.#deps;
    const key = keyOf(plan, target);
    while (!this.#tryHold(plan, target, planned)) {
      const leftMs = giveUpAt - clock.now().steady;
      if (leftMs <= 0 || this.#stopped) return false;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.set(key, [...(this.#waiting.get(key) ?? []), resolve]);
      const cancel = clock.after(leftMs, resolve);
      await promise;
      cancel();
      const others = (this.#waiting.get(key) ?? []).filter((one) => one !== resolve);
      this.#waiting.set(key, others);
    }
    return true;
  }

  #release(plan: WatchPlan, target: string): void {
    const key = keyOf(plan, target);
    this.#held.delete(key);
    const [next, ...others] = this.#waiting.get(key) ?? [];
    this.#waiting.set(key, others);
    next?.();
  }
}

function keyOf(plan: WatchPlan, target: string): string {
  return `${plan.watch}/${target}`;
}

function failedOf(target: WatchTarget, replica: number, { planned }: RestartHow, detail: string): ProbeEvent {
  return { kind: "restart_failed", target: target.name, replica, planned, detail };
}
