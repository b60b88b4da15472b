/** Where Belay announces what names no channel of its own; and what is announced nowhere, said aloud. */
import type { Config } from "./config.ts";
import type { Plan } from "./core/plan.ts";

/** Without Slack everything is told in the log, and this stands where a channel would. */
const LOG_CHANNEL = "log";

/** BELAY_CHANNEL; without Slack the log. Undefined: Slack is there, and what names no channel is announced nowhere. */
export function usualChannel({ defaultChannel, slack }: Pick<Config, "defaultChannel" | "slack">) {
  return defaultChannel ?? (slack === undefined ? LOG_CHANNEL : undefined);
}

/** A sentence for each rollout that people would never hear of. */
export function unannounced(
  plans: Iterable<Pick<Plan, "rollout" | "channel">>,
  config: Pick<Config, "defaultChannel" | "slack">,
): readonly string[] {
  if (usualChannel(config) !== undefined) return [];
  return [...plans].flatMap(({ rollout, channel }) =>
    channel === undefined
      ? [`rollout ${rollout} names no channel and BELAY_CHANNEL is not set: it is announced nowhere`]
      : [],
  );
}
