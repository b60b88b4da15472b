/** The handover post at shift change: who hands over to whom, what is under way, and what is open. */
import { formatTime } from "../watch/job-clock.ts";
import { type OnCallFact, onCallInWords, type RolloutFact } from "./health-post.ts";
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

const MOST = 8;

export function handoverPost(facts: HandoverFacts): Alert {
  const { watch, wall, zone, onCall, rollouts, incidents, troubles } = facts;
  const who = onCallInWords(onCall, zone);
  const title = `Handover ${watch} ${formatTime(wall, zone)}: ${who}`;
  const live = rollouts === undefined ? "unknown" : rollouts.length === 0 ? "none live" : undefined;
  const steps = (rollouts ?? []).slice(0, MOST).map((rollout) => line(rollout.name, ...stepOf(rollout)));
  const open = incidents === undefined ? ["unknown"] : incidents.length === 0 ? ["none"] : incidents;
  const more = open.length > MOST ? ` and ${open.length - MOST} more` : "";
  return {
    title,
    lines: [
      ...(live === undefined ? steps : [line("Rollouts", live)]),
      ...((rollouts?.length ?? 0) > MOST
        ? [line("More", `${(rollouts?.length ?? 0) - MOST} more rollouts`)]
        : []),
      line("Open pages", `${open.slice(0, MOST).join(" · ")}${more}`),
      ...(troubles.length === 0 ? [] : [line("Not well", troubles.slice(0, MOST).join(" · "))]),
    ],
    offers: [],
    summary: `${title}; rollouts ${rollouts === undefined ? "unknown" : `${rollouts.length} live`}, open pages ${incidents === undefined ? "unknown" : incidents.length}.`,
  };
}

function stepOf({ stands, nextWall, nextStep }: RolloutFact): readonly Part[] {
  if (nextWall === undefined) return [`${stands}, no forward step planned`];
  return [`${stands}, next step${nextStep === undefined ? "" : ` ${nextStep}`} `, { wall: nextWall }];
}
