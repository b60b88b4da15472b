/** Commands: from accepted text to an answer. Reads are answered at once; changes go through the run's mailbox and are answered in the same commit. */
import { parseCommand, type Parsed } from "../core/command.ts";
import { type Actor, formatActor } from "../core/event.ts";
import { decideStart } from "../core/gate.ts";
import type { Plan } from "../core/plan.ts";
import { type Offer, type Refusal, refuse } from "../core/refusal.ts";
import { cardOf } from "../core/report/card.ts";
import { cardLines, evidenceLines, helpLines, historyLines, listLines, planLines } from "../core/report/lines.ts";
import type { Reading } from "../core/rollout/desired.ts";
import { EMPTY_WORLD } from "../core/rollout/world.ts";
import type { Asker, Outcome } from "../core/rollout/people.ts";
import { type Known, type Resolution, resolve, type Run } from "../core/target.ts";
import { MINUTE } from "../core/time.ts";
import { messageOf } from "./concurrency.ts";
import { beginning } from "./keeper.ts";
import type { Clock, CommandAnswer, Ids, Intake, Journal, Log, OutboxDraft, RunView, Service, StoredRun } from "./ports.ts";
import type { Runner } from "./runner.ts";

/** A forward command that waited longer than this (Belay was down) changes nothing any more. */
const FORWARD_EXPIRES_MS = 2 * MINUTE;

export interface CommandsDeps {
  readonly clock: Clock;
  readonly journal: Journal;
  readonly ids: Ids;
  readonly log: Log;
  readonly zone: string;
  readonly plans: () => ReadonlyMap<string, Plan>;
  readonly connect: (plan: Plan) => Service;
  readonly runners: () => readonly Runner[];
  readonly view: (run: string) => Promise<RunView | undefined>;
  /** Takes charge of a run that has just been journaled. */
  readonly adopt: (stored: StoredRun, readings: Readonly<Record<string, Reading | undefined>>) => Runner;
  readonly announceStart: (plan: Plan, stored: StoredRun) => readonly OutboxDraft[];
  /** What configuration lets a person do. */
  readonly mayOf: (actor: Actor) => Omit<Asker, "actor">;
}

export interface Commands {
  /** Carries out one accepted command; never rejects. */
  carryOut(intake: Intake): Promise<CommandAnswer>;
  /** Whether the text is a command that goes back, and so may run without the journal. */
  isBackward(intake: Intake): boolean;
}

export function createCommands(deps: CommandsDeps): Commands {
  const { clock, journal } = deps;

  function known(): Known {
    const runs = deps.runners().map((runner): Run => ({ plan: runner.plan, state: runner.state() }));
    return { catalogue: deps.plans(), runs, zone: deps.zone };
  }

  function draftsFor(intake: Intake, answer: CommandAnswer): readonly OutboxDraft[] {
    if (intake.replyTo.kind === "none") return [];
    const body = { kind: "answer" as const, replyTo: intake.replyTo, answer };
    return [{ run: answer.run, key: `answer:${intake.key}`, lane: "answer", body, wall: clock.now().wall }];
  }

  /** Answers without an event: journals the answer, or at least gives it. */
  async function reply(intake: Intake, answer: CommandAnswer): Promise<CommandAnswer> {
    try {
      await journal.answer(intake.key, draftsFor(intake, answer));
    } catch (error) {
      deps.log.error("an answer could not be journaled", { key: intake.key, error: messageOf(error) });
    }
    return answer;
  }

  async function carryOut(intake: Intake): Promise<CommandAnswer> {
    try {
      const parsed = parseCommand(intake.text, intake.noun);
      if ("kind" in parsed) return await reply(intake, refusalAnswer(parsed));
      const stale = staleness(parsed, intake);
      if (stale !== undefined) return await reply(intake, refusalAnswer(stale));
      const resolution = resolve(parsed, known(), clock.now());
      return await act(intake, parsed, resolution);
    } catch (error) {
      deps.log.error("a command failed inside", { key: intake.key, error: messageOf(error) });
      const text = `an internal error stopped this command: ${messageOf(error)}. Look at \`/rollout status\` before you repeat it.`;
      return reply(intake, { ok: false, code: "internal", text, lines: [], offers: [] });
    }
  }

  /** Old intents and stale buttons change nothing; going back is never too old. */
  function staleness(parsed: Parsed, intake: Intake): Refusal | undefined {
    if (parsed.spec.direction !== "forward") return undefined;
    if (clock.now().wall - intake.wall > FORWARD_EXPIRES_MS) {
      return refuse("expired", "this came while Belay was not running and is too old to act on; type it again if you still want it.");
    }
    const { seen } = intake;
    if (seen === undefined) return undefined;
    const runner = deps.runners().find((one) => one.id === seen.run);
    if (runner === undefined || runner.state().face === seen.face) return undefined;
    return refuse("stale_button", `${seen.run} has moved on since that button was shown; the card shows where it is now.`);
  }

  async function act(intake: Intake, parsed: Parsed, resolution: Resolution): Promise<CommandAnswer> {
    switch (resolution.kind) {
      case "refused":
        return reply(intake, refusalAnswer(resolution));
      case "settled": {
        const by = deps.runners().find((runner) => runner.id === resolution.run)?.state().startedBy;
        const text = by === undefined ? resolution.note : `${resolution.note} Begun by ${formatActor(by)}.`;
        return reply(intake, { ok: true, code: "already", text, lines: [], offers: [], run: resolution.run });
      }
      case "show":
        return reply(intake, await show(resolution, intake.actor));
      case "start":
        return start(intake, resolution);
      case "ask": {
        const runner = deps.runners().find((one) => one.id === resolution.run);
        if (runner === undefined) return reply(intake, refusalAnswer(refuse("not_live", `${resolution.run} is not live.`)));
        const asker: Asker = { actor: intake.actor, ...deps.mayOf(intake.actor) };
        const outcome = await runner.ask(resolution.ask, asker, intake.key, (one) => draftsFor(intake, outcomeAnswer(one, runner.id)));
        if (outcome.kind === "refused" && outcome.code === "journal_unavailable") return reply(intake, outcomeAnswer(outcome, runner.id));
        return withPlan(outcomeAnswer(outcome, runner.id), parsed, runner);
      }
    }
  }

  /** `enable` in a live rollout also lists when each stage comes. */
  function withPlan(answer: CommandAnswer, parsed: Parsed, runner: Runner): CommandAnswer {
    if (!answer.ok || parsed.spec.verb !== "enable") return answer;
    const card = cardOf({ plan: runner.plan, state: runner.state(), world: runner.world(), figures: runner.figures(), now: clock.now() });
    return { ...answer, lines: cardLines(card, deps.zone) };
  }

  async function start(intake: Intake, resolution: Extract<Resolution, { kind: "start" }>): Promise<CommandAnswer> {
    const plan = deps.plans().get(resolution.rollout);
    if (plan === undefined) return reply(intake, refusalAnswer(refuse("unknown_rollout", `there is no rollout ${resolution.rollout}.`)));
    if (!deps.mayOf(intake.actor).operator) return reply(intake, refusalAnswer(refuse("not_authorised", "starting a rollout needs an operator.")));
    const at = clock.now().steady;
    let readings: Readonly<Record<string, Reading | undefined>>;
    try {
      const found = await deps.connect(plan).flags.read(Object.values(plan.flags));
      readings = Object.fromEntries(Object.entries(found).map(([flag, reading]) => [flag, { ...reading, at }]));
    } catch (error) {
      return reply(intake, refusalAnswer(refuse("flag_store", `the flag store cannot be read: ${messageOf(error)}. A rollout needs to know where it starts from.`)));
    }
    const planHash = deps.ids.hash(JSON.stringify(plan));
    const run = await journal.newRunId();
    const { stage, delayMs } = resolution;
    const ask = { run, planHash, by: intake.actor, delayMs, ...(stage === undefined ? {} : { stage }) };
    const now = clock.now();
    const decided = decideStart(plan, ask, readings, known().runs, now);
    if (decided.kind === "refused") return reply(intake, refusalAnswer(decided));
    const recorded = { seq: 1, at: now.steady, wall: now.wall, event: decided.event };
    const commit = beginning(plan, recorded, [], intake.key);
    const stored: StoredRun = { plan, state: commit.state };
    const card = cardOf({ plan, state: commit.state, world: { ...EMPTY_WORLD, readings }, figures: {}, now });
    const answer: CommandAnswer = { ok: true, code: "started", text: decided.note, lines: cardLines(card, deps.zone), offers: [], run };
    const result = await journal.commit({ ...commit, outbox: [...deps.announceStart(plan, stored), ...draftsFor(intake, answer)] });
    if (result.kind === "claimed") {
      return reply(intake, refusalAnswer(refuse("lock_conflict", `${result.claim} belongs to the live rollout ${result.run}.`)));
    }
    if (result.kind === "conflict") return reply(intake, refusalAnswer(refuse("journal_unavailable", "the journal refused the new run; try again.")));
    deps.adopt(stored, readings);
    return answer;
  }

  async function show(resolution: Extract<Resolution, { kind: "show" }>, actor: Actor): Promise<CommandAnswer> {
    const said = (text: string, lines: readonly string[], run?: string, offers: readonly Offer[] = []): CommandAnswer => ({
      ok: true,
      code: "shown",
      text,
      lines,
      offers,
      ...(run === undefined ? {} : { run }),
    });
    const { what } = resolution;
    if (what === "help") return said("What Belay understands:", helpLines());
    if (what === "whoami") {
      const may = deps.mayOf(actor);
      const groups = may.groups.length === 0 ? "no approver group" : may.groups.join(", ");
      return said(`You are ${formatActor(actor)}: ${may.operator ? "operator" : "viewer (hold and rollback are open to you)"}, in ${groups}.`, []);
    }
    if (what === "list") return said("Rollouts:", listLines(deps.plans(), known().runs));
    if (what === "plan") {
      const plan = deps.plans().get(resolution.rollout ?? "");
      return plan === undefined ? refusalAnswer(refuse("unknown_rollout", "no such rollout.")) : said(`Plan of ${plan.rollout}:`, planLines(plan));
    }
    const id = resolution.run ?? (resolution.rollout === undefined ? undefined : (await journal.lastRunOf(resolution.rollout))?.state.run);
    const view = id === undefined ? undefined : await deps.view(id);
    if (view === undefined) {
      const name = resolution.rollout ?? id ?? "";
      return said(`${name} has not run yet.`, resolution.rollout === undefined ? [] : planLines(deps.plans().get(resolution.rollout) ?? raise(name)));
    }
    const { run, rollout } = view.state;
    const card = cardOf(view);
    if (what === "status") return said(`${rollout} (${run}):`, cardLines(card, deps.zone), run, card.offers);
    if (what === "history") return said(`History of ${rollout} (${run}):`, historyLines(view.plan, view.events, deps.zone), run);
    return said(`Evidence of ${rollout} (${run}):`, evidenceLines(view.plan, await journal.evidence(run), deps.zone), run);
  }

  return {
    carryOut,
    isBackward(intake) {
      const parsed = parseCommand(intake.text, intake.noun);
      return !("kind" in parsed) && parsed.spec.direction === "backward";
    },
  };
}

function raise(name: string): never {
  throw new Error(`no plan of ${name}`);
}

function refusalAnswer(refusal: Refusal): CommandAnswer {
  const sentence = refusal.message.charAt(0).toUpperCase() + refusal.message.slice(1);
  return { ok: false, code: refusal.code, text: `${sentence} Nothing changed.`, lines: [], offers: refusal.offers };
}

function outcomeAnswer(outcome: Outcome, run: string): CommandAnswer {
  switch (outcome.kind) {
    case "refused":
      return { ...refusalAnswer(outcome), run };
    case "already":
      return { ok: true, code: "already", text: sentenceCase(outcome.note), lines: [], offers: outcome.offers, run };
    case "events":
      return { ok: true, code: "done", text: outcome.note, lines: [], offers: [], run };
  }
}

function sentenceCase(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
