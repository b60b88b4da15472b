/** What a person may do next, in one sentence, from how everything stands. */
import type { Timeline } from "./timeline.ts";

/** A button of the page, by its id in the HTML. */
export type ButtonId = "break" | "mend" | "prometheus" | "slack" | "belay";

export interface Next {
  readonly text: string;
  /** A line to type in the channel. */
  readonly line?: string;
  /** Who should type it, where that matters. */
  readonly as?: string;
  readonly press?: ButtonId;
}

export interface Standing {
  readonly belayUp: boolean;
  readonly prometheusUp: boolean;
  readonly slackUp: boolean;
  /** The misbehaviour that is set, whether or not it strikes; "none" when there is none. */
  readonly mode: string;
  /** Whether the service works with `parallel` on. */
  readonly parallelOn: boolean;
  /** Rollbacks so far. */
  readonly rollbacks: number;
  readonly timeline: Timeline;
  readonly live: boolean;
  /** Flags that a rollback locked. */
  readonly locked: readonly string[];
  readonly holds: readonly string[];
  readonly inReview: boolean;
}

export function nextOf(standing: Standing): Next {
  if (!standing.belayUp)
    return {
      text: "Belay is gone. It is started again in a moment and goes on from its journal: watch the card, there will be no second one.",
    };
  return outageNext(standing) ?? (standing.live ? liveNext(standing) : idleNext(standing));
}

function outageNext(standing: Standing): Next | undefined {
  const { prometheusUp, slackUp, parallelOn, mode, live } = standing;
  if (!prometheusUp) return blindNext(standing);
  if (slackUp) return undefined;
  if (!live)
    return { text: "Press [Start Slack]: without it there is no channel to type in.", press: "slack" };
  if (parallelOn && mode === "none")
    return {
      text: "Nobody can reach Slack now. Press [Break parallel]: the rollback happens all the same.",
      press: "break",
    };
  if (parallelOn) return { text: "Watch: Belay needs no Slack to take parallel back." };
  return { text: "Press [Start Slack]: the channel is brought up to date.", press: "slack" };
}

function blindNext({ live, parallelOn, mode, holds, slackUp }: Standing): Next {
  const press = "prometheus";
  if (!live)
    return { text: "Prometheus is gone. Nothing is being watched now: press [Start Prometheus].", press };
  if (!holds.includes("blind"))
    return {
      text: "Prometheus is gone. Belay notices within seconds; then press [Start Prometheus].",
      press,
    };
  if (parallelOn && mode !== "none" && slackUp)
    return {
      text: "Belay is blind and never guesses. Press [Start Prometheus], or take parallel back yourself: type this.",
      line: "/rollout rollback",
      press,
    };
  return {
    text: "Belay is blind: the card says so and nothing advances. Press [Start Prometheus] and it resumes by itself.",
    press,
  };
}

function idleNext({ timeline, mode, locked, parallelOn }: Standing): Next {
  if (mode !== "none" && parallelOn)
    return {
      text: "The rollout is over, so nobody watches parallel any more. Press [Mend], then start again.",
      press: "mend",
    };
  if (mode !== "none" && timeline.status !== "NOT STARTED")
    return { text: "Press [Mend] to repair the service before the next rollout.", press: "mend" };
  const [flag] = locked;
  if (flag !== undefined) return unlock(flag);
  if (timeline.status === "COMPLETED")
    return {
      text: "Completed: every stage was watched. End the demo with Ctrl-C in its terminal, or walk again: type this.",
      line: "/rollout start ingestion",
    };
  if (timeline.status === "QUARANTINED")
    return { text: "Belay met an error of its own; only going back works.", line: "/rollout rollback" };
  return { text: "Start the rollout: type this in the channel.", line: "/rollout start ingestion" };
}

function liveNext(standing: Standing): Next {
  const { timeline, mode, parallelOn, locked, holds, inReview, rollbacks } = standing;
  if (timeline.status === "ROLLING BACK") return { text: "Belay is taking the newest stage back." };
  if (timeline.status === "OFF, LOOKING")
    return { text: "The flag is off. Belay looks whether production recovers; nothing to do." };
  if (timeline.status === "ASKS")
    return {
      text: "The baseline needs every feature off. Belay asks first: press [Turn off] in the channel.",
    };
  const [flag] = locked;
  if (flag !== undefined && mode !== "none")
    return { text: `${flag} is off and locked. Repair the service first: press [Mend].`, press: "mend" };
  if (flag !== undefined) return unlock(flag);
  if (holds.length > 0 && holds.every((reason) => reason === "rolled_back"))
    return {
      text: "Unlocked. Turn it on again: type this in the channel.",
      line: "/rollout enable parallel",
    };
  if (holds.includes("blind") || holds.includes("expectation"))
    return { text: "Belay holds until its evidence is fresh, and resumes by itself." };
  if (holds.length > 0)
    return { text: `It stands still, ${timeline.says}. To go on, type this.`, line: "/rollout resume" };
  if (inReview)
    return {
      text: "Day 2: somebody signs off. Speak as Ben in the channel and type this.",
      line: '/rollout signoff go because "every panel looks right"',
      as: "ben",
    };
  if (!parallelOn)
    return {
      text: "Watch: Belay turns on one feature after the other, parallel last. It needs nothing from you.",
    };
  if (mode !== "none")
    return { text: "parallel is broken now. Watch: two bad measurements of three, and Belay takes it back." };
  if (rollbacks === 0)
    return { text: "parallel is on. Press [Break parallel] and watch the failures.", press: "break" };
  return { text: "It goes on. Kill something, or wait for Day 2." };
}

function unlock(flag: string): Next {
  return {
    text: `${flag} is locked by the rollback. Unlock it with a reason: type this in the channel.`,
    line: `/rollout unlock ${flag} because "the cause is fixed"`,
  };
}
