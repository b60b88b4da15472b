/** Loads a folder of flags/, schedules/ and runbooks/ into plans, with every mistake of every file and its place. */
import { realpath } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import type { z } from "zod";
import { type Catalogue, catalogueFrom } from "../../core/files/catalogue.ts";
import { compile } from "../../core/files/compile.ts";
import { flagsFileSchema, type Overlay, overlaySchema } from "../../core/files/flags-file.ts";
import { fromZod, type Mistake, mistake } from "../../core/files/mistake.ts";
import { type ScheduleFile, scheduleSchema } from "../../core/files/schedule-file.ts";
import type { Pace } from "../../core/files/stages.ts";
import type { Plan } from "../../core/plan.ts";
import { isFileInside, namesIn, readFiles, readText, type SourceFile } from "./disk.ts";
import { inexactLiterals, queryMistakes } from "./literals.ts";
import { withOverlay } from "./overlay.ts";
import { inOrder, ofWholeFile, type Problem } from "./problem.ts";
import { readYaml, type YamlFile } from "./yaml-file.ts";

const YAML = [".yaml", ".yml"];

export interface LoadOptions {
  /** A file whose provider, view, Prometheus, polls and windows replace those of every flags file. With a mistake in it, nothing is loaded. */
  readonly overlay?: string | undefined;
  /** How planned time passes; as planned when not given. */
  readonly pace?: Pace | undefined;
  /** Poll interval (ms) of guards that name none. */
  readonly intervalMs?: number | undefined;
}

export interface Loaded {
  /** Plans without an error, by rollout. */
  readonly plans: ReadonlyMap<string, Plan>;
  /** Flags files without an error, by the stem of their name. */
  readonly catalogues: ReadonlyMap<string, Catalogue>;
  /** Errors and warnings of all files, by file, line and column. */
  readonly problems: readonly Problem[];
}

/** A YAML file that has the right shape, as data of type T. */
interface Shaped<T> {
  readonly source: SourceFile;
  readonly yaml: YamlFile;
  readonly data: T;
}

/** Reads DIR/flags, DIR/schedules and the names in DIR/runbooks. Never rejects for what is in them; a bad file leaves the others loaded. */
export async function loadFolder(dir: string, options: LoadOptions = {}): Promise<Loaded> {
  const problems: Problem[] = [];
  const overlay = options.overlay === undefined ? {} : await readOverlay(dir, options.overlay, problems);
  if (!(await exists(dir)))
    return {
      plans: new Map(),
      catalogues: new Map(),
      problems: [ofWholeFile(".", "there is no such folder"), ...problems],
    };
  const flagsFiles = await readFiles(dir, "flags", YAML);
  const scheduleFiles = await readFiles(dir, "schedules", YAML);
  problems.push(...flagsFiles.problems, ...scheduleFiles.problems);
  const catalogues = cataloguesFrom(flagsFiles.files, overlay ?? {}, options, problems);
  const schedules = scheduleFiles.files.flatMap((source) => shaped(source, scheduleSchema, problems) ?? []);
  const context: ScheduleContext = {
    catalogues,
    doubled: doubledRollouts(schedules),
    runbooks: await runbooksIn(dir),
    pace: options.pace,
    problems,
  };
  const plans = schedules.flatMap((schedule): [string, Plan][] => {
    const plan = planFrom(schedule, context);
    return plan === undefined ? [] : [[plan.rollout, plan]];
  });
  const whole = [...catalogues].flatMap(([stem, { catalogue, sound }]): [string, Catalogue][] =>
    catalogue === undefined || !sound ? [] : [[stem, catalogue]],
  );
  // What a broken overlay was to replace could be production's own flags: then nothing may be loaded.
  if (overlay === undefined) return { plans: new Map(), catalogues: new Map(), problems: inOrder(problems) };
  return { plans: new Map(plans), catalogues: new Map(whole), problems: inOrder(problems) };
}

async function exists(dir: string): Promise<boolean> {
  return (await namesIn(dir, ".", [""])) !== undefined;
}

/** Undefined when the overlay has a mistake. */
async function readOverlay(dir: string, path: string, problems: Problem[]): Promise<Overlay | undefined> {
  const below = relative(await realpath(dir).catch(() => dir), await realpath(path).catch(() => path));
  const file = below.startsWith("..") || below === "" ? path : below.split(sep).join("/");
  const text = await readText(path, file);
  if (typeof text !== "string") {
    problems.push(text);
    return undefined;
  }
  return shaped({ file, stem: file, text }, overlaySchema, problems)?.data;
}

/** The file as data of its schema; undefined, with problems, when it is no YAML or has another shape. */
function shaped<S extends z.ZodType>(
  source: SourceFile,
  schema: S,
  problems: Problem[],
): Shaped<z.output<S>> | undefined {
  const yaml = readYaml(source.text);
  problems.push(...yaml.faults.map((fault): Problem => ({ file: source.file, level: "error", ...fault })));
  if (yaml.faults.length > 0) return undefined;
  const literals = inexactLiterals(yaml);
  problems.push(...literals.map((one) => placed(one, source, yaml)));
  const parsed = schema.safeParse(yaml.data);
  if (parsed.success) return literals.length > 0 ? undefined : { source, yaml, data: parsed.data };
  const unknownKeys = new Set(
    parsed.error.issues.flatMap((issue) =>
      issue.code === "unrecognized_keys" ? issue.keys.map((key) => JSON.stringify([...issue.path, key])) : [],
    ),
  );
  for (const one of fromZod(parsed.error, yaml.data))
    problems.push(placed(one, source, yaml, unknownKeys.has(JSON.stringify(one.path))));
  for (const one of queryMistakes(yaml.data)) problems.push(placed(one, source, yaml));
  return undefined;
}

function placed(
  { path, message, level, offset }: Mistake,
  { file }: SourceFile,
  yaml: YamlFile,
  atKey = false,
): Problem {
  return { file, ...yaml.place(path, { atKey, offset }), message, level };
}

interface Entry {
  /** There as soon as the file has the right shape, so that schedules can be checked against it. */
  readonly catalogue: Catalogue | undefined;
  readonly sound: boolean;
}

function cataloguesFrom(
  sources: readonly SourceFile[],
  overlay: Overlay,
  options: LoadOptions,
  problems: Problem[],
): ReadonlyMap<string, Entry> {
  const entries = new Map<string, Entry>();
  const intervalMs = overlay.interval ?? options.intervalMs;
  for (const source of sources) {
    const twin = sources.find((other) => other.stem === source.stem && other.file !== source.file);
    if (twin !== undefined)
      problems.push(
        ofWholeFile(source.file, `${twin.file} has the same name: expected one file of each name`),
      );
    const file = shaped(source, flagsFileSchema, problems);
    if (file === undefined) {
      entries.set(source.stem, { catalogue: undefined, sound: false });
      continue;
    }
    const overlaid = withOverlay(file.data, overlay);
    const { catalogue, mistakes } = catalogueFrom(source.stem, overlaid.file, {
      inspect: overlaid.inspect,
      ...(intervalMs === undefined ? {} : { intervalMs }),
    });
    problems.push(...mistakes.map((one) => placed(one, source, file.yaml)));
    entries.set(source.stem, { catalogue, sound: twin === undefined && !mistakes.some(isError) });
  }
  return entries;
}

function isError({ level }: Pick<Mistake, "level">): boolean {
  return level === "error";
}

/** Rollouts that more than one file defines, with those files: none of them is loaded, since nobody could say which is meant. */
function doubledRollouts(schedules: readonly Shaped<ScheduleFile>[]): ReadonlyMap<string, readonly string[]> {
  const files = new Map<string, readonly string[]>();
  for (const { data, source } of schedules)
    files.set(data.rollout, [...(files.get(data.rollout) ?? []), source.file]);
  return new Map([...files].filter(([, defining]) => defining.length > 1));
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
  readonly catalogues: ReadonlyMap<string, Entry>;
  readonly doubled: ReadonlyMap<string, readonly string[]>;
  readonly runbooks: ReadonlySet<string>;
  readonly pace: Pace | undefined;
  readonly problems: Problem[];
}

/** The plan of a schedule; undefined, with problems, when the schedule or its flags file has an error. */
function planFrom(schedule: Shaped<ScheduleFile>, context: ScheduleContext): Plan | undefined {
  const { data, source, yaml } = schedule;
  const stem = data.flags ?? data.rollout;
  const entry = context.catalogues.get(stem);
  const mistakes: Mistake[] = [];
  const others = context.doubled.get(data.rollout)?.filter((file) => file !== source.file) ?? [];
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
    const known = [...context.catalogues.keys()].join(", ") || "none";
    mistakes.push(
      mistake(
        [data.flags === undefined ? "rollout" : "flags"],
        `expected a file in flags/ (${known}), found no flags/${stem}.yaml`,
      ),
    );
  }
  const compiled = entry?.catalogue === undefined ? undefined : compile(data, entry.catalogue, context.pace);
  mistakes.push(...(compiled?.mistakes ?? []));
  context.problems.push(...mistakes.map((one) => placed(one, source, yaml)));
  return mistakes.some(isError) || entry?.sound !== true ? undefined : compiled?.plan;
}
