/** Loads a folder of flags/, schedules/ and runbooks/ into plans, with every mistake of every file and its place. */
import { realpath } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import type { Catalogue } from "../../core/files/catalogue.ts";
import { compile } from "../../core/files/compile.ts";
import { type Mistake, mistake } from "../../core/files/mistake.ts";
import { type Overlay, overlaySchema } from "../../core/files/overlay-file.ts";
import type { CheckProvider } from "../../core/files/provider.ts";
import { type ScheduleFile, scheduleSchema } from "../../core/files/schedule-file.ts";
import type { Pace } from "../../core/files/stages.ts";
import type { Plan } from "../../core/plan.ts";
import type { WatchPlan } from "../../core/watch/plan.ts";
import { cataloguesFrom, type FlagsEntry } from "./catalogues.ts";
import { isFileInside, namesIn, readFiles, readText } from "./disk.ts";
import { doubled } from "./doubled.ts";
import { inOrder, ofWholeFile, type Problem } from "./problem.ts";
import { inspect } from "./promql.ts";
import { isError, parsed, placed, type Shaped, shaped } from "./shaped.ts";
import { isWatch, watchesFrom } from "./watches.ts";

const YAML = [".yaml", ".yml"];

export interface LoadOptions {
  /** Checks the entries of providers. */
  readonly provider: CheckProvider;
  /**
   * A file whose provider, view, Prometheus, Alertmanager, polls and windows replace those of every flags file, and whose addresses replace
   * those of the watches it names; the other watches are left out. With a mistake in it, nothing is loaded.
   */
  readonly overlay?: string | undefined;
  /** How planned time passes; as planned when not given. */
  readonly pace?: Pace | undefined;
  /** Poll interval (ms) of guards that name none. */
  readonly intervalMs?: number | undefined;
}

export interface Loaded {
  /** Plans without an error, by rollout. */
  readonly plans: ReadonlyMap<string, Plan>;
  /** Watches without an error, by name. */
  readonly watches: ReadonlyMap<string, WatchPlan>;
  /** Flags files without an error, by the stem of their name. */
  readonly catalogues: ReadonlyMap<string, Catalogue>;
  /** Errors and warnings of all files, by file, line and column. */
  readonly problems: readonly Problem[];
}

const NOTHING: Omit<Loaded, "problems"> = { plans: new Map(), watches: new Map(), catalogues: new Map() };

/** Reads DIR/flags, DIR/schedules and the names in DIR/runbooks. Never rejects for what is in them; a bad file leaves the others loaded. */
export async function readHouse(dir: string, options: LoadOptions): Promise<Loaded> {
  const problems: Problem[] = [];
  const overlay =
    options.overlay === undefined
      ? undefined
      : await readOverlay(dir, options.overlay, options.provider, problems);
  if (!(await exists(dir)))
    return { ...NOTHING, problems: [ofWholeFile(".", "there is no such folder"), ...problems] };
  const flagsFiles = await readFiles(dir, "flags", YAML);
  const scheduleFiles = await readFiles(dir, "schedules", YAML);
  problems.push(...flagsFiles.problems, ...scheduleFiles.problems);
  const entries = cataloguesFrom(
    flagsFiles.files,
    overlay?.data ?? {},
    { provider: options.provider, intervalMs: options.intervalMs },
    problems,
  );
  const runbooks = await runbooksIn(dir);
  const files = scheduleFiles.files.flatMap((source) => parsed(source, problems) ?? []);
  const rollouts = files.filter((file) => !isWatch(file));
  const plans = plansFrom(rollouts, { entries, runbooks, pace: options.pace, problems });
  const watches = watchesFrom(files.filter(isWatch), { entries, runbooks, overlay, problems });
  const whole = [...entries].flatMap(([stem, { catalogue, sound }]): [string, Catalogue][] =>
    catalogue === undefined || !sound ? [] : [[stem, catalogue]],
  );
  // What a broken overlay was to replace could be production's own flags and units: then nothing may be loaded.
  const broken =
    options.overlay !== undefined &&
    (overlay === undefined || problems.some((one) => one.file === overlay.source.file && isError(one)));
  const loaded = broken ? NOTHING : { plans, watches, catalogues: new Map(whole) };
  return { ...loaded, problems: inOrder(problems) };
}

async function exists(dir: string): Promise<boolean> {
  return (await namesIn(dir, ".", [""])) !== undefined;
}

/** Undefined when the overlay has a mistake. */
async function readOverlay(
  dir: string,
  path: string,
  check: CheckProvider,
  problems: Problem[],
): Promise<Shaped<Overlay> | undefined> {
  const below = relative(await realpath(dir).catch(() => dir), await realpath(path).catch(() => path));
  const file = below.startsWith("..") || below === "" ? path : below.split(sep).join("/");
  const text = await readText(path, file);
  if (typeof text !== "string") {
    problems.push(text);
    return undefined;
  }
  const yaml = parsed({ file, stem: file, text }, problems);
  const overlay = yaml === undefined ? undefined : shaped(yaml, overlaySchema, problems);
  if (overlay?.data.provider === undefined) return overlay;
  const checked = check(overlay.data.provider);
  if (checked.kind === "sound") return overlay;
  for (const one of checked.mistakes)
    problems.push(placed({ ...one, path: ["provider", ...one.path] }, overlay.source, overlay.yaml));
  return undefined;
}

/** The runbooks by name, with and without their ending. */
async function runbooksIn(dir: string): Promise<ReadonlySet<string>> {
  const names = (await namesIn(dir, "runbooks", [".md"])) ?? [];
  const found = await Promise.all(names.map((name) => isFileInside(dir, join(dir, "runbooks", name))));
  return new Set(
    names.filter((_, index) => found[index]).flatMap((name) => [name, name.slice(0, -".md".length)]),
  );
}

interface ScheduleContext {
  readonly entries: ReadonlyMap<string, FlagsEntry>;
  readonly runbooks: ReadonlySet<string>;
  readonly pace: Pace | undefined;
  readonly problems: Problem[];
}

function plansFrom(files: readonly Shaped<unknown>[], context: ScheduleContext): ReadonlyMap<string, Plan> {
  const schedules = files.flatMap((file) => shaped(file, scheduleSchema, context.problems) ?? []);
  const twins = doubled(schedules.map(({ data, source }) => [data.rollout, source.file]));
  return new Map(
    schedules.flatMap((schedule): [string, Plan][] => {
      const plan = planFrom(schedule, twins.get(schedule.data.rollout) ?? [], context);
      return plan === undefined ? [] : [[plan.rollout, plan]];
    }),
  );
}

function queryMistakes(path: Mistake["path"], query: string): readonly Mistake[] {
  return inspect(query).faults.map(({ message, offset }) => ({ path, message, offset, level: "error" }));
}

/** The plan of a schedule; undefined, with problems, when the schedule or its flags file has an error. */
function planFrom(
  { data, source, yaml }: Shaped<ScheduleFile>,
  twins: readonly string[],
  context: ScheduleContext,
): Plan | undefined {
  const stem = data.flags ?? data.rollout;
  const entry = context.entries.get(stem);
  const mistakes: Mistake[] = [];
  const others = twins.filter((file) => file !== source.file);
  if (others.length > 0)
    mistakes.push(mistake(["rollout"], `rollout ${data.rollout} is defined in ${others.join(", ")} too`));
  if (data.runbook !== undefined && !context.runbooks.has(data.runbook)) {
    mistakes.push(
      mistake(
        ["runbook"],
        `expected a runbook in runbooks/, found no ${data.runbook.replace(/\.md$/, "")}.md there`,
      ),
    );
  }
  if (entry === undefined) {
    const known = [...context.entries.keys()].join(", ") || "none";
    mistakes.push(
      mistake(
        [data.flags === undefined ? "rollout" : "flags"],
        `expected a file in flags/ (${known}), found no flags/${stem}.yaml`,
      ),
    );
  }
  if (data.progress !== undefined)
    mistakes.push(...queryMistakes(["progress", "query"], data.progress.query));
  const compiled = entry?.catalogue === undefined ? undefined : compile(data, entry.catalogue, context.pace);
  mistakes.push(...(compiled?.mistakes ?? []));
  context.problems.push(...mistakes.map((one) => placed(one, source, yaml)));
  return mistakes.some(isError) || entry?.sound !== true ? undefined : compiled?.plan;
}
