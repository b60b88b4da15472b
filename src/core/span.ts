/** How far back somebody wants to look, as typed: `2h`, `30m`, `7d`. */
import { shorten } from "./command.ts";
import { type Refusal, refuse } from "./refusal.ts";
import { DAY, HOUR, MINUTE, parseDuration } from "./time.ts";

/** When nothing is said, ms. */
export const USUAL_SPAN_MS = 2 * HOUR;
const MOST_SPAN_MS = 7 * DAY;

/** The time typed after `changes` in ms; refused when it is none, or too short or long. */
export function readSpan(text: string | undefined): number | Refusal {
  if (text === undefined) return USUAL_SPAN_MS;
  const spanMs = parseDuration(text);
  if (spanMs !== undefined && spanMs >= MINUTE && spanMs <= MOST_SPAN_MS) return spanMs;
  return refuse(
    "bad_value",
    `\`${shorten(text)}\` is not a time from 1m to 7d, such as 2h. Usage: \`/belay changes 2h\``,
  );
}
