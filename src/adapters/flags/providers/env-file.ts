/** The provider `env-file`: environment files that services read when they start, each with what restarts for it. */
import { normalize } from "node:path";
import { z } from "zod";
import {
  DEFAULT_STOP_TIMEOUT_MS,
  positive,
  type RestartEntry,
  restartShape,
} from "../../../core/files/flags-file.ts";
import { type Mistake, warning } from "../../../core/files/mistake.ts";
import { formatDuration, SECOND } from "../../../core/time.ts";
import type { Flags } from "../../../engine/ports.ts";
import { createEnvFileStore } from "../env-file.ts";
import { createEnvInstancesStore } from "../env-instances.ts";
import { defineProvider, type OpenContext, shared } from "../provider.ts";

const DEFAULT_RESTART_MS = 30 * SECOND;
/** A process that is given less to start after its stop could hardly be up. */
const LEAST_START_MS = 2 * SECOND;

/** `time`: a duration as people write it, or ms in a plan. */
function shape<T extends z.ZodType<number>>(time: T) {
  const restart = restartShape(time);
  return z
    .strictObject({
      kind: z.literal("env-file"),
      path: z.string().min(1).optional(),
      restart: restart.optional(),
      /** Several hosts or replicas, each with its own file: forward one after the other, back all at once. */
      instances: z
        .array(z.strictObject({ path: z.string().min(1), restart }))
        .min(1, "expected at least one instance")
        .max(50, "expected at most 50 instances")
        .optional(),
      restart_within: time.optional(),
    })
    .superRefine(({ path, restart: unit, instances }, context) => {
      const isOne = path !== undefined && unit !== undefined && instances === undefined;
      const isList = instances !== undefined && path === undefined && unit === undefined;
      if (isOne || isList) return;
      const [key, message] = muddled({ path, unit, instances });
      context.addIssue({ code: "custom", message, path: [key], params: { atKey: true } });
    });
}

/** The key at fault of an entry that is neither one file nor a list of them, and why. */
function muddled(given: {
  readonly path?: unknown;
  readonly unit?: unknown;
  readonly instances?: unknown;
}): readonly [key: string, message: string] {
  const { path, unit, instances } = given;
  if (instances !== undefined) {
    const [key, other] = path === undefined ? ["restart", "restart"] : ["instances", "path"];
    const each = key === "restart" ? ": each instance has its own" : "";
    return [key, `\`${other}\` and \`instances\` exclude each other${each}`];
  }
  if (path !== undefined) return ["path", "`restart` is missing beside `path`"];
  if (unit !== undefined) return ["restart", "`path` is missing beside `restart`"];
  return ["kind", "expected `path` and `restart`, or `instances`: a list of { path, restart }"];
}

/** Files alone: a plan that has begun must be able to go back whatever this version thinks of it. */
const schema = shape(positive).superRefine(({ instances = [] }, context) => {
  const places = instances.map(({ path, restart: unit }) => ({
    path: normalize(path),
    ...(typeof unit === "string" ? { unit } : { pidfile: normalize(unit.process.pidfile) }),
  }));
  for (const [index, place] of places.entries())
    for (const [what, text] of Object.entries(place)) {
      const twin = places.findIndex((other) =>
        Object.entries(other).some(([a, b]) => a === what && b === text),
      );
      if (twin === index) continue;
      const at =
        { path: ["path"], unit: ["restart"], pidfile: ["restart", "process", "pidfile"] }[what] ?? [];
      const message = `instance ${index + 1} has the ${what} of instance ${twin + 1}: expected one of its own for each`;
      context.addIssue({ code: "custom", message, path: ["instances", index, ...at] });
    }
});
type Entry = z.output<typeof schema>;

interface Instance {
  readonly path: string;
  readonly restart: RestartEntry;
}

/** The environment files with what restarts for each; a single one may be written without a list. */
function instancesOf({ instances, path, restart: unit }: Entry): readonly Instance[] {
  if (instances !== undefined) return instances;
  return path === undefined || unit === undefined ? [] : [{ path, restart: unit }];
}

/** A restart is its stop and its start: one whose stop may last for all of its time is called failed, and what was written is taken back. */
function restartWarnings({ restart_within, ...entry }: Entry): readonly Mistake[] {
  const restartMs = restart_within ?? DEFAULT_RESTART_MS;
  const stops = instancesOf(entry).flatMap(({ restart: unit }, index) => {
    if (typeof unit === "string") return [];
    const { stop_timeout: stopMs = DEFAULT_STOP_TIMEOUT_MS } = unit.process;
    const path = [...(entry.instances === undefined ? [] : ["instances", index]), "restart", "process"];
    return [{ path: restart_within === undefined ? path : ["restart_within"], stopMs }];
  });
  const late = stops
    .filter(({ stopMs }) => restartMs < stopMs + LEAST_START_MS)
    .toSorted((a, b) => b.stopMs - a.stopMs);
  const told = late.map(({ path, stopMs }) =>
    warning(
      path,
      `a process that takes all of its stop_timeout (${formatDuration(stopMs)}) would not be up again within restart_within (${formatDuration(restartMs)}), and what was written would be taken back: expected a restart_within of at least ${formatDuration(stopMs + LEAST_START_MS)}`,
    ),
  );
  // One place in the file, one warning: that of the slowest.
  return restart_within === undefined ? told : told.slice(0, 1);
}

const stores = shared<Flags>();

function openOne(
  { path, restart: unit }: Instance,
  withinMs: number,
  answers: boolean,
  context: OpenContext,
): Flags {
  // Two files may name one environment file that several units read: each restarts its own.
  return stores(context.scope, JSON.stringify([path, unit]), () =>
    createEnvFileStore({
      path,
      target: context.target(unit, path, { withinMs, answers }),
      restartWithinMs: withinMs,
      stateDir: context.stateDir,
    }),
  );
}

export const provider = defineProvider<Entry>({
  kind: "env-file",
  schema,
  frozen: shape(z.number().positive()),
  facts: ({ restart_within: restartMs = DEFAULT_RESTART_MS, ...entry }) => ({
    percent: false,
    variables: true,
    restarts: true,
    sdk: false,
    limits: { flipMs: 2 * SECOND, restartMs, restartsInTurn: instancesOf(entry).length },
    files: instancesOf(entry).map(({ path }) => normalize(path)),
  }),
  warnings: restartWarnings,
  open(entry, context) {
    const within = entry.restart_within ?? DEFAULT_RESTART_MS;
    const instances = instancesOf(entry);
    // Of several, the view does not say which one answers.
    const isAlone = instances.length === 1;
    const each = instances.map((one) => ({
      name: one.path,
      flags: openOne(one, within, isAlone, context),
    }));
    const [only, ...others] = each;
    if (only !== undefined && others.length === 0) return only.flags;
    // One for all rollouts: a way back of one makes the forward step of another give way.
    const all = JSON.stringify(instances);
    return stores(context.scope, all, () => createEnvInstancesStore(each));
  },
});
