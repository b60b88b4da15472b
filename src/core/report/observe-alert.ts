/** The messages of a Belay that observes: what people are asked to set, and what it would have taken back; edited as things move on. */
import { formatActor, type Recorded } from "../event.ts";
import { type FlagSetting, type Plan, settingInWords } from "../plan.ts";
import type { Offer } from "../refusal.ts";
import { openWould } from "../rollout/observe.ts";
import { placeOf } from "../rollout/place.ts";
import { isLive, pendingAsked, type State, stageAt, substageAt } from "../rollout/state.ts";
import { toWire } from "../setting.ts";
import { formatDuration } from "../time.ts";
import {
  type Alert,
  type AlertLine,
  eventAt,
  firstAfter,
  line,
  type Of,
  type Part,
  type Told,
} from "./told.ts";
import { causeInWords, flipsInWords, holdInWords } from "./words.ts";
import { wouldOffers } from "./would-offers.ts";

/** `FEATURE_PARALLEL to ON ("true")`: exactly what a person types into the flag system. */
function exactly(plan: Plan, { flag, setting }: FlagSetting): string {
  const def = plan.flags[flag];
  const said = settingInWords(plan, flag, setting);
  const wire = def === undefined ? undefined : toWire(def, setting).value;
  const literal = wire === undefined || wire === said || setting.kind === "percent" ? "" : ` ("${wire}")`;
  return `${def?.key ?? flag} to ${said}${literal}`;
}

function setLine(plan: Plan, settings: readonly FlagSetting[]): AlertLine {
  const restart = plan.provider.restartMs > 0 ? `, and restart ${plan.service} so that it takes effect` : "";
  return line(
    "Set",
    `${settings.map((one) => exactly(plan, one)).join(", ")}, in ${placeOf(plan)}${restart}`,
  );
}

/** Lets Belay flip from now on; not for a run that people hold for good. */
function actOffers(state: State): readonly Offer[] {
  if (state.released === true) return [];
  return [
    {
      label: "Let Belay flip...",
      command: "belay observe off",
      reason: "Why may Belay flip from now on, here and in every rollout?",
    },
  ];
}

/** Asks people for the flips of one step. Undefined when that event asked for none. */
export function askAlert(told: Told, seq: number): Alert | undefined {
  const asked = askedAt(told, seq);
  if (asked === undefined) return undefined;
  const { plan, state } = told;
  const { stage, substage } = asked.step;
  const { name } = stageAt(plan, stage);
  const settings = substageAt(plan, stage, substage).set;
  const isOpen = isLive(state) && state.asking?.seq === seq && pendingAsked(state).length > 0;
  const missing = new Set(pendingAsked(state).map(({ flip }) => flip.flag));
  const left = isOpen ? settings.filter(({ flag }) => missing.has(flag)) : settings;
  const what = left.map(
    (one) => `${plan.flags[one.flag]?.key ?? one.flag} ${settingInWords(plan, one.flag, one.setting)}`,
  );
  const title = isOpen
    ? `PLEASE SET ${what.join(", ")}: ${plan.rollout}, stage ${name}`
    : `${plan.rollout}, stage ${name}: ${endOfAsk(told, asked).title}`;
  const [hold] = state.holds;
  const then = `Belay reads it back from the flag system${plan.hasView ? ` and from ${plan.service}` : ""}, then ${name} soaks ${formatDuration(stageAt(plan, stage).substages[substage]?.soakMs ?? 0)} under its guards`;
  return {
    title,
    lines: isOpen
      ? [
          setLine(plan, left),
          line(
            "Why",
            `it is the turn of ${name} in ${plan.environment}, and every gate is open; Belay observes and flips nothing by itself`,
          ),
          line("Then", `${then}. It waits as long as you take.`),
          ...(hold === undefined
            ? []
            : [line("Not now", `${holdInWords(hold.reason)}: ${hold.detail}; set it when that is over`)]),
        ]
      : [line("Done", ...endOfAsk(told, asked).parts)],
    offers: isOpen
      ? [
          ...(hold === undefined ? [{ label: "Hold", command: `rollout hold run=${state.run}` }] : []),
          ...actOffers(state),
        ]
      : [],
    summary: isOpen
      ? `Please set ${settings.map((one) => exactly(plan, one)).join(", ")} in ${placeOf(plan)}: ${plan.rollout} waits for it at ${name}.`
      : `${plan.rollout}, ${name}: ${endOfAsk(told, asked).title}.`,
  };
}

interface Asked {
  readonly recorded: Recorded;
  readonly step: { readonly stage: number; readonly substage: number };
}

function askedAt(told: Told, seq: number): Asked | undefined {
  const started = eventAt(told, seq, "stage_started");
  if (started !== undefined) return { recorded: started, step: started.event };
  const given = eventAt(told, seq, "mode_set");
  return given?.event.asks === undefined ? undefined : { recorded: given, step: given.event.asks };
}

/** How an ask ended: set, taken back, or overtaken by something else. */
function endOfAsk(
  told: Told,
  { recorded }: Asked,
): { readonly title: string; readonly parts: readonly Part[] } {
  const enabled = firstAfter(told, recorded, "stage_enabled");
  const withdrawn = firstAfter(told, recorded, "stage_withdrawn");
  const back = firstAfter(told, recorded, "rollback_started");
  const first = [enabled, withdrawn, back]
    .filter((one) => one !== undefined)
    .sort((a, b) => a.seq - b.seq)[0];
  if (first === undefined) return { title: "seen", parts: ["what was asked for is set"] };
  if (first === enabled)
    return { title: "set", parts: ["set by people, seen ", { wall: first.wall }, "; it soaks"] };
  if (first === withdrawn)
    return {
      title: "not asked for any more",
      parts: [`not asked for any more since `, { wall: first.wall }, `: ${withdrawn?.event.why ?? ""}`],
    };
  return { title: "taken back", parts: ["taken back ", { wall: first.wall }] };
}

/** What Belay would have taken back. Undefined when that event did not say so. */
export function wouldAlert(told: Told, seq: number): Alert | undefined {
  const said = eventAt(told, seq, "would_roll_back");
  if (said === undefined) return undefined;
  const { plan, state } = told;
  const { event } = said;
  const open = openWould(state);
  const isOpen = isLive(state) && open?.seq === seq;
  const flips = flipsInWords(plan, event.flips);
  const why = causeInWords(event.cause);
  const settings = event.flips.map(({ flag, to }) => ({ flag, setting: to }));
  return {
    title: `WOULD have rolled back ${plan.rollout}: ${flips}`,
    lines: [
      line("Why", why),
      line("When", "WOULD have rolled back ", { wall: said.wall }),
      line("Who", `${whoOf(event)}; it observes, and nothing was written`),
      ...(isOpen
        ? [
            setLine(plan, settings),
            line(
              "Next",
              "[Do it]: Belay writes it now. Set by hand: Belay notices, and looks whether production recovers. [False alarm]: it stays as it is. Until then nothing advances",
            ),
          ]
        : [line("Done", ...endOfWould(told, said))]),
    ],
    offers: isOpen ? wouldOffers(plan, state, event) : [],
    summary: `${plan.rollout} (${plan.environment}): WOULD have rolled back ${flips}: ${why.replace(/[.\s]+$/, "")}. Belay observes; nothing was written.`,
  };
}

function whoOf({ cause }: Of<"would_roll_back">): string {
  if (cause.kind === "alert") return `Belay (alert ${cause.name})`;
  return cause.kind === "breach" || cause.kind === "still_breaching"
    ? `Belay (guard ${cause.guard})`
    : "Belay";
}

function endOfWould(told: Told, said: Recorded): readonly Part[] {
  const back = firstAfter(told, said, "rollback_started");
  const again = firstAfter(told, said, "would_roll_back");
  const resumed = told.events.find(
    (one) =>
      one.seq > said.seq && one.event.kind === "resumed" && one.event.reasons.includes("would_roll_back"),
  );
  const first = [back, again, resumed].filter((one) => one !== undefined).sort((a, b) => a.seq - b.seq)[0];
  if (first === undefined) return ["the rollout has ended"];
  const { event, wall } = first;
  if (event.kind === "would_roll_back") return ["it would go further now ", { wall }, "; see that message"];
  if (event.kind === "resumed") {
    const why = event.because === undefined ? "left as it is" : event.because;
    return [`${why}, says ${formatActor(event.by)} `, { wall }];
  }
  if (back?.event.byHand === true) return ["taken back by hand, seen ", { wall }, ...outcomeOf(told, back)];
  return [
    `done: taken back by ${formatActor(back?.event.by ?? { kind: "belay" })} `,
    { wall },
    ...outcomeOf(told, first),
  ];
}

function outcomeOf(told: Told, back: Recorded): readonly Part[] {
  const recovered = firstAfter(told, back, "recovered");
  const failed = firstAfter(told, back, "look_failed");
  if (failed !== undefined && (recovered === undefined || failed.seq < recovered.seq))
    return ["; production is still worse"];
  return recovered === undefined
    ? ["; looking whether production recovers"]
    : ["; production recovered ", { wall: recovered.wall }];
}
