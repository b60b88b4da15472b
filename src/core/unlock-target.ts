/** What `unlock` is about: the flags of a stage, or one flag, that a rollback locked. */
import { type Parsed, shorten } from "./command.ts";
import { flagsOfStage, type Plan, stageIndex } from "./plan.ts";
import { type Refusal, refuse } from "./refusal.ts";
import type { Ask } from "./rollout/ask.ts";
import type { State } from "./rollout/state.ts";
import { keyToName, scopeOf } from "./stage-names.ts";

interface Locking {
  readonly plan: Plan;
  readonly state: State;
}

/** `runs`: all that may lock a flag, oldest first; the newest one that does is meant. */
export function resolveUnlock(
  parsed: Parsed,
  runs: readonly Locking[],
): { readonly kind: "ask"; readonly run: string; readonly ask: Ask } | Refusal {
  const [name] = parsed.words;
  if (name === undefined)
    return refuse("bad_value", 'unlock which stage or flag? Usage: `/rollout unlock STAGE because "..."`');
  const env = parsed.options.get("env");
  const wanted = parsed.options.get("run");
  const locked = runs.filter(
    ({ plan, state }) =>
      Object.keys(state.latched).length > 0 &&
      (wanted === undefined || state.run === wanted || state.rollout === wanted) &&
      (env === undefined || plan.environment === env),
  );
  const hits = locked.flatMap((run) => {
    const flags = lockedFlags(run, name);
    return flags.length === 0 ? [] : [{ run, flags }];
  });
  const hit = hits.at(-1);
  if (hit === undefined) {
    const flags = [...new Set(locked.flatMap(({ state }) => Object.keys(state.latched)))];
    return refuse(
      "not_locked",
      `\`${shorten(name)}\` is not locked. Locked now: ${flags.join(", ") || "nothing"}.`,
    );
  }
  const owners = [...new Set(hits.map(({ run }) => run.state.rollout))];
  if (owners.length > 1)
    return refuse(
      "ambiguous",
      `\`${shorten(name)}\` is locked in ${owners.join(" and ")}. Say which: \`/rollout unlock ${owners[0] ?? ""}/${shorten(name)} because "..."\``,
    );
  if (parsed.because === undefined) {
    return refuse(
      "missing_reason",
      `say why it is safe again: \`/rollout unlock ${shorten(name)} because "..."\``,
    );
  }
  const { run, flags } = hit;
  return { kind: "ask", run: run.state.run, ask: { kind: "unlock", flags, because: parsed.because } };
}

function lockedFlags({ plan, state }: Locking, name: string): readonly string[] {
  const [scope, bare] = scopeOf(name);
  if (scope !== undefined && scope.toLowerCase() !== state.rollout) return [];
  const index = stageIndex(plan, bare.toLowerCase());
  const stage = plan.stages[index];
  const flags = stage === undefined ? [keyToName(plan, bare)] : flagsOfStage(stage);
  return flags.filter((flag) => Object.hasOwn(state.latched, flag));
}
