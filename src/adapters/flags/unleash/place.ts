/** Where a flag is in Unleash: its environment, and the words for a flag or an environment that is not there. */
import type { FlagDef } from "../../../core/plan.ts";
import { OutsideFault } from "../../../engine/ports.ts";
import type { Place } from "./served.ts";
import type { Feature } from "./shapes.ts";

/** The place of a flag in this environment. Throws an `OutsideFault` when there is no such environment. */
export function placeOf(feature: Feature, environment: string, project: string): Place {
  const found = feature.environments.find(({ name }) => name === environment);
  const parents = feature.dependencies.map((dependency) => dependency.feature);
  if (found !== undefined) return { environment: found, parents };
  const names = feature.environments.map(({ name }) => name).join(", ");
  throw new OutsideFault(
    `${feature.name} has no environment ${environment} in project ${project} of Unleash (it has ${names}): correct the provider's environment; nothing was changed`,
    { recoverable: false },
  );
}

/** The fault of a write to a flag that is not there. */
export function gone(flag: FlagDef, project: string): OutsideFault {
  return new OutsideFault(
    `${flag.key} is archived, deleted or was never in project ${project} of Unleash; nothing was changed: make or revive it there, or take it out of the flags file`,
    { recoverable: false },
  );
}
