/** Starting a rollout: reads the flags, decides, journals the new run with its claims, and puts a runner in charge; a lost reply of the journal is followed up. */
import { BELAY, type Recorded } from "../core/event.ts";
import { decideStart, type StartAsk } from "../core/gate.ts";
import type { Plan } from "../core/plan.ts";
import { type Refusal, refuse } from "../core/refusal.ts";
import { isGood, type Rehearsal, rehearsalRefusal, warningLines } from "../core/rehearsal.ts";
import { cardOf } from "../core/report/card.ts";
import { cardLines } from "../core/report/lines.ts";
import type { Reading } from "../core/rollout/desired.ts";
import { evolve } from "../core/rollout/evolve.ts";
import { OBSERVES_FROM_START } from "../core/rollout/observe-ask.ts";
import { EMPTY_WORLD } from "../core/rollout/world.ts";
import type { Resolution, Run } from "../core/target.ts";
import { MINUTE } from "../core/time.ts";
import { type IsName, sentence } from "./answers.ts";
import { beginning } from "./keeper.ts";
import type { CommandAnswer, Intake, OutboxDraft } from "./messages.ts";
import { FORWARD_EXPIRES_MS } from "./patience.ts";
import {
  type Clock,
  type Commit,
  type Ids,
  type Journal,
  type Log,
  messageOfFault,
  OutsideFault,
  type Service,
  type StoredRun,
} from "./ports.ts";
import type { Rehearsals } from "./rehearse.ts";

type Readings = Readonly<Record<string, Reading | undefined>>;

export interface StartDeps {
  readonly clock: Clock;
  readonly journal: Journal;
  readonly ids: Ids;
  readonly log: Log;
  readonly zone: string;
  readonly connect: (plan: Plan) => Service;
  readonly rehearsals: Rehearsals;
  /** Whether a rollout that starts now only observes, so that not even a harmless write may be made; it may not when not given. */
  readonly observes?: () => boolean;
  /** Takes charge of a run that has just been journaled. */
  readonly adopt: (stored: StoredRun, readings: Readings) => void;
  readonly announceStart: (stored: StoredRun) => readonly OutboxDraft[];
  /** Sends messages that the journal could not take. */
  readonly sendNow: (drafts: readonly OutboxDraft[]) => void;
}

/** A start as asked: by whom, with what plan, next to which runs, and the drafts that its answer makes. */
export interface StartRequest {
  readonly intake: Intake;
  readonly plan: Plan;
  readonly resolution: Extract<Resolution, { kind: "start" }>;
  /** Every run that may own or lock a flag, as of now. */
  readonly runs: () => readonly Run[];
  readonly isName: IsName;
  readonly draftsFor: (answer: CommandAnswer) => readonly OutboxDraft[];
}

/** `answered`: the answer is on its way, and the command is closed or will be. A refusal has not been told yet. */
export type Started = { readonly kind: "answered"; readonly answer: CommandAnswer } | Refusal;

/** A start whose outcome the journal did not tell. */
interface Doubtful {
  readonly stored: StoredRun;
  readonly readings: Readings;
  readonly request: StartRequest;
}

export class Starts {
  readonly #deps: StartDeps;
  #doubtful: readonly Doubtful[] = [];

  constructor(deps: StartDeps) {
    this.#deps = deps;
  }

  /** Never leaves a journaled run without a runner: what the journal took although it said no is found by `settle` at the latest. */
  async start(request: StartRequest): Promise<Started> {
    const { clock } = this.#deps;
    const { plan, runs } = request;
    const ready = await this.#ready(request);
    if ("kind" in ready) return ready;
    const { readings, rehearsal } = ready;
    const run = await this.#newRunId();
    if (typeof run !== "string") return run;
    // Belay was let flip meanwhile: nothing was tried that a run which flips could rest on.
    if (rehearsal.observed && this.#deps.observes?.() !== true) return this.start(request);
    const now = clock.now();
    const ask = { ...this.#askOf(request), run, rehearsal };
    const decided = decideStart(plan, ask, readings, runs(), now);
    if (decided.kind === "refused") return decided;
    const recorded = { seq: 1, at: now.steady, wall: now.wall, event: decided.event };
    const commit = beginning(plan, recorded, request.intake.key);
    const stored: StoredRun = { plan, state: commit.state };
    const card = cardOf({ ...stored, world: { ...EMPTY_WORLD, readings }, figures: {}, now });
    const answer: CommandAnswer = {
      ok: true,
      code: "started",
      text: `${sentence(decided.note, request.isName)}${stored.state.mode === "observe" ? ` ${OBSERVES_FROM_START}` : ""}`,
      lines: [...cardLines(card, this.#deps.zone), ...warningLines(rehearsal)],
      offers: [],
      run,
    };
    const outbox = [...this.#deps.announceStart(stored), ...request.draftsFor(answer)];
    const kept = await this.#commit({ ...commit, outbox });
    if (kept === "unknown") return this.#doubt({ stored, readings, request });
    if (kept !== "ok") return kept;
    this.#deps.adopt(stored, readings);
    return { kind: "answered", answer };
  }

  /**
   * What a start rests on: the flags as just read, and a good rehearsal of the way back. What is refused anyway is not rehearsed first; after a
   * rehearsal the flags are read again.
   */
  async #ready(
    request: StartRequest,
  ): Promise<{ readonly readings: Readings; readonly rehearsal: Rehearsal } | Refusal> {
    const { clock, rehearsals } = this.#deps;
    const { plan, runs } = request;
    const options = { observes: this.#deps.observes?.() ?? false };
    const read = await this.#readFlags(plan);
    if ("kind" in read) return read;
    const early = decideStart(plan, this.#askOf(request), read.flags, runs(), clock.now());
    if (early.kind === "refused") return early;
    const fresh = await rehearsals.fresh(plan, read.flags, options);
    if (fresh !== undefined) return { readings: read.flags, rehearsal: fresh };
    const rehearsal = await rehearsals.rehearse(plan, options);
    if (!isGood(rehearsal)) {
      const offer = { label: "Rehearse", command: `rollout rehearse ${plan.rollout}` };
      return refuse("rehearsal", rehearsalRefusal(rehearsal), [offer]);
    }
    const again = await this.#readFlags(plan);
    return "kind" in again ? again : { readings: again.flags, rehearsal };
  }

  #askOf({ intake, plan, resolution }: StartRequest): StartAsk {
    const { stage, delayMs } = resolution;
    const planHash = this.#deps.rehearsals.hashOf(plan);
    const mode = this.#deps.observes?.() === true ? { mode: "observe" as const } : {};
    return {
      run: "",
      planHash,
      by: intake.actor,
      delayMs,
      ...(stage === undefined ? {} : { stage }),
      ...mode,
    };
  }

  /** Asks the journal again about starts whose outcome it did not tell; true when one is settled. Never rejects. */
  async settle(): Promise<boolean> {
    const { journal, log } = this.#deps;
    const before = this.#doubtful.length;
    for (const one of this.#doubtful) {
      const { run } = one.stored.state;
      try {
        const stored = await journal.run(run);
        await (stored === undefined ? this.#tellNothing(one) : this.#takeOver(one, stored));
        this.#doubtful = this.#doubtful.filter((other) => other !== one);
      } catch (error) {
        log.warn("it is still not known whether a start was journaled", {
          run,
          error: messageOfFault(error),
        });
      }
    }
    return this.#doubtful.length < before;
  }

  async #newRunId(): Promise<string | Refusal> {
    try {
      return await this.#deps.journal.newRunId();
    } catch (error) {
      if (!(error instanceof OutsideFault)) throw error;
      return refuse("journal_unavailable", `the start could not be journaled: ${messageOfFault(error)}.`);
    }
  }

  /** A commit that was rejected may have arrived all the same: the journal is asked. */
  async #commit(commit: Commit): Promise<"ok" | "unknown" | Refusal> {
    const { journal, log } = this.#deps;
    const { run } = commit;
    try {
      const result = await journal.commit(commit);
      if (result.kind === "ok") return "ok";
      return result.kind === "claimed"
        ? refuse("lock_conflict", `${result.claim} belongs to the live rollout ${result.run}.`)
        : refuse("journal_unavailable", "the journal refused the new run; try again.");
    } catch (error) {
      if (!(error instanceof OutsideFault)) throw error;
      const why = messageOfFault(error);
      log.error("the journal did not take a start", { run, error: why });
      try {
        if ((await journal.run(run)) !== undefined) return "ok";
        return refuse("journal_unavailable", `the start could not be journaled: ${why}.`);
      } catch {
        return "unknown";
      }
    }
  }

  /** Told at once under a key of its own; the final answer follows when the journal has said what it holds. */
  #doubt(doubtful: Doubtful): Started {
    this.#doubtful = [...this.#doubtful, doubtful];
    const { request, stored } = doubtful;
    const { run, rollout } = stored.state;
    const minutes = FORWARD_EXPIRES_MS / MINUTE;
    const text = `The journal does not answer, so it is not known whether the start of ${rollout} (${run}) was recorded. No flag was changed. Belay goes on asking: if it was recorded, it begins when the journal answers within ${minutes} minutes, and ends without a step when the journal answers later. \`/rollout list\` shows it.`;
    const answer = unavailable(text);
    this.#deps.sendNow(
      request.draftsFor(answer).map((draft) => ({ ...draft, key: `${draft.key}:doubtful` })),
    );
    return { kind: "answered", answer };
  }

  async #tellNothing({ request, stored }: Doubtful): Promise<void> {
    const { rollout, run } = stored.state;
    const text = `The start of ${rollout} (${run}) was not recorded. Nothing changed; start it again if you still want it.`;
    await this.#deps.journal.answer(request.intake.key, request.draftsFor(unavailable(text)));
  }

  /** A start that turns out to be journaled begins, unless nobody waits for it any more: then it ends before its first step. */
  async #takeOver({ readings, request }: Doubtful, { plan, state: before }: StoredRun): Promise<void> {
    const { adopt, clock, journal, log } = this.#deps;
    const { run, rollout } = before;
    const { steady, wall } = clock.now();
    if (wall - request.intake.wall <= FORWARD_EXPIRES_MS) {
      log.info("a start was journaled although its reply was lost; the rollout begins", { run });
      adopt({ plan, state: before }, readings);
      return;
    }
    const seq = before.revision + 1;
    const stopped: Recorded = { seq, at: steady, wall, event: { kind: "stopped", by: BELAY } };
    const text = `The start of ${rollout} (${run}) was recorded, but the journal said so too late to begin: it ended without a step. Start it again if you still want it.`;
    const result = await journal.commit({
      run,
      expected: before.revision,
      events: [stopped],
      state: evolve(plan, before, stopped),
      ended: true,
      forward: false,
      outbox: request.draftsFor(unavailable(text)),
      intakes: [request.intake.key],
    });
    if (result.kind !== "ok") throw new OutsideFault("the run has moved on", { recoverable: true });
    log.warn("a start was journaled although its reply was lost; it was too old to begin and has ended", {
      run,
    });
  }

  async #readFlags(plan: Plan): Promise<{ readonly flags: Readings } | Refusal> {
    const at = this.#deps.clock.now().steady;
    try {
      const found = await this.#deps.connect(plan).flags.read(Object.values(plan.flags));
      return {
        flags: Object.fromEntries(Object.entries(found).map(([flag, reading]) => [flag, { ...reading, at }])),
      };
    } catch (error) {
      return refuse(
        "flag_store",
        `the flag store cannot be read: ${messageOfFault(error)}. A rollout needs to know where it starts from.`,
      );
    }
  }
}

function unavailable(text: string): CommandAnswer {
  return { ok: false, code: "journal_unavailable", text, lines: [], offers: [] };
}
