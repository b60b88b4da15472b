/** Text as Slack wants it: escaped, cut to length by what people see, with instants that each reader sees in their own time. */
import type { ContextBlock, KnownBlock, SectionBlock } from "@slack/types";
import { DAY, formatClock } from "../../core/time.ts";

/** A message ready to be sent. `text` is a whole sentence: notifications and screen readers have nothing else. */
export interface Rendered {
  readonly text: string;
  readonly blocks: readonly KnownBlock[];
}

/** Most characters that one section's text gets here; Slack takes 3,000. */
export const SECTION_MOST = 2_900;
/** Most characters of a fallback text; Slack's chat.update takes 4,000. */
export const FALLBACK_MOST = 2_900;
const ELLIPSIS = "…";

/** Escapes the three characters that mean something in Slack's markup. Everything that came from outside goes through here. */
export function escapeMarkup(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Text from outside as one line: control characters and line breaks become spaces. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, " ").trim();
}

/** Cuts to at most `most` code points; what is cut off is marked. */
export function cut(text: string, most: number): string {
  const points = [...text];
  return points.length <= most ? text : `${points.slice(0, Math.max(0, most - 1)).join("")}${ELLIPSIS}`;
}

/** Escapes, and cuts so that the escaped text has at most `most` code points and no entity is cut in two. */
export function escapeCut(text: string, most: number): string {
  // A text this long is cut anyway; it need not be escaped to its end.
  if (text.length <= 2 * most) {
    const whole = escapeMarkup(text);
    if (lengthOf(whole) <= most) return whole;
  }
  let kept = "";
  let length = 1;
  for (const point of text) {
    const escaped = escapeMarkup(point);
    length += lengthOf(escaped);
    if (length > most) break;
    kept += escaped;
  }
  return `${kept}${ELLIPSIS}`;
}

/** Code points, which is how Slack counts. */
export function lengthOf(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** How instants are written: `zone` for the fallback, `nowWall` (Unix ms) to tell near from far. */
export interface Dates {
  readonly zone: string;
  readonly nowWall: number;
}

/** An instant (Unix ms) in the reader's own time; more than a day away it has its date, too. */
export function instant(wall: number, dates: Dates, precision: "minutes" | "seconds" = "seconds"): string {
  if (!Number.isFinite(wall) || wall < 0) return "at an unknown time";
  const far = Math.abs(wall - dates.nowWall) > DAY;
  const near = precision === "seconds" ? "{time_secs}" : "{time}";
  const format = far ? "{date_short} {time}" : near;
  const clock = formatClock(wall, dates.zone);
  const shown = far || precision === "minutes" ? clock.slice(0, 5) : clock;
  const day = far ? `${dayOf(wall, dates.zone)} ` : "";
  return `<!date^${Math.floor(wall / 1000)}^${format}|${day}${shown} ${dates.zone}>`;
}

/** `2026-11-22` in a zone. */
function dayOf(wall: number, zone: string): string {
  return new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short" }).format(wall);
}

/** Joins lines into texts of at most `most` code points each; a single longer line is a text of its own and must have been cut before. */
export function chunks(lines: readonly string[], most = SECTION_MOST): readonly string[] {
  const texts: string[] = [];
  let open: string | undefined;
  for (const line of lines) {
    const longer = open === undefined ? line : `${open}\n${line}`;
    if (open !== undefined && lengthOf(longer) > most) {
      texts.push(open);
      open = line;
    } else open = longer;
  }
  return open === undefined ? texts : [...texts, open];
}

/** A section of markup; the text must be escaped. */
export function section(text: string): SectionBlock {
  return { type: "section", text: { type: "mrkdwn", text } };
}

/** Small print. */
export function context(text: string): ContextBlock {
  return { type: "context", elements: [{ type: "mrkdwn", text }] };
}

/** With a full stop, unless it has an end of its own. The first letter is left alone: it may be a flag's name. */
export function ended(text: string): string {
  const trimmed = text.trim();
  return trimmed === "" || /[.!?…]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}

/** `<= 2 %` -> `≤ 2 %`. */
export function asSigns(text: string): string {
  return text.replaceAll("<= ", "≤ ").replaceAll(">= ", "≥ ");
}
