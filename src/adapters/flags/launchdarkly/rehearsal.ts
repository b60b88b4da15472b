/** A try of the way back on one flag: read, then written as it is; nothing that anybody could notice. */
import type { FlagDef } from "../../../core/plan.ts";
import { formatSetting, OFF, ON } from "../../../core/setting.ts";
import { type FlagRehearsal, messageOfFault } from "../../../engine/ports.ts";
import type { Api } from "./api.ts";
import { flagPage } from "./refusals.ts";
import { type Bucketing, type Instruction, instructionsFor, isOffServed } from "./settings.ts";
import { type FlagShape, versionOf } from "./shapes.ts";

/**
 * A flag that is off is told to turn off, which LaunchDarkly is documented to leave unchanged. One that is on is told to turn on, and only to check
 * that (`dryRun`): somebody may turn it off at that very moment. Both need the right that turning off needs. Where the way back leads to another
 * safe value, that is what is checked, since it needs more rights.
 */
export async function rehearseFlag(
  api: Api,
  def: FlagDef,
  bucketing: Bucketing,
  until: number,
): Promise<FlagRehearsal> {
  const { project, environment } = api.place;
  const problems: string[] = [];
  const warnings: string[] = [];
  let writeMs: number | undefined;
  const began = performance.now();
  let readMs = 0;
  try {
    const flag = await api.flag("forward", def.key, until);
    readMs = performance.now() - began;
    if (flag === undefined)
      problems.push(`There is no flag ${def.key} in the project ${project} of LaunchDarkly.`);
    else if (flag.archived)
      problems.push(`${def.key} is archived in LaunchDarkly: restore it (${flagPage(api.place, def.key)}).`);
    else {
      const safe = def.safe ?? OFF;
      const back = instructionsFor(def, safe, flag, bucketing);
      if (back.kind === "refused")
        problems.push(
          safe.kind === "off"
            ? `${def.key} cannot be turned off: ${back.why}.`
            : `${def.key} cannot be set to its safe value ${formatSetting(safe, def)}: ${back.why}.`,
        );
      warnings.push(...warningsOf(def, flag, bucketing, environment));
      const writing = performance.now();
      const unchanging: readonly Instruction[] = [{ kind: flag.on ? "turnFlagOn" : "turnFlagOff" }];
      const isOff = safe.kind === "off" || back.kind === "refused";
      const instructions = isOff ? unchanging : back.instructions;
      const dryRun = flag.on || !isOff;
      const comment = `Belay rehearses the way back of ${def.key}; nothing changes`;
      const patch = { instructions, comment, ignoreConflicts: true, dryRun };
      const after = await api.patch("forward", def.key, patch, until);
      writeMs = performance.now() - writing;
      if (!dryRun && versionOf(after) !== versionOf(flag))
        warnings.push(
          `${def.key} has a new version after a write that changes nothing; somebody changed it at that moment, or LaunchDarkly counts such writes.`,
        );
    }
  } catch (error) {
    problems.push(messageOfFault(error));
  }
  return { readMs, writeMs, problems, warnings };
}

function warningsOf(
  def: FlagDef,
  flag: FlagShape,
  bucketing: Bucketing,
  environment: string,
): readonly string[] {
  const { key } = def;
  const warnings: string[] = [];
  const forward = instructionsFor(def, ON, flag, bucketing);
  if (forward.kind === "refused") warnings.push(`${key} cannot be turned on: ${forward.why}.`);
  if (!isOffServed(def, flag))
    warnings.push(
      `${key} does not serve ${def.off} when it is off in ${environment}: a rollback changes its off variation, which also needs the right to updateOffVariation.`,
    );
  const special = [some(flag.rules, "rule"), some(flag.targets, "target")].filter((one) => one !== undefined);
  if (special.length > 0)
    warnings.push(
      `${key} has ${special.join(" and ")} in ${environment}: Belay sets what everybody else is served, OFF turns the flag off for all, and turning it on puts them into force.`,
    );
  if (flag.prerequisites.length > 0)
    warnings.push(`${key} is served only where ${flag.prerequisites.join(", ")} is as it requires.`);
  const { rollout } = flag.fallthrough;
  const { bucketBy = rollout?.bucketBy, contextKind = rollout?.contextKind } = bucketing;
  if (rollout !== undefined && (bucketBy !== rollout.bucketBy || contextKind !== rollout.contextKind))
    warnings.push(
      `${key} splits users by ${rollout.bucketBy ?? "key"} of ${rollout.contextKind ?? "user"} now: a percentage set by Belay splits them anew, by ${bucketBy ?? "key"} of ${contextKind ?? "user"}.`,
    );
  return warnings;
}

function some(count: number, noun: string): string | undefined {
  return count === 0 ? undefined : `${count} ${noun}${count === 1 ? "" : "s"}`;
}
