/** The provider `env-file`: environment files that services read when they start, each with what restarts for it. */
import { z } from "zod";
import { positive, type RestartEntry, restartShape } from "../../../core/files/flags-file.ts";
import { SECOND } from "../../../core/time.ts";
import type { Flags } from "../../../engine/ports.ts";
import { createEnvFileStore } from "../env-file.ts";
import { createEnvInstancesStore } from "../env-instances.ts";
import { defineProvider, type OpenContext, shared } from "../provider.ts";

const DEFAULT_RESTART_MS = 30 * SECOND;

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
      const message = "expected path and restart, or instances: a list of { path, restart }";
      context.addIssue({ code: "custom", message });
    });
}

const schema = shape(positive);
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

const stores = shared<Flags>();

function openOne(
  { path, restart: unit }: Instance,
  withinMs: number,
  answers: boolean,
  context: OpenContext,
): Flags {
  return stores(context.scope, path, () =>
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
  }),
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
    const all = JSON.stringify(instances.map(({ path }) => path));
    return stores(context.scope, all, () => createEnvInstancesStore(each));
  },
});
