/** The handover post at shift change: who hands over to whom, what is under way, and what is open. */
import { formatTime } from "../watch/job-clock.ts";
import { type OnCallFact, onCallInWords, onCallParts, type RolloutFact } from "./health-post.ts";
import { clip, LINE_ROOM, listed } from "./room.ts";
import { type Alert, line, type Part } from "./told.ts";

/** What the next person on call must know. What could not be learned is undefined and is said to be unknown. */
export interface HandoverFacts {
  readonly watch: string;
  readonly wall: number;
  readonly zone: string;
  readonly onCall: OnCallFact | undefined;
  readonly rollouts: readonly RolloutFact[] | undefined;
  /** Pages not resolved: `i-7Q2 P1, acknowledged by @ben: pool at 91 %`. */
  readonly incidents: readonly string[] | undefined;
  /** Probes that are not well, in words. */
  readonly troubles: readonly string[];
}

/** With four lines more they are as many as a message holds. */
const MOST_ROLLOUTS = 7;
/** Most weight of where a rollout stands, and of one open page or trouble. */
const STANDS_ROOM = 300;
const ITEM_ROOM = 250;
/** A longer title would be cut. */
const TITLE_MOST = 150;

export function handoverPost(facts: HandoverFacts): Alert {
  const { watch, wall, zone, onCall, rollouts, incidents, troubles } = facts;
  const who = onCallInWords(onCall, zone);
  const head = `Handover ${watch} ${formatTime(wall, zone)} ${zone}`;
  const whole = `${head}: ${who}`;
  const isShort = [...whole].length <= TITLE_MOST;
  const live = rollouts === undefined ? "unknown" : rollouts.length === 0 ? "none live" : undefined;
  const steps = (rollouts ?? [])
    .slice(0, MOST_ROLLOUTS)
    .map((rollout) => line(rollout.name, ...stepOf(rollout)));
  const more = (rollouts?.length ?? 0) - steps.length;
  const open = incidents === undefined ? ["unknown"] : incidents.length === 0 ? ["none"] : incidents;
  return {
    title: isShort ? whole : head,
    lines: [
      ...(isShort ? [] : [line("On call", ...onCallParts(onCall))]),
      ...(live === undefined ? steps : [line("Rollouts", live)]),
      ...(more > 0 ? [line("More", `${more} more rollout${more === 1 ? "" : "s"}`)] : []),
      line("Open pages", inOneLine(open)),
      ...(troubles.length === 0 ? [] : [line("Not well", inOneLine(troubles))]),
    ],
    offers: [],
    summary: `${whole}; rollouts ${rollouts === undefined ? "unknown" : `${rollouts.length} live`}, open pages ${incidents === undefined ? "unknown" : incidents.length}.`,
  };
}

function inOneLine(items: readonly string[]): string {
  return listed(items, " · ", { room: LINE_ROOM, each: ITEM_ROOM });
}

function stepOf({ stands, nextWall, nextStep }: RolloutFact): readonly Part[] {
  const where = clip(stands, STANDS_ROOM);
  if (nextWall === undefined) return [`${where}, no forward step planned`];
  return [`${where}, next step${nextStep === undefined ? "" : ` ${nextStep}`} `, { wall: nextWall }];
}
