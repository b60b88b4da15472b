/** Answers to commands, in whole sentences. */
import { type Actor, formatActor } from "../core/event.ts";
import type { Offer, Refusal } from "../core/refusal.ts";
import { withStop } from "../core/report/sentence.ts";
import type { Asker, Outcome } from "../core/rollout/ask.ts";
import type { CommandAnswer } from "./messages.ts";

/** Refusals for which a file that could not be loaded may be the reason. */
const UNKNOWN: ReadonlySet<Refusal["code"]> = new Set<Refusal["code"]>(["unknown_rollout", "unknown_stage"]);
const MOST_MISTAKES = 5;

/** The files that are not loaded as they stand, for whoever misses something. */
export function mistakeLines(mistakes: readonly string[]): readonly string[] {
  if (mistakes.length === 0) return [];
  const more = mistakes.length - MOST_MISTAKES;
  return [
    "Not loaded as it stands, because of mistakes:",
    ...mistakes.slice(0, MOST_MISTAKES),
    ...(more > 0 ? [`... and ${more} more; \`belay check\` lists all`] : []),
    "Mend the file, then `systemctl reload belay` (a SIGHUP to its process) reads it anew; until then the last good version counts, where there is one.",
  ];
}

/** What the tokens of flag systems may do that they need not, and which rollouts nobody would hear of; nothing is refused because of it. */
export function warnedLines(warnings: readonly string[]): readonly string[] {
  if (warnings.length === 0) return [];
  const more = warnings.length - MOST_MISTAKES;
  return [
    "Worth knowing:",
    ...warnings.slice(0, MOST_MISTAKES),
    ...(more > 0 ? [`... and ${more} more; the log has all`] : []),
  ];
}

/** What a read verb shows. */
export function said(
  text: string,
  lines: readonly string[],
  run?: string,
  offers: readonly Offer[] = [],
): CommandAnswer {
  return { ok: true, code: "shown", text, lines, offers, ...(run === undefined ? {} : { run }) };
}

/** Who somebody is to Belay, in a sentence. */
export function whoIs(actor: Actor, may: Omit<Asker, "actor">): string {
  const groups = may.groups.length === 0 ? "no approver group" : may.groups.join(", ");
  return `You are ${formatActor(actor)}: ${may.operator ? "operator" : "viewer (hold and rollback are open to you)"}, in ${groups}.`;
}

/** Whether a word is the name of a rollout, a stage, a flag or a run. */
export type IsName = (word: string) => boolean;

/** A refusal in whole sentences; `mistakes` are those of files that could not be loaded, which may be what is missing. */
export function refusalAnswer(
  refusal: Refusal,
  isName: IsName,
  mistakes: readonly string[] = [],
): CommandAnswer {
  return {
    ok: false,
    code: refusal.code,
    text: `${sentence(refusal.message, isName)} Nothing changed.`,
    lines: UNKNOWN.has(refusal.code) && refusal.offers.length === 0 ? mistakeLines(mistakes) : [],
    offers: refusal.offers,
  };
}

/** What came of an ask. */
export function outcomeAnswer(outcome: Outcome, run: string, isName: IsName): CommandAnswer {
  switch (outcome.kind) {
    case "refused":
      return { ...refusalAnswer(outcome, isName), run };
    case "already":
      return {
        ok: true,
        code: "already",
        text: sentence(outcome.note, isName),
        lines: [],
        offers: outcome.offers,
        run,
      };
    case "events":
      return { ok: true, code: "done", text: outcome.note, lines: [], offers: [], run };
  }
}

/** With a capital and a full stop; a name at the beginning stays as people must type it. */
export function sentence(text: string, isName: IsName): string {
  const [first = ""] = text.split(/[\s,:]/, 1);
  const start = isName(first) ? text : text.charAt(0).toUpperCase() + text.slice(1);
  return withStop(start);
}
