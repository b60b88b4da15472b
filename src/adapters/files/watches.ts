/** Loads the watches of schedules/ into plans of what is probed, restarted and posted. */
import { compileWatch } from "../../core/files/compile-watch.ts";
import { atKey, type Mistake, mistake } from "../../core/files/mistake.ts";
import type { Overlay } from "../../core/files/overlay-file.ts";
import { type WatchFile, watchSchema } from "../../core/files/watch-file.ts";
import type { WatchPlan } from "../../core/watch/plan.ts";
import type { FlagsEntry } from "./catalogues.ts";
import { doubled } from "./doubled.ts";
import type { Problem } from "./problem.ts";
import { isError, placed, type Shaped, shaped } from "./shaped.ts";
import { type OverlaidWatch, withWatchOverlay } from "./watch-overlay.ts";

export interface WatchContext {
  readonly entries: ReadonlyMap<string, FlagsEntry>;
  /** Names of the runbooks, with and without their ending. */
  readonly runbooks: ReadonlySet<string>;
  readonly overlay: Shaped<Overlay> | undefined;
  readonly problems: Problem[];
}

/** Whether a file of schedules/ is a watch and no rollout. */
export function isWatch({ data }: Shaped<unknown>): boolean {
  return nameOf(data) !== undefined;
}

function nameOf(data: unknown): unknown {
  return typeof data === "object" && data !== null
    ? Object.getOwnPropertyDescriptor(data, "watch")?.value
    : undefined;
}

/**
 * The watches without an error, by name. Under an overlay only those that it names are there: a demo or a staging must not restart what
 * production runs.
 */
export function watchesFrom(
  files: readonly Shaped<unknown>[],
  context: WatchContext,
): ReadonlyMap<string, WatchPlan> {
  const { overlay, problems } = context;
  const watches = files.flatMap((file) => shaped(file, watchSchema, problems) ?? []);
  const twins = doubled(watches.map(({ data, source }) => [data.watch, source.file]));
  const plans = watches.flatMap((watch): [string, WatchPlan][] => {
    const plan = planFrom(watch, twins.get(watch.data.watch) ?? [], context);
    return plan === undefined || !runsUnder(overlay?.data, plan.watch) ? [] : [[plan.watch, plan]];
  });
  if (overlay !== undefined) {
    const known = new Set(files.map(({ data }) => nameOf(data)));
    for (const name of Object.keys(overlay.data.watches ?? {}).filter((one) => !known.has(one)))
      problems.push(
        placed(
          atKey(["watches", name], `expected a watch of schedules/ (${[...known].join(", ") || "none"})`),
          overlay.source,
          overlay.yaml,
        ),
      );
  }
  return new Map(plans);
}

function runsUnder(overlay: Overlay | undefined, watch: string): boolean {
  return overlay === undefined || Object.hasOwn(overlay.watches ?? {}, watch);
}

/** The plan of a watch; undefined, with problems, when the watch, its flags file or what the overlay says of it has an error. */
function planFrom(
  { data, source, yaml }: Shaped<WatchFile>,
  twins: readonly string[],
  context: WatchContext,
): WatchPlan | undefined {
  const stem = data.flags ?? data.watch;
  const entry = context.entries.get(stem);
  const overlaid = withWatchOverlay(data, context.overlay?.data ?? {});
  const others = twins.filter((file) => file !== source.file);
  const compiled =
    entry?.catalogue === undefined
      ? undefined
      : compileWatch(overlaid.file, entry.catalogue, {
          inspect: overlaid.inspect,
          runbooks: context.runbooks,
        });
  const mistakes = [
    ...(others.length === 0
      ? []
      : [mistake(["watch"], `watch ${data.watch} is defined in ${others.join(", ")} too`)]),
    ...(entry === undefined ? [flagsMissing(data, stem, context)] : []),
    ...(compiled?.mistakes ?? []),
  ];
  const problems = [
    ...mistakes.map((one) => placedBy(one, overlaid, { source, yaml }, context.overlay)),
    ...(context.overlay === undefined ? [] : inOverlay(overlaid.mistakes, context.overlay)),
  ];
  context.problems.push(...problems);
  return problems.some(isError) || entry?.sound !== true ? undefined : compiled?.plan;
}

function flagsMissing(data: WatchFile, stem: string, { entries }: WatchContext): Mistake {
  const known = [...entries.keys()].join(", ") || "none";
  return mistake(
    [data.flags === undefined ? "watch" : "flags"],
    `expected a file in flags/ (${known}), found no flags/${stem}.yaml`,
  );
}

function inOverlay(mistakes: readonly Mistake[], overlay: Shaped<Overlay>): readonly Problem[] {
  return mistakes.map((one) => placed(one, overlay.source, overlay.yaml));
}

function placedBy(
  one: Mistake,
  { origin }: OverlaidWatch,
  { source, yaml }: Omit<Shaped<WatchFile>, "data">,
  overlay: Shaped<Overlay> | undefined,
): Problem {
  const path = origin(one.path);
  return path === undefined || overlay === undefined
    ? placed(one, source, yaml)
    : placed({ ...one, path }, overlay.source, overlay.yaml);
}
