/** `/belay observe`: who flips from now on, for new rollouts and for every live one that was not released to people. */
import type { Mode } from "../core/event.ts";
import { type Refusal, refuse } from "../core/refusal.ts";
import type { Asker } from "../core/rollout/ask.ts";
import { isLive } from "../core/rollout/state.ts";
import { said } from "./answers.ts";
import type { CommandAnswer } from "./messages.ts";
import type { ModeKeeper } from "./modes.ts";
import { messageOfFault, OutsideFault } from "./ports.ts";
import type { Runner } from "./runner.ts";

export interface ModeAsk {
  /** Undefined: which one it is. */
  readonly mode: Mode | undefined;
  readonly because?: string;
}

/** Harmless when it comes again: what is so already stays so. */
export async function onMode(
  modes: ModeKeeper | undefined,
  runners: readonly Runner[],
  { mode, because }: ModeAsk,
  asker: Asker,
): Promise<CommandAnswer | Refusal> {
  if (modes === undefined) return refuse("not_available", "nothing here keeps a mode; Belay acts.");
  if (mode === undefined) return said(standsAs(modes), runLines(runners));
  if (mode === "act" && !asker.operator)
    return refuse(
      "not_authorised",
      "`observe off` lets Belay flip and needs an operator. `observe on` is open to everyone here.",
    );
  try {
    await modes.say(mode, asker.actor, because);
  } catch (error) {
    if (!(error instanceof OutsideFault)) throw error;
    return refuse("journal_unavailable", `the journal did not keep it: ${messageOfFault(error)}.`);
  }
  const lines: string[] = [];
  const reason = because === undefined ? {} : { because };
  for (const runner of runners.filter((one) => isLive(one.state()))) {
    const outcome = await runner.decide({ kind: "mode", mode, ...reason }, asker);
    lines.push(outcome.kind === "refused" ? outcome.message : outcome.note);
  }
  return { ok: true, code: "done", text: textOf(mode), lines, offers: [] };
}

function textOf(mode: Mode): string {
  return mode === "observe"
    ? "Belay observes from now on: it asks people to flip, judges, and says what it would take back, but flips nothing by itself. OFFs that are owed go on, and `rollback` still takes back."
    : "Belay acts from now on: it flips by the plan, and takes back by itself what a guard asks for.";
}

function standsAs(modes: ModeKeeper): string {
  return modes.current() === "observe"
    ? `Belay observes (${modes.why()}): it asks people to flip, judges, and flips nothing by itself. \`/belay observe off because "..."\` lets it flip.`
    : `Belay acts (${modes.why()}): it flips, and takes back by itself. \`/belay observe on because "..."\` leaves flipping to people.`;
}

function runLines(runners: readonly Runner[]): readonly string[] {
  return runners
    .map((runner) => runner.state())
    .filter(isLive)
    .map(({ mode, released, rollout, run }) => {
      const how = released === true ? "released to people" : mode === "observe" ? "observes" : "acts";
      return `${rollout} (${run}): ${how}`;
    });
}
