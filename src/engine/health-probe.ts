/** One probe at work: its checks one after the other, what they lead to, and the record of it. */

import type { Probe, WatchPlan } from "../core/watch/plan.ts";
import { evolveProbe, isOpenProbe, newProbe, type ProbeEvent, type ProbeState } from "../core/watch/probe.ts";
import { decideProbe } from "../core/watch/probe-decide.ts";
import {
  type Checked,
  type Counting,
  counts,
  NO_CHECKS,
  type Row,
  rowAfter,
  rowAfterRestart,
} from "../core/watch/probe-row.ts";
import type { TargetFacts } from "../core/watch/restart.ts";
import { withDeadline } from "./concurrency.ts";
import { draftsOf, type Ended, endedPages } from "./health-messages.ts";
import type { OutboxDraft } from "./messages.ts";
import { type Clock, createTurns, type Log, messageOfFault } from "./ports.ts";
import { SubjectKeeper, type SubjectKept } from "./subject.ts";
import type { CheckResult, Prober, SubjectJournal } from "./watch-ports.ts";

/** A check has a deadline of its own; one that ignores it is left behind after so much more, and none is begun beside it. */
const CHECK_GRACE_MS = 2_000;
/** More rounds of decisions at one instant are a bug. */
const MOST_ROUNDS = 20;

/** What a probe needs of its surroundings. */
export interface ProbeDeskDeps {
  readonly clock: Clock;
  readonly journal: SubjectJournal;
  readonly log: Log;
  readonly sendNow: (drafts: readonly OutboxDraft[]) => void;
  readonly defaultChannel: string | undefined;
  readonly stepUnderWay: (service: string, environment: string) => boolean;
  /** What is known of the target that the probe restarts. */
  readonly targetOf: (desk: ProbeDesk) => TargetFacts | undefined;
  /** The same for what is told, once this desk's state is the given one. */
  readonly toldTargetOf: (desk: ProbeDesk, state: ProbeState) => TargetFacts | undefined;
  /** Whether the page with this key is open. */
  readonly pageOpen: (key: string) => boolean;
  readonly countingOf: (desk: ProbeDesk) => Counting;
  /** Journals and carries out the restart that was decided; resolves once it is journaled and begun, or not to be. */
  readonly begin: (desk: ProbeDesk, started: ProbeEvent) => Promise<void>;
  /** A check that told something ended at `wall`; `counted`: it says something of the service itself. */
  readonly onChecked: (desk: ProbeDesk, checked: Checked, counted: boolean) => void;
  readonly onEnded: (ended: readonly Ended[]) => void;
}

export class ProbeDesk {
  readonly id: string;
  readonly #deps: ProbeDeskDeps;
  readonly #turns = createTurns();
  readonly #keeper: SubjectKeeper<"probe">;
  readonly #blank: ProbeState;
  #plan: WatchPlan;
  #probe: Probe;
  #prober: Prober;
  #row: Row = NO_CHECKS;
  #cancel: (() => void) | undefined;
  #dueAt = 0;
  #isChecking = false;
  #isDeciding = false;
  #isHanging = false;
  #stopped = false;
  #isClosed = false;
  /** This process is at work on the restart that the state tells of. */
  inHand = false;

  constructor(
    deps: ProbeDeskDeps,
    plan: WatchPlan,
    probe: Probe,
    prober: Prober,
    stored: ProbeState | undefined,
  ) {
    this.id = probeId(plan, probe);
    this.#deps = deps;
    this.#plan = plan;
    this.#probe = probe;
    this.#prober = prober;
    this.#blank = newProbe(this.id, deps.clock.now().steady);
    const { id } = this;
    this.#keeper = new SubjectKeeper<"probe">(
      {
        ...deps,
        kind: "probe",
        id,
        evolve: (state, recorded) => evolveProbe(state ?? this.#blank, recorded),
        isOpen: isOpenProbe,
        announce: (state, events) =>
          draftsOf(
            { plan: this.#plan, probe: this.#probe, state, target: deps.toldTargetOf(this, state) },
            events,
            deps.defaultChannel,
            deps.pageOpen,
          ),
      },
      stored,
    );
  }

  plan(): WatchPlan {
    return this.#plan;
  }

  probe(): Probe {
    return this.#probe;
  }

  state(): ProbeState {
    return this.#keeper.state() ?? this.#blank;
  }

  /** The newest check. */
  last(): Checked | undefined {
    return this.#row.last;
  }

  /** Whether everything that counts is in the journal. */
  isFlushed(): boolean {
    return this.#keeper.isFlushed();
  }

  /** Takes the same probe as its file says it now. */
  update(plan: WatchPlan, probe: Probe, prober: Prober): void {
    const asksOther = JSON.stringify(probe.check) !== JSON.stringify(this.#probe.check);
    const isSooner = probe.intervalMs < this.#probe.intervalMs;
    this.#plan = plan;
    this.#probe = probe;
    this.#prober = prober;
    if (asksOther) this.#row = NO_CHECKS;
    if (asksOther || isSooner) this.checkSoon();
  }

  /** The first check comes after `ms`. */
  start(ms: number): void {
    this.#dueAt = this.#deps.clock.now().steady + ms;
    this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  /**
   * It stands in no file any more: ends its story, in turn with everything else. False while that must wait, since its restart is under way or the
   * journal does not have all of it; only once it is true may another desk write of this probe.
   */
  retire(): Promise<boolean> {
    this.stop();
    return this.#turns(async () => {
      if (this.inHand) return false;
      if (isOpenProbe(this.state())) await this.recordNow([{ kind: "retired" }]);
      else await this.#keeper.commit([]);
      this.#isClosed = this.isFlushed();
      return this.#isClosed;
    });
  }

  /** It stands in the files again before its story was ended; `start` is to be called then. */
  comeBack(plan: WatchPlan, probe: Probe, prober: Prober): void {
    this.#stopped = false;
    this.update(plan, probe, prober);
    this.#row = NO_CHECKS;
  }

  /** An end of Belay cut its restart short, and what came of it is not known yet. */
  isCutShort(): boolean {
    return this.state().restarting !== undefined && !this.inHand;
  }

  /** Checks now instead of at its next time. */
  checkSoon(): void {
    if (this.#stopped || this.#cancel === undefined) return;
    this.#dueAt = this.#deps.clock.now().steady;
    this.#arm();
  }

  /** Its target is being restarted, or just was: what was counted says nothing any more. */
  restarted(): void {
    this.#row = rowAfterRestart(this.#row);
  }

  /** Records these events, in turn with everything else. */
  record(events: readonly ProbeEvent[]): Promise<SubjectKept> {
    return this.#turns(() => this.recordNow(events));
  }

  /** Only for what already has its turn. */
  async recordNow(events: readonly ProbeEvent[]): Promise<SubjectKept> {
    if (this.#isClosed) return "owed";
    const kept = await this.#keeper.commit(events);
    if (events.some(({ kind }) => kind === "recovered" || kind === "calm" || kind === "retired"))
      this.#deps.onEnded(endedPages(this.state()));
    return kept;
  }

  /** Decides what is due now. May be called at any time; one decision that waits is enough. */
  decide(): void {
    if (this.#isDeciding || this.#stopped) return;
    this.#isDeciding = true;
    void this.#turns(() => {
      this.#isDeciding = false;
      return this.#decideNow();
    }).catch((error: unknown) =>
      this.#deps.log.error("a probe could not be decided on", {
        probe: this.id,
        error: messageOfFault(error),
      }),
    );
  }

  async #decideNow(): Promise<void> {
    const { clock, begin } = this.#deps;
    if (!this.isFlushed()) await this.#keeper.commit([]);
    for (let round = 0; round < MOST_ROUNDS && !this.#stopped; round++) {
      const events = decideProbe(
        this.#plan,
        this.#probe,
        this.state(),
        this.#row,
        this.#facts(),
        clock.now(),
      );
      const [first] = events;
      if (first === undefined) return;
      if (first.kind === "restart_started") {
        // Nothing new is begun on what the journal does not have.
        if (this.isFlushed()) await begin(this, first);
        return;
      }
      await this.recordNow(events);
    }
  }

  #facts() {
    const { stepUnderWay, targetOf } = this.#deps;
    return {
      rolloutStep: stepUnderWay(this.#plan.service, this.#plan.environment),
      restartInHand: this.inHand,
      target: targetOf(this),
    };
  }

  #arm(): void {
    this.#cancel?.();
    const { clock } = this.#deps;
    this.#cancel = clock.after(Math.max(0, this.#dueAt - clock.now().steady), () => void this.#check());
  }

  /** One check, then the next one at its time; times that passed meanwhile are left out. */
  async #check(): Promise<void> {
    if (this.#isChecking || this.#stopped) return;
    this.#isChecking = true;
    const dueAt = this.#dueAt;
    const began = this.#deps.clock.now().steady;
    const found = await this.#ask();
    this.#isChecking = false;
    if (this.#stopped) return;
    this.#take({ ...found, began, at: this.#deps.clock.now().steady });
    const { steady } = this.#deps.clock.now();
    // Somebody wanted a look soon while this one was under way.
    if (this.#dueAt === dueAt) {
      const { intervalMs } = this.#probe;
      const missed = Math.floor(Math.max(0, steady - dueAt) / intervalMs);
      this.#dueAt = dueAt + (missed + 1) * intervalMs;
    }
    this.#arm();
  }

  async #ask(): Promise<Pick<Checked, "kind" | "detail" | "value">> {
    if (this.#isHanging) return { kind: "unknown", detail: "an earlier check has not ended" };
    const { clock, log } = this.#deps;
    const { check, timeoutMs } = this.#probe;
    const asked = (async () => this.#prober.check(check, timeoutMs))();
    this.#isHanging = true;
    const settled = (): void => {
      this.#isHanging = false;
    };
    asked.then(settled, settled);
    try {
      return resultOf(await withDeadline(clock, timeoutMs + CHECK_GRACE_MS, "check", asked));
    } catch (error) {
      log.error("a check did not end as it should", { probe: this.id, error: messageOfFault(error) });
      return { kind: "unknown", detail: "the check did not end" };
    }
  }

  #take(checked: Checked): void {
    const counting = this.#deps.countingOf(this);
    this.#row = rowAfter(this.#row, checked, counting);
    this.#deps.onChecked(this, checked, counts(checked, counting));
    this.decide();
  }
}

export function probeId(plan: WatchPlan, probe: Probe): string {
  return `${plan.watch}/${probe.name}`;
}

function resultOf(result: CheckResult): Pick<Checked, "kind" | "detail" | "value"> {
  const { kind, detail } = result;
  if (kind === "unknown" || result.value === undefined) return { kind, detail };
  return { kind, detail, value: result.value };
}
