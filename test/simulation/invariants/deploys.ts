/** The promises about deploys and restarts that no flip caused: each inside a soak begins it anew, none is made up, and none keeps a breach from going back (I1b). */
import type { Recorded } from "../../../src/core/event.ts";
import type { State } from "../../../src/core/rollout/state.ts";
import type { History } from "./history.ts";

/** From a deploy until Belay has asked for it, while Prometheus tells the truth: its pace, an answer, and the second in which it becomes visible; ms. */
const NOTICED_WITHIN_MS = 15_000;

/** P1: a soak that passes was not longer than the time since the newest deploy inside it. */
export function soakBeganAnew(history: History, state: State, { event, wall }: Recorded): readonly string[] {
  if (event.kind !== "soak_passed" || history.plan.deploys === undefined) return [];
  const enabledAt = state.stages[event.stage]?.enabledAt ?? Number.POSITIVE_INFINITY;
  const newest = history.outside.processes
    .until(wall - NOTICED_WITHIN_MS)
    .findLast(({ at, version }) => version !== undefined && at > enabledAt);
  if (newest === undefined || event.soakedMs <= wall - newest.at) return [];
  return [
    `stage ${event.stage} passed with ${event.soakedMs} ms although ${newest.version} was deployed ${wall - newest.at} ms before`,
  ];
}

/** P2: a rollout holds at most once for each deploy or restart that there was; its own restarts are none. */
export function holdsForWhatWas(
  history: History,
  state: State,
  { event, wall }: Recorded,
): readonly string[] {
  if (event.kind !== "held" || event.reason !== "unattributed") return [];
  const held = (history.disk.events.get(state.run) ?? []).filter(
    (one) => one.event.kind === "held" && one.event.reason === "unattributed",
  );
  const there = history.outside.processes.until(wall).length;
  return held.length <= there
    ? []
    : [`${state.run} held ${held.length} times for ${there} deploys (${event.detail})`];
}
