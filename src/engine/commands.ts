/** Commands: from accepted text to an answer. Reads are answered at once; changes go through the run's mailbox and are answered in the same commit. */
import { type Parsed, parseCommand } from "../core/command.ts";
import { type Actor, formatActor } from "../core/event.ts";
import { decideFurther, movingOver } from "../core/gate.ts";
import type { Plan } from "../core/plan.ts";
import { type Refusal, refuse } from "../core/refusal.ts";
import { isGood, rehearsalLines, rehearsalTitle } from "../core/rehearsal.ts";
import { cardOf } from "../core/report/card.ts";
import {
  cardLines,
  evidenceLines,
  helpLines,
  historyLines,
  listLines,
  planLines,
} from "../core/report/lines.ts";
import { type Ask, type Asker, already, type Outcome } from "../core/rollout/ask.ts";
import type { State } from "../core/rollout/state.ts";
import { USUAL_SPAN_MS } from "../core/span.ts";
import { type Known, type Resolution, type Run, resolve } from "../core/target.ts";
import type { DeskNoun } from "../core/verbs.ts";
import { mistakeLines, outcomeAnswer, refusalAnswer, said, warnedLines, whoIs } from "./answers.ts";
import { type ChangesDeps, changes } from "./changes.ts";
import type { CommandAnswer, Intake, OutboxDraft } from "./messages.ts";
import { onMode } from "./mode-commands.ts";
import type { ModeKeeper } from "./modes.ts";
import { FORWARD_EXPIRES_MS } from "./patience.ts";
import { messageOfFault, type RunView } from "./ports.ts";
import type { Runner } from "./runner.ts";
import { type StartDeps, Starts } from "./start.ts";

/** Carries out one command of a noun; `again` when it was accepted before a restart of Belay and may have been begun then. */
export type Desk = (parsed: Parsed, asker: Asker, key: string, again: boolean) => Promise<CommandAnswer>;

export type Desks = Readonly<Partial<Record<DeskNoun, Desk>>>;

const RUN_ID = /^r-\w+$/;

export interface CommandsDeps extends StartDeps, Pick<ChangesDeps, "probeEventsSince"> {
  readonly plans: () => ReadonlyMap<string, Plan>;
  readonly mistakes: () => readonly string[];
  /** What is worth knowing about the flag systems' tokens, each a sentence. */
  readonly warnings: () => readonly string[];
  readonly runners: () => readonly Runner[];
  /** Who flips; without it Belay always does. */
  readonly modes?: ModeKeeper;
  readonly view: (run: string) => Promise<RunView | undefined>;
  /** Resolves when the desks besides the rollouts know what is open; their commands wait for it. */
  readonly desksReady: Promise<void>;
  /** Desks besides the rollouts, by noun; each carries out one command, whose effect is harmless under the same key again. Never rejects. */
  readonly desks: Desks;
  /** What configuration lets a person do. */
  readonly mayOf: (actor: Actor) => Omit<Asker, "actor">;
}

export class Commands {
  readonly #deps: CommandsDeps;
  readonly #starts: Starts;
  readonly #again = new Set<string>();
  readonly #open: { readonly key: string; readonly drafts: readonly OutboxDraft[] }[] = [];

  constructor(deps: CommandsDeps) {
    this.#deps = deps;
    this.#starts = new Starts(deps);
  }

  /** Whether the text is a command that goes back, and so may run without the journal. */
  isBackward(intake: Pick<Intake, "text" | "noun">): boolean {
    const parsed = parseCommand(intake.text, intake.noun);
    return !("kind" in parsed) && parsed.spec.direction === "backward";
  }

  /** Carries out a command that was accepted before a restart and not answered; its answer may have been sent all the same. */
  async carryOutAgain(intake: Intake): Promise<CommandAnswer> {
    this.#again.add(intake.key);
    return this.carryOut(intake);
  }

  /** Carries out one accepted command; never rejects. */
  async carryOut(intake: Intake): Promise<CommandAnswer> {
    try {
      const parsed = parseCommand(intake.text, intake.noun);
      if ("kind" in parsed) return await this.#reply(intake, refusalAnswer(parsed, this.#isName));
      const stale = this.#staleness(parsed, intake);
      if (stale !== undefined) return await this.#reply(intake, refusalAnswer(stale, this.#isName));
      return await this.#act(intake, parsed, resolve(parsed, this.#known(), this.#deps.clock.now()));
    } catch (error) {
      this.#deps.log.error("a command failed inside", { key: intake.key, error: messageOfFault(error) });
      const text = `An internal error stopped this command: ${messageOfFault(error)}. Look at \`/rollout status\` before you repeat it.`;
      return this.#reply(intake, { ok: false, code: "internal", text, lines: [], offers: [] });
    }
  }

  #known(): Known {
    const runs = this.#deps.runners().map((runner): Run => ({ plan: runner.plan, state: runner.state() }));
    return { catalogue: this.#deps.plans(), runs, zone: this.#deps.zone };
  }

  #draftsFor(intake: Intake, answer: CommandAnswer): readonly OutboxDraft[] {
    if (intake.replyTo.kind === "none") return [];
    const body = { kind: "answer" as const, replyTo: intake.replyTo, answer };
    const maybeSent = this.#again.has(intake.key) ? { maybeSent: true as const } : {};
    const { wall } = this.#deps.clock.now();
    return [{ run: answer.run, key: `answer:${intake.key}`, lane: "answer", body, wall, ...maybeSent }];
  }

  /** Answers without an event. Without the journal the answer is sent all the same, and the intake is closed when the journal is back. */
  async #reply(intake: Intake, answer: CommandAnswer): Promise<CommandAnswer> {
    const drafts = this.#draftsFor(intake, answer);
    try {
      await this.#deps.journal.answer(intake.key, drafts);
    } catch (error) {
      this.#deps.log.error("an answer could not be journaled", {
        key: intake.key,
        error: messageOfFault(error),
      });
      this.#deps.sendNow(drafts);
      this.#open.push({ key: intake.key, drafts });
    }
    return answer;
  }

  /** Closes the intakes whose answers the journal did not take, and settles starts whose outcome it did not tell; true when there were any. */
  async flush(): Promise<boolean> {
    let flushed = await this.#starts.settle();
    for (const { key, drafts } of this.#open.splice(0)) {
      try {
        await this.#deps.journal.answer(key, drafts);
        flushed = true;
      } catch {
        this.#open.push({ key, drafts });
      }
    }
    return flushed;
  }

  #refuse(intake: Intake, refusal: Refusal): Promise<CommandAnswer> {
    return this.#reply(intake, refusalAnswer(refusal, this.#isName));
  }

  /** Old intents and stale buttons change nothing; going back is never too old. */
  #staleness(parsed: Parsed, intake: Intake): Refusal | undefined {
    // What a desk had begun before a restart of Belay is known to the desk, and must not be called expired.
    const isBegun = this.#again.has(intake.key) && parsed.spec.noun === "health";
    if (parsed.spec.direction !== "forward" || isBegun) return undefined;
    if (this.#deps.clock.now().wall - intake.wall > FORWARD_EXPIRES_MS) {
      return refuse(
        "expired",
        "this came while Belay was not running and is too old to act on; type it again if you still want it.",
      );
    }
    const { seen } = intake;
    if (seen === undefined) return undefined;
    const state = this.#runner(seen.run)?.state();
    if (state === undefined || state.face === seen.face) return undefined;
    return refuse(
      "stale_button",
      `${seen.run} has moved on since that button was shown; the card shows where it is now.`,
    );
  }

  readonly #isName = (word: string): boolean => {
    const { plans, runners } = this.#deps;
    const known = [...plans().values(), ...runners().map((one) => one.plan)];
    return RUN_ID.test(word) || known.some((plan) => names(plan, word));
  };

  #runner(run: string): Runner | undefined {
    return this.#deps.runners().find((one) => one.id === run);
  }

  async #act(intake: Intake, parsed: Parsed, resolution: Resolution): Promise<CommandAnswer> {
    switch (resolution.kind) {
      case "refused":
        return this.#reply(intake, refusalAnswer(resolution, this.#isName, this.#deps.mistakes()));
      case "settled": {
        const by = this.#runner(resolution.run)?.state().startedBy;
        const text = by === undefined ? resolution.note : `${resolution.note} Begun by ${formatActor(by)}.`;
        return this.#reply(intake, {
          ok: true,
          code: "already",
          text,
          lines: [],
          offers: [],
          run: resolution.run,
        });
      }
      case "desk": {
        await this.#deps.desksReady;
        const asker: Asker = { actor: intake.actor, ...this.#deps.mayOf(intake.actor) };
        const desk = this.#deps.desks[resolution.noun];
        const answer =
          desk === undefined
            ? refusalAnswer(
                refuse("not_available", `nothing here answers for ${resolution.noun}.`),
                this.#isName,
              )
            : await desk(parsed, asker, intake.key, this.#again.has(intake.key));
        return this.#reply(intake, answer);
      }
      case "mode": {
        const asker: Asker = { actor: intake.actor, ...this.#deps.mayOf(intake.actor) };
        const told = await onMode(this.#deps.modes, this.#deps.runners(), resolution, asker);
        return "kind" in told ? this.#refuse(intake, told) : this.#reply(intake, told);
      }
      case "show":
        return this.#reply(intake, await this.#show(resolution, intake.actor));
      case "start":
        return this.#start(intake, resolution);
      case "ask":
        return this.#ask(intake, parsed, resolution);
    }
  }

  async #ask(
    intake: Intake,
    parsed: Parsed,
    resolution: Extract<Resolution, { kind: "ask" }>,
  ): Promise<CommandAnswer> {
    const runner = this.#runner(resolution.run);
    if (runner === undefined)
      return this.#refuse(intake, refuse("not_live", `${resolution.run} is not live.`));
    if (resolution.ask.kind === "set_end") {
      const run = { plan: runner.plan, state: runner.state() };
      const locked = decideFurther(run, resolution.ask.end, this.#known().runs);
      if (locked !== undefined) return this.#refuse(intake, locked);
    }
    if (this.#again.has(intake.key) && wentBackSince(runner.state(), resolution.ask, intake)) {
      const { rollout, run } = runner.state();
      const note = `${rollout} (${run}) went back already after this was asked.`;
      return this.#reply(intake, outcomeAnswer(already(note), run, this.#isName));
    }
    const asker: Asker = { actor: intake.actor, ...this.#deps.mayOf(intake.actor) };
    const answerOf = (outcome: Outcome): CommandAnswer => outcomeAnswer(outcome, runner.id, this.#isName);
    const outcome = await runner.ask(resolution.ask, asker, intake.key, (one) =>
      this.#draftsFor(intake, answerOf(one)),
    );
    if (outcome.kind === "refused" && outcome.code === "journal_unavailable")
      return this.#reply(intake, answerOf(outcome));
    const answer = answerOf(outcome);
    return parsed.spec.verb === "enable" && answer.ok
      ? { ...answer, lines: this.#cardLines(runner) }
      : answer;
  }

  #cardLines(runner: Runner): readonly string[] {
    const now = this.#deps.clock.now();
    const shown = {
      plan: runner.plan,
      state: runner.state(),
      world: runner.world(),
      figures: runner.figures(),
      now,
    };
    return cardLines(cardOf(shown), this.#deps.zone);
  }

  async #start(intake: Intake, resolution: Extract<Resolution, { kind: "start" }>): Promise<CommandAnswer> {
    const plan = this.#deps.plans().get(resolution.rollout);
    if (plan === undefined)
      return this.#refuse(intake, refuse("unknown_rollout", `there is no rollout ${resolution.rollout}.`));
    if (!this.#deps.mayOf(intake.actor).operator)
      return this.#refuse(intake, refuse("not_authorised", "starting a rollout needs an operator."));
    const started = await this.#starts.start({
      intake,
      plan,
      resolution,
      runs: () => this.#known().runs,
      isName: this.#isName,
      draftsFor: (answer) => this.#draftsFor(intake, answer),
    });
    return started.kind === "answered" ? started.answer : this.#refuse(intake, started);
  }

  async #show(resolution: Extract<Resolution, { kind: "show" }>, actor: Actor): Promise<CommandAnswer> {
    switch (resolution.what) {
      case "help":
        return said("What Belay understands:", helpLines());
      case "whoami":
        return said(whoIs(actor, this.#deps.mayOf(actor)), []);
      case "list":
        return said("Rollouts:", [
          ...listLines(this.#deps.plans(), this.#known().runs),
          ...mistakeLines(this.#deps.mistakes()),
          ...warnedLines(this.#deps.warnings()),
        ]);
      case "plan":
      case "rehearse": {
        const live = resolution.run === undefined ? undefined : this.#runner(resolution.run)?.plan;
        const plan = live ?? this.#deps.plans().get(resolution.rollout ?? "");
        if (plan === undefined)
          return refusalAnswer(refuse("unknown_rollout", "there is no such rollout."), this.#isName);
        return resolution.what === "plan"
          ? said(`Plan of ${plan.rollout}:`, await this.#planLines(plan))
          : this.#rehearse(plan);
      }
      case "changes": {
        const live = this.#deps.runners().map((runner) => runner.plan);
        const plans = [...this.#deps.plans().values(), ...live];
        return changes(this.#deps, plans, resolution.spanMs ?? USUAL_SPAN_MS);
      }
      case "status":
      case "history":
      case "evidence":
        return this.#showRun(resolution.what, resolution.run, resolution.rollout);
    }
  }

  async #planLines(plan: Plan): Promise<readonly string[]> {
    return planLines(plan, await this.#deps.rehearsals.measured(plan), this.#deps.clock.now().wall);
  }

  async #rehearse(plan: Plan): Promise<CommandAnswer> {
    const live = this.#deps
      .runners()
      .find((one) => one.plan === plan)
      ?.state();
    const observes = live?.mode === "observe" || (this.#deps.observes?.() ?? false);
    const moving = observes ? undefined : movingOver(plan, this.#known().runs);
    if (moving !== undefined) return refusalAnswer(moving, this.#isName);
    const rehearsal = await this.#deps.rehearsals.rehearse(plan, { observes });
    const ok = isGood(rehearsal);
    const code = ok ? "rehearsed" : "rehearsal";
    return { ok, code, text: rehearsalTitle(rehearsal), lines: rehearsalLines(rehearsal), offers: [] };
  }

  async #showRun(
    what: "status" | "history" | "evidence",
    id: string | undefined,
    rollout: string | undefined,
  ): Promise<CommandAnswer> {
    const { journal, zone } = this.#deps;
    const run = id ?? (rollout === undefined ? undefined : (await journal.lastRunOf(rollout))?.state.run);
    const view = run === undefined ? undefined : await this.#deps.view(run);
    if (view === undefined) {
      const plan = this.#deps.plans().get(rollout ?? "");
      const lines = plan === undefined ? [] : await this.#planLines(plan);
      return said(`${rollout ?? run ?? "it"} has not run yet.`, lines);
    }
    const { state, plan } = view;
    const title = `${state.rollout} (${state.run})`;
    if (what === "history")
      return said(`History of ${title}:`, historyLines(plan, view.events, zone), state.run);
    if (what === "evidence")
      return said(
        `Evidence of ${title}:`,
        evidenceLines(plan, await journal.evidence(state.run), zone),
        state.run,
      );
    const card = cardOf(view);
    return said(`${title}:`, cardLines(card, zone), state.run, card.offers);
  }
}

function names({ rollout, stages, flags }: Plan, word: string): boolean {
  return rollout === word || Object.hasOwn(flags, word) || stages.some((stage) => stage.name === word);
}

/**
 * Whether the run has gone back as far as this rollback asks for, and since it was asked. "The newest stage" means another one by then: a
 * command of before a restart must not take that back too.
 */
function wentBackSince({ rollback }: State, ask: Ask, { at }: Intake): boolean {
  if (ask.kind !== "rollback" || rollback === undefined || rollback.decidedAt < at) return false;
  return ask.to === "newest" || rollback.to <= ask.to;
}
