/** How much one message holds, and cutting words to it: what is left out is counted, because a medium that cuts by itself drops it in silence. */
import type { Offer } from "../refusal.ts";
import { type AlertLine, line } from "./told.ts";

/** Most lines of a message. Slack's form of it shows one more, kept for the one that tells why a post comes late. */
export const MOST_LINES = 11;
/** Most weight of the words of one line, and of those of a message without buttons. */
export const LINE_ROOM = 1_000;
const MESSAGE_ROOM = 8_000;
/** Room that a button takes besides its words. */
const BUTTON = 500;
/** Room that an instant takes in the markup of dates, and the frame of a line. */
const INSTANT = 90;
const FRAME = 10;

const HEAVY: ReadonlyMap<string, number> = new Map([
  ["&", 5],
  ["<", 4],
  [">", 4],
  ['"', 2],
  ["\\", 2],
]);

/** How long a text is where it is longest: as markup in JSON. */
export function weightOf(text: string): number {
  let weight = 0;
  for (const point of text) weight += HEAVY.get(point) ?? point.length;
  return weight;
}

export function lineWeight({ label, parts }: AlertLine): number {
  const words = parts.map((part) => (typeof part === "string" ? weightOf(part) : INSTANT));
  return words.reduce((sum, one) => sum + one, FRAME + weightOf(label));
}

/** What buttons leave of a message to its lines. */
export function roomBeside(offers: readonly Offer[]): number {
  return offers.reduce((room, offer) => room - offerWeight(offer), MESSAGE_ROOM);
}

/** The first of these offers that take no more than `most` of a message. */
export function offersWithin(offers: readonly Offer[], most: number): readonly Offer[] {
  let left = most;
  return offers.filter((offer) => {
    left -= offerWeight(offer);
    return left >= 0;
  });
}

function offerWeight({ label, command, confirm = "" }: Offer): number {
  return BUTTON + 3 * weightOf(label) + 2 * weightOf(command) + weightOf(confirm);
}

/** A text of at most this weight; what is cut off is marked. */
export function clip(text: string, most: number): string {
  if (weightOf(text) <= most) return text;
  let kept = "";
  let left = most - 1;
  for (const point of text) {
    left -= weightOf(point);
    if (left < 0) break;
    kept += point;
  }
  return `${kept}…`;
}

/** `a, b and 3 more`: items of at most `each`, together at most `room`. */
export function listed(
  items: readonly string[],
  separator: string,
  { room, each }: { readonly room: number; readonly each: number },
): string {
  const shown: string[] = [];
  let left = room - weightOf(` and ${items.length} more`);
  for (const item of items) {
    const one = clip(item, each);
    left -= weightOf(one) + weightOf(separator);
    if (left < 0) break;
    shown.push(one);
  }
  const more = items.length - shown.length;
  return `${shown.join(separator)}${more === 0 ? "" : ` and ${more} more`}`;
}

/** The first of these lines that fit, at most `most`; all of them or none of those after the first that does not. */
export function linesWithin(
  lines: readonly AlertLine[],
  { most, room }: { readonly most: number; readonly room: number },
): readonly AlertLine[] {
  let left = room;
  const end = lines.findIndex((one, index) => {
    left -= lineWeight(one);
    return index >= most || left < 0;
  });
  return end < 0 ? lines : lines.slice(0, end);
}

/** `1 probe`, `3 probes`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** A line whose words take at most `most`. */
export function shortLine(label: string, text: string, most: number): AlertLine {
  return line(label, clip(text, most));
}
