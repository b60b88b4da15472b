/** The health desk: every probe of every watch at its interval, restarts within their budget, and what people are told of it. */
import type { ProbeFact } from "../core/report/health-post.ts";
import { probeFact } from "../core/report/health-words.ts";
import type { Probe, WatchPlan, WatchTarget } from "../core/watch/plan.ts";
import { evolveProbe, isOpenProbe, type ProbeState, type RecordedProbe } from "../core/watch/probe.ts";
import type { Counting } from "../core/watch/probe-row.ts";
import { countingFor, type TargetFacts, targetFacts } from "../core/watch/restart.ts";
import { CheckCounts } from "./health-counts.ts";
import { PageEnds } from "./health-ends.ts";
import { endedPages } from "./health-messages.ts";
import { ProbeDesk, type ProbeDeskDeps, probeId } from "./health-probe.ts";
import { type RestartHow, type RestartResult, Restarts } from "./health-restart.ts";
import { type Clock, createTurns, type Log, messageOfFault, type OutboxDraft } from "./ports.ts";
import type { Prober, Restarter, SubjectJournal } from "./watch-ports.ts";

/** Decisions that only time brings (a mute's end, the distance between restarts) are taken this often. */
const TICK_MS = 1_000;
const TAKE_AGAIN_MS = 5_000;
const COUNT_EVERY_MS = 30_000;
/** First checks are spread over at most this long, so that they do not all fall together. */
const SPREAD_MS = 30_000;

export interface HealthDeps {
  readonly clock: Clock;
  readonly journal: SubjectJournal;
  readonly log: Log;
  /** What asks the probes of this watch; called at each `setWatches`. */
  readonly prober: (plan: WatchPlan) => Prober;
  readonly restarter: Restarter;
  /** Whether a rollout step, or a rollback, of this service is under way: nothing is restarted then. */
  readonly stepUnderWay: (service: string, environment: string) => boolean;
  /** Ends the page with this key; nothing when there is none, or when it is over already. */
  readonly resolvePage: (key: string, because: string) => Promise<void>;
  /** Messages that the journal could not take. */
  readonly sendNow: (drafts: readonly OutboxDraft[]) => void;
  /** Where a watch without a channel is told. */
  readonly defaultChannel?: string;
}

export class Health {
  readonly #deps: HealthDeps;
  readonly #counts: CheckCounts;
  readonly #ends: PageEnds;
  readonly #restarts: Restarts;
  readonly #desks = new Map<string, ProbeDesk>();
  readonly #reloads = createTurns();
  #plans: ReadonlyMap<string, WatchPlan> = new Map();
  /** What could not be taken up yet, because the journal was away; tried again. */
  #pending: readonly WatchPlan[] | undefined;
  #triedAt = 0;
  #knowsAll = false;
  #countedAt = 0;
  #started = false;
  #stopped = false;

  constructor(deps: HealthDeps) {
    this.#deps = deps;
    this.#counts = new CheckCounts(deps.journal, deps.log);
    this.#ends = new PageEnds(deps);
    this.#restarts = new Restarts({ ...deps, sharing: (plan, target) => this.#sharing(plan, target) });
  }

  /** Begins to check, and to decide. What stands in the journal of probes that no file names any more is closed there. */
  async start(): Promise<void> {
    // Unless the watches were taken up, nobody knows which probes no file names.
    if (this.#knowsAll) await this.#closeLeftOver();
    this.#started = true;
    this.#countedAt = this.#deps.clock.now().steady;
    this.#spread([...this.#desks.values()]);
    this.#tick();
  }

  /** Ends the loops; the checks counted so far go into the journal. A restart under way goes on, and the next start asks what came of it. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#restarts.stop();
    for (const desk of this.#desks.values()) desk.stop();
    await this.#counts.flush();
  }

  /** The watches as they stand in the files now. Rejects, and changes nothing, when the journal cannot tell of a new probe; it is tried again then. */
  setWatches(plans: ReadonlyMap<string, WatchPlan>): Promise<void> {
    this.#pending = [...plans.values()];
    return this.#takePending();
  }

  plans(): ReadonlyMap<string, WatchPlan> {
    return this.#plans;
  }

  desks(): readonly ProbeDesk[] {
    return [...this.#desks.values()];
  }

  /** All replicas of a target, one after the other. Waits for its turn and for the end of a rollout step. Never rejects. */
  async restartTarget(watch: string, target: string, how: RestartHow): Promise<RestartResult> {
    const plan = this.#plans.get(watch);
    const found = plan?.targets.find((one) => one.name === target);
    if (plan === undefined || found === undefined)
      return { ok: false, detail: `no watch names the target ${watch}/${target}`, tookMs: 0 };
    return this.#restarts.run(plan, found, how);
  }

  /** How the probes of a watch stand now, for the daily post. */
  facts(watch: string): readonly ProbeFact[] {
    return this.desks()
      .filter((desk) => desk.plan().watch === watch)
      .map((desk) => probeFact(desk.probe(), desk.state(), desk.last()));
  }

  /** Whether something of this service is being restarted, so that a rollout step can wait for it. */
  isRestarting(service: string, environment: string): boolean {
    return this.#restarts.isUnderWay(service, environment);
  }

  /** The probes that restart this target. */
  #sharing(plan: WatchPlan, target: string): readonly ProbeDesk[] {
    return this.desks().filter((desk) => desk.plan().watch === plan.watch && desk.probe().restart === target);
  }

  #takePending(): Promise<void> {
    this.#triedAt = this.#deps.clock.now().steady;
    return this.#reloads(async () => {
      const plans = this.#pending;
      if (plans === undefined) return;
      await this.#take(plans);
      this.#knowsAll = true;
      if (this.#pending === plans) this.#pending = undefined;
    });
  }

  async #take(plans: readonly WatchPlan[]): Promise<void> {
    const wanted = plans.flatMap((plan) =>
      plan.probes.map((probe) => ({ plan, probe, id: probeId(plan, probe) })),
    );
    const stored = new Map<string, ProbeState | undefined>();
    for (const { id } of wanted)
      if (!this.#desks.has(id)) stored.set(id, await this.#deps.journal.subject("probe", id));
    this.#plans = new Map(plans.map((plan) => [plan.watch, plan]));
    const probers = new Map(plans.map((plan) => [plan.watch, this.#deps.prober(plan)]));
    const kept = new Set(wanted.map(({ id }) => id));
    for (const desk of this.desks()) {
      if (kept.has(desk.id)) continue;
      this.#desks.delete(desk.id);
      await desk.retire();
    }
    const fresh: ProbeDesk[] = [];
    for (const { plan, probe, id } of wanted) {
      const prober = probers.get(plan.watch);
      if (prober === undefined) continue;
      const known = this.#desks.get(id);
      if (known !== undefined) known.update(plan, probe, prober);
      else fresh.push(this.#open(plan, probe, prober, stored.get(id)));
    }
    if (this.#started) this.#spread(fresh);
  }

  #open(plan: WatchPlan, probe: Probe, prober: Prober, stored: ProbeState | undefined): ProbeDesk {
    const desk = new ProbeDesk(this.#deskDeps(), plan, probe, prober, stored);
    this.#desks.set(desk.id, desk);
    return desk;
  }

  #deskDeps(): ProbeDeskDeps {
    const { clock, journal, log, sendNow, stepUnderWay, defaultChannel } = this.#deps;
    return {
      clock,
      journal,
      log,
      sendNow,
      stepUnderWay,
      defaultChannel,
      targetOf: (desk) => this.#targetFacts(desk),
      countingOf: (desk) => this.#counting(desk),
      begin: async (desk, started) => {
        const target = targetOf(desk.plan(), desk.probe());
        if (target !== undefined) await this.#restarts.begin(desk, target, started);
      },
      onChecked: (desk, checked, counted) => {
        if (checked.kind === "unknown") return;
        const { plan, restart } = { plan: desk.plan(), restart: desk.probe().restart };
        const planned = restart !== undefined && this.#restarts.wasPlanned(plan, restart);
        // A planned restart is no downtime.
        const bad = checked.kind === "bad" && (counted || !planned);
        this.#counts.add(desk.id, clock.now().wall, bad);
      },
      onEnded: (ended) => this.#ends.add(ended),
    };
  }

  #targetFacts(desk: ProbeDesk): TargetFacts | undefined {
    const plan = desk.plan();
    const target = targetOf(plan, desk.probe());
    if (target === undefined) return undefined;
    const states = this.#sharing(plan, target.name).map((one) => one.state());
    return targetFacts(target, states, this.#restarts.isHeld(plan, target.name));
  }

  #counting(desk: ProbeDesk): Counting {
    const facts = this.#targetFacts(desk);
    return countingFor(facts, facts !== undefined && this.#restarts.isActive(desk.plan(), facts.target.name));
  }

  /** First checks one after the other, so that they do not all fall together; and the ends of pages that an end of Belay swallowed. */
  #spread(desks: readonly ProbeDesk[]): void {
    const { clock } = this.#deps;
    desks.forEach((desk, index) => {
      this.#ends.add(endedPages(desk.state()));
      const overMs = Math.min(SPREAD_MS, desk.probe().intervalMs);
      desk.start(((index + clock.random()) / desks.length) * overMs);
    });
  }

  #tick(): void {
    if (this.#stopped) return;
    const { clock } = this.#deps;
    const { steady } = clock.now();
    for (const desk of this.#desks.values()) desk.decide();
    this.#ends.tick();
    if (this.#pending !== undefined && steady - this.#triedAt >= TAKE_AGAIN_MS)
      this.#takePending().catch((error: unknown) =>
        this.#deps.log.warn("the probes could not be taken up", { error: messageOfFault(error) }),
      );
    if (steady - this.#countedAt >= COUNT_EVERY_MS) {
      this.#countedAt = steady;
      void this.#counts.flush();
    }
    clock.after(TICK_MS, () => this.#tick());
  }

  /** What was paged about such a probe stays open for a person: nobody looks any more whether it is well. */
  async #closeLeftOver(): Promise<void> {
    const { clock, journal, log } = this.#deps;
    for (const state of await journal.openSubjects("probe")) {
      if (this.#desks.has(state.id) || !isOpenProbe(state)) continue;
      log.warn("a probe stands in no file any more; it was not well when it was last seen", {
        probe: state.id,
      });
      await retireUnknown(journal, state, clock).catch((error: unknown) =>
        log.error("a probe could not be closed", { probe: state.id, error: messageOfFault(error) }),
      );
    }
  }
}

async function retireUnknown(journal: SubjectJournal, state: ProbeState, clock: Clock): Promise<void> {
  const { steady, wall } = clock.now();
  const seq = state.revision + 1;
  const recorded: RecordedProbe = { seq, at: steady, wall, event: { kind: "retired" } };
  await journal.commitSubject({
    kind: "probe",
    id: state.id,
    expected: state.revision,
    events: [recorded],
    state: evolveProbe(state, recorded),
    open: false,
    outbox: [],
    intakes: [],
  });
}

function targetOf(plan: WatchPlan, probe: Probe): WatchTarget | undefined {
  return plan.targets.find((one) => one.name === probe.restart);
}
