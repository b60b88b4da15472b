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

function outageNext({ prometheusUp, slackUp, parallelOn, mode, holds }: Standing): Next | undefined {
  if (!prometheusUp) {
    const blind = holds.includes("blind");
    return {
      text: blind
        ? "Belay is blind: the card says so and nothing advances. Press [Start Prometheus] and it resumes by itself."
        : "Prometheus is gone. Belay notices within seconds; then press [Start Prometheus].",
      press: "prometheus",
    };
  }
  if (slackUp) return undefined;
  if (parallelOn && mode === "none")
    return {
      text: "Nobody can reach Slack now. Press [Break parallel]: the rollback happens all the same.",
      press: "break",
    };
  if (parallelOn) return { text: "Watch the failures: Belay needs no Slack to take parallel back." };
  return { text: "Press [Start Slack]: the channel is brought up to date.", press: "slack" };
}

function idleNext({ timeline, mode, locked }: Standing): Next {
  if (mode !== "none" && timeline.status !== "NOT STARTED")
    return { text: "Press [Mend] to repair the service before the next rollout.", press: "mend" };
  const [flag] = locked;
  if (flag !== undefined) return unlock(flag);
  if (timeline.status === "COMPLETED")
    return {
      text: "Completed: every stage was watched. Take it all back, or close the page and press Ctrl-C in the terminal.",
      line: "/rollout status",
    };
  return { text: "Start the rollout: type this in the channel.", line: "/rollout start ingestion" };
}

function liveNext(standing: Standing): Next {
  const { timeline, mode, parallelOn, locked, holds, inReview, rollbacks } = standing;
  if (timeline.status === "ROLLING BACK") return { text: "Belay is taking the newest stage back." };
  if (timeline.status === "OFF, LOOKING")
    return { text: "The flag is off. Belay looks whether production recovers; nothing to do." };
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
    return { text: `Held: ${timeline.says}. To go on, type this.`, line: "/rollout resume" };
  if (inReview)
    return {
      text: "Day 2: somebody signs off. Speak as Ben in the channel and type this.",
      line: '/rollout signoff go because "every panel looks right"',
      as: "ben",
    };
  if (!parallelOn)
    return {
      text: "Watch Belay turn on one feature after the other. It needs nothing from you; parallel is last.",
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
    line: `/rollout unlock ${flag} because "the worker bug is fixed"`,
  };
}
