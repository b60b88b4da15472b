/** The health desk: every probe of every watch at its interval, restarts within their budget, and what people are told of it. */
import type { PageRequest } from "../core/oncall/page.ts";
import type { ProbeFact } from "../core/report/health-post.ts";
import { probeFact } from "../core/report/health-status.ts";
import type { Probe, WatchPlan, WatchTarget } from "../core/watch/plan.ts";
import { evolveProbe, isOpenProbe, type ProbeState, type RecordedProbe } from "../core/watch/probe.ts";
import type { Counting } from "../core/watch/probe-row.ts";
import { countingFor, type TargetFacts, targetFacts } from "../core/watch/restart.ts";
import { pageDraft } from "./drafts.ts";
import { CheckCounts } from "./health-counts.ts";
import { PageEnds } from "./health-ends.ts";
import { draftsOf, endedPages } from "./health-messages.ts";
import { ProbeDesk, type ProbeDeskDeps, probeId } from "./health-probe.ts";
import { type RestartHow, type RestartResult, Restarts } from "./health-restart.ts";
import type { OutboxDraft } from "./messages.ts";
import { type Clock, createTurns, type Log, messageOfFault, OutsideFault } from "./ports.ts";
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
  /** The live rollout of this service by its name, such as `demo (r-1)`; undefined when there is none. No planned restart is begun in it. */
  readonly rolloutLive: (service: string, environment: string) => string | undefined;
  /** Ends the page with this key; nothing when there is none, or when it is over already. */
  readonly resolvePage: (key: string, because: string) => Promise<void>;
  /** Whether the page with this key is one that nobody has resolved; without it every circuit that opens pages anew. */
  readonly pageOpen?: (key: string) => boolean;
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
  /** Of probes that stand in no file any more, until their stories are ended: two desks must never write of one probe. */
  readonly #leaving = new Map<string, ProbeDesk>();
  readonly #reloads = createTurns();
  #plans: ReadonlyMap<string, WatchPlan> = new Map();
  /** What could not be taken up yet, because the journal was away; tried again. */
  #pending: readonly WatchPlan[] | undefined;
  #triedAt = 0;
  #ending: Promise<void> | undefined;
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
    if (this.#knowsAll) await this.#reloads(() => this.#closeLeftOver());
    this.#started = true;
    this.#countedAt = this.#deps.clock.now().steady;
    this.#spread([...this.#desks.values()]);
    this.#tick();
  }

  /** The checks counted so far go into the journal. */
  async flushCounts(): Promise<void> {
    await this.#counts.flush();
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

  /** What of this service is being restarted, as a clause, so that a rollout step can wait for it; undefined when nothing is. */
  restarting(service: string, environment: string): string | undefined {
    const underWay = this.#restarts.underWay(service, environment);
    if (underWay !== undefined) return underWay;
    const cutShort = this.desks().find(
      (desk) =>
        desk.plan().service === service && desk.plan().environment === environment && desk.isCutShort(),
    );
    const { restarting } = cutShort?.state() ?? {};
    return cutShort === undefined || restarting === undefined
      ? undefined
      : `what came of the restart of ${cutShort.plan().watch}/${restarting.target} is not known yet`;
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
    const stored = new Map<string, ProbeState | "unreadable" | undefined>();
    for (const { plan, id } of wanted)
      if (!this.#desks.has(id) && !this.#leaving.has(id)) stored.set(id, await this.#stored(plan, id));
    this.#plans = new Map(plans.map((plan) => [plan.watch, plan]));
    const probers = new Map(plans.map((plan) => [plan.watch, this.#deps.prober(plan)]));
    const kept = new Set(wanted.map(({ id }) => id));
    for (const desk of this.desks()) {
      if (kept.has(desk.id)) continue;
      this.#desks.delete(desk.id);
      this.#leaving.set(desk.id, desk);
    }
    const fresh: ProbeDesk[] = [];
    for (const { plan, probe, id } of wanted) {
      const prober = probers.get(plan.watch);
      if (prober === undefined) continue;
      const known = this.#desks.get(id);
      const state = stored.get(id);
      if (known !== undefined) known.update(plan, probe, prober);
      else if (state !== "unreadable") fresh.push(this.#open(plan, probe, prober, state));
    }
    await this.#endLeaving();
    if (this.#started) this.#spread(fresh);
  }

  /** What the journal has of a probe. One that it can never read stays out, with a page; the others are checked all the same. */
  async #stored(plan: WatchPlan, id: string): Promise<ProbeState | "unreadable" | undefined> {
    const { clock, defaultChannel, journal, log, sendNow } = this.#deps;
    try {
      return await journal.subject("probe", id);
    } catch (error) {
      if (!(error instanceof OutsideFault) || error.recoverable) throw error;
      const why = messageOfFault(error);
      log.error("a probe is not checked, because its record cannot be read", { probe: id, error: why });
      const { service, environment, channel = defaultChannel } = plan;
      const page: PageRequest = {
        key: `probe:${id}:unreadable`,
        severity: "P1",
        summary: `Probe ${id} is not checked: ${why}. Run the newer Belay again, or give the probe another name.`,
        service,
        environment,
        source: "probe",
        wall: clock.now().wall,
        ...(channel === undefined ? {} : { channel }),
      };
      sendNow([pageDraft(page)]);
      return "unreadable";
    }
  }

  #open(plan: WatchPlan, probe: Probe, prober: Prober, stored: ProbeState | undefined): ProbeDesk {
    const id = probeId(plan, probe);
    const back = this.#leaving.get(id);
    back?.comeBack(plan, probe, prober);
    const desk = back ?? new ProbeDesk(this.#deskDeps(), plan, probe, prober, stored);
    this.#leaving.delete(id);
    this.#desks.set(id, desk);
    return desk;
  }

  async #endLeaving(): Promise<void> {
    for (const desk of [...this.#leaving.values()]) if (await desk.retire()) this.#leaving.delete(desk.id);
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
      toldTargetOf: (desk, state) => this.#toldTarget(desk, state),
      pageOpen: (key) => this.#deps.pageOpen?.(key) === true,
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

  /** Without what is held: a restart that is done is told as done, though it has not let go of its target yet. */
  #toldTarget(desk: ProbeDesk, state: ProbeState): TargetFacts | undefined {
    const plan = desk.plan();
    const target = targetOf(plan, desk.probe());
    if (target === undefined) return undefined;
    const others = this.#sharing(plan, target.name).filter((one) => one !== desk);
    return targetFacts(target, [state, ...others.map((one) => one.state())], false);
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
    if (this.#leaving.size > 0) this.#endLeavingSoon();
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

  /** In turn with reloads, which may bring such a probe back. */
  #endLeavingSoon(): void {
    this.#ending ??= this.#reloads(() => this.#endLeaving())
      .catch((error: unknown) =>
        this.#deps.log.error("a probe could not be closed", { error: messageOfFault(error) }),
      )
      .finally(() => {
        this.#ending = undefined;
      });
  }

  /** What was paged about such a probe stays open for a person: nobody looks any more whether it is well. */
  async #closeLeftOver(): Promise<void> {
    const { journal, log } = this.#deps;
    for (const state of await journal.openSubjects("probe")) {
      if (this.#desks.has(state.id) || this.#leaving.has(state.id) || !isOpenProbe(state)) continue;
      log.warn("a probe stands in no file any more; it was not well when it was last seen", {
        probe: state.id,
      });
      const plan = this.#plans.get(state.id.slice(0, state.id.indexOf("/")));
      await retireUnknown(this.#deps, state, plan).catch((error: unknown) =>
        log.error("a probe could not be closed", { probe: state.id, error: messageOfFault(error) }),
      );
    }
  }
}

/** `plan`: its watch, where that still runs; without it nobody knows where the probe was told of. */
async function retireUnknown(
  { journal, clock, defaultChannel }: HealthDeps,
  before: ProbeState,
  plan: WatchPlan | undefined,
): Promise<void> {
  const { steady, wall } = clock.now();
  const seq = before.revision + 1;
  const recorded: RecordedProbe = { seq, at: steady, wall, event: { kind: "retired" } };
  const state = evolveProbe(before, recorded);
  // Whether users were told stood in its file; a notice that goes on promising a restart is worse than one too many.
  const probe = { name: before.id.slice(before.id.indexOf("/") + 1), degraded: "" };
  const isToldOf = plan !== undefined && before.phase === "failing";
  await journal.commitSubject({
    kind: "probe",
    id: before.id,
    expected: before.revision,
    events: [recorded],
    state,
    open: false,
    outbox: isToldOf ? draftsOf({ plan, probe, state }, [recorded], defaultChannel, () => false) : [],
    intakes: [],
  });
}

function targetOf(plan: WatchPlan, probe: Probe): WatchTarget | undefined {
  return plan.targets.find((one) => one.name === probe.restart);
}
