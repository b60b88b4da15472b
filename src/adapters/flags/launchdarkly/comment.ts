/** The comment of a patch: who, what and why for people, and at its end the intent, by which Belay knows its own write again. */
import type { FlagWrite } from "../../../engine/ports.ts";

/** LaunchDarkly names no limit; this is what a person reads. */
const NOTE_CHARS = 400;
const INTENT = /\[belay:([^\]\s]+)\]\s*$/;

export function commentOf({ note, intent }: Pick<FlagWrite, "note" | "intent">): string {
  const line = (note ?? "Belay").replace(/\s+/g, " ").trim();
  const short = line.length <= NOTE_CHARS ? line : `${line.slice(0, NOTE_CHARS)}...`;
  return `${short} [belay:${encodeURIComponent(intent)}]`;
}

/** The intent that a comment ends with. Only that of an entry made with Belay's own token means anything: people copy comments. */
export function intentIn(comment: string | null | undefined): string | undefined {
  const found = INTENT.exec(comment ?? "")?.[1];
  if (found === undefined) return undefined;
  try {
    return decodeURIComponent(found);
  } catch {
    return undefined;
  }
}
