/** A person says who flips: the whole installation observes or acts, or one rollout is handed to people for good. */
import type { Actor, Mode, RolloutEvent } from "../event.ts";
import type { Plan } from "../plan.ts";
import { refuse } from "../refusal.ts";
import { leftOn } from "./ahead.ts";
import { type Asker, already, done, type Outcome } from "./ask.ts";
import { askedInWords, guardOf, openWould, withdrawnAsk } from "./observe.ts";
import {
  isLive,
  isStepOfPlan,
  newestFlagStage,
  pendingAsked,
  pendingBackward,
  type State,
  stageAt,
} from "./state.ts";
import type { World } from "./world.ts";

/** What the installation's new mode means for one run; a released one stays with people. */
export function onModeAsk(
  plan: Plan,
  state: State,
  ask: { readonly mode: Mode; readonly because?: string },
  by: Actor,
  world: World,
): Outcome {
  const name = `${state.rollout} (${state.run})`;
  if (!isLive(state)) return refuse("not_live", `${name} is not live.`);
  if (state.released === true) return already(`${name} was released to people and stays with them.`);
  if ((state.mode ?? "act") === ask.mode) return already(`${name} is in that mode already.`);
  const because = ask.because === undefined ? {} : { because: ask.because };
  if (ask.mode === "observe") return done([handedOver(plan, state, { by, ...because })], `${name} observes.`);
  const open = pendingAsked(state);
  const index = newestFlagStage(plan, state);
  const taken =
    open.length === 0 || index < 0
      ? []
      : [withdrawnAsk(plan, state, world, index, "Belay flips again, and asks for fresh evidence first")];
  const isDoubtful = openWould(state) !== undefined || Object.keys(state.dismissed ?? {}).length > 0;
  const warning = isDoubtful ? " It goes back now if the breach goes on." : "";
  return done([...taken, { kind: "mode_set", mode: "act", by, ...because }], `${name} acts.${warning}`);
}

/** A person lets stand what Belay would have taken back; on record, for the tuning of the guard. Other holds stay. */
export function onFalseAlarm(state: State, because: string | undefined, by: Actor): Outcome {
  const { rollout, would } = state;
  const guard = would === undefined ? undefined : guardOf(would);
  const counts =
    guard === undefined
      ? "Belay says it again when something new happens."
      : `Nothing goes forward while guard ${guard} is in breach, and Belay speaks up again once it has passed and breaches anew.`;
  const others = state.holds.filter((hold) => hold.reason !== "would_roll_back");
  const held =
    others.length === 0 ? "" : ` ${rollout} stays held (${others.map((hold) => hold.reason).join(", ")}).`;
  const said = because === undefined ? {} : { because };
  return done(
    [{ kind: "resumed", reasons: ["would_roll_back"], by, ...said }],
    `Left as it is${because === undefined ? "" : `, because: ${because}`}. The flags stay as they are. ${counts}${held}`,
  );
}

/** Hands a live rollout to people for good. */
export function onReleaseAsk(plan: Plan, state: State, because: string | undefined, asker: Asker): Outcome {
  const name = state.rollout;
  if (state.released === true) return already(`${name} is released already: people flip, Belay judges.`);
  if (state.phase !== "walking" || pendingBackward(state).length > 0)
    return refuse(
      "rolling_back",
      `${name} is going back; release it when the flags are off and production has been looked at.`,
    );
  const owed = askedNext(plan, state);
  const event = handedOver(plan, state, {
    by: asker.actor,
    released: true,
    ...(because === undefined ? {} : { because }),
  });
  const on = leftOn(plan, state);
  const stays =
    on.length === 0 ? "Nothing of it is on." : `${on.join(", ")} ${on.length === 1 ? "stays" : "stay"} ON.`;
  const note = `Released ${name}: from here on people flip, whatever the installation's mode, and Belay flips nothing by itself. ${stays}${owed} Guards still judge, and Belay says what it would take back; \`/rollout rollback\` still takes it back. \`/rollout stop ${name}\` ends it.`;
  return done([event], note);
}

function askedNext(plan: Plan, state: State): string {
  const open = askedInWords(plan, state);
  if (open !== "") return ` It waits for ${open} by people.`;
  const step = stepUnderWay(plan, state);
  return step === undefined
    ? ""
    : ` ${stageAt(plan, step.stage).name} was on its way: people are asked to set what is not set yet.`;
}

interface By {
  readonly by: Actor;
  readonly because?: string;
  readonly released?: true;
}

function handedOver(plan: Plan, state: State, by: By): RolloutEvent {
  const asks = stepUnderWay(plan, state);
  return { kind: "mode_set", mode: "observe", ...by, ...(asks === undefined ? {} : { asks }) };
}

/** The step whose flips Belay still owes. */
function stepUnderWay(plan: Plan, state: State) {
  const owes = Object.values(state.flips).some(
    (flip) => flip.verifiedAt === undefined && flip.asked !== true && isStepOfPlan(plan, state, flip),
  );
  const stage = newestFlagStage(plan, state);
  return owes ? { stage, substage: state.stages[stage]?.substage ?? 0 } : undefined;
}

/** What a start in this mode adds to its answer. */
export const OBSERVES_FROM_START =
  'It observes: Belay asks people to flip, judges, and says what it would take back, but flips nothing by itself. `/belay observe off because "..."` lets Belay flip.';
