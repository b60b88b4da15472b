/** Stages by name: how a typed NAME finds its stage, and what is said when it finds none or several. */
import { nearest, shorten } from "./command.ts";
import { type Plan, stageIndex, stageOfFlag } from "./plan.ts";
import { type Offer, type Refusal, refuse } from "./refusal.ts";

/** A plan in which a NAME is looked for. */
export interface Place {
  readonly rollout: string;
  readonly plan: Plan;
}

export type Hit<P extends Place> = P & { readonly stage: number };

/** `rollout/stage` as its two parts; a bare name has no scope. */
export function scopeOf(name: string): readonly [string | undefined, string] {
  const slash = name.indexOf("/");
  return slash < 0 ? [undefined, name] : [name.slice(0, slash), name.slice(slash + 1)];
}

/** `FEATURE_PARALLEL` means the flag whose key that is. */
export function keyToName(plan: Plan, name: string): string {
  return Object.values(plan.flags).find((flag) => flag.key === name)?.name ?? name.toLowerCase();
}

/** Stages meant by NAME, all equally good: exact stage names before flag names before unique beginnings, wherever they are found. */
export function findStages<P extends Place>(name: string, places: readonly P[]): readonly Hit<P>[] {
  const [scope, bare] = scopeOf(name);
  const low = bare.toLowerCase();
  const eligible = places.filter(({ rollout }) => scope === undefined || rollout === scope.toLowerCase());
  const hits = (find: (plan: Plan) => number): Hit<P>[] =>
    eligible.map((place) => ({ ...place, stage: find(place.plan) })).filter((hit) => hit.stage >= 0);
  const exact = hits((plan) => stageIndex(plan, low));
  if (exact.length > 0) return exact;
  const flag = hits((plan) => stageOfFlag(plan, keyToName(plan, bare)));
  if (flag.length > 0) return flag;
  if (low.length < 2) return [];
  return eligible.flatMap((place) =>
    place.plan.stages.flatMap((stage, index) =>
      stage.name.startsWith(low) ? [{ ...place, stage: index }] : [],
    ),
  );
}

/** What was to be done with the stage: `verb` as typed, and what else belongs to the command. */
export interface Doing {
  readonly verb: "enable" | "rollback" | "rollback to";
  readonly rest: readonly string[];
}

function offerOf({ verb, rest }: Doing, name: string): Offer {
  const command = ["rollout", verb, name, ...rest].join(" ");
  switch (verb) {
    case "enable":
      return { label: `Enable ${name}`, command, confirm: `Enable ${name}?` };
    case "rollback":
      return { label: `Roll back ${name}`, command, confirm: `Take back ${name} and everything newer?` };
    case "rollback to":
      return { label: `Roll back to ${name}`, command, confirm: `Take back everything newer than ${name}?` };
  }
}

/** No stage and no flag is called so; the nearest one is offered. */
export function unknownStage(doing: Doing, name: string, places: readonly Place[]): Refusal {
  const names = [
    ...new Set(
      places.flatMap(({ plan }) => [...plan.stages.map((stage) => stage.name), ...Object.keys(plan.flags)]),
    ),
  ];
  const near = nearest(scopeOf(name)[1].toLowerCase(), names);
  if (near === undefined)
    return refuse(
      "unknown_stage",
      `there is no stage or flag \`${shorten(name)}\`. Known: ${names.slice(0, 20).join(", ") || "none"}.`,
    );
  return refuse(
    "unknown_stage",
    `there is no stage or flag \`${shorten(name)}\`; did you mean \`${near}\`?`,
    [offerOf(doing, near)],
  );
}

/** Several stages could be meant: asks which. */
export function several(doing: Doing, name: string, hits: readonly Hit<Place>[]): Refusal {
  const names = hits.map((hit) => `${hit.rollout}/${hit.plan.stages[hit.stage]?.name ?? ""}`);
  return refuse(
    "ambiguous",
    `\`${shorten(name)}\` could be ${names.join(" or ")}. Say which: \`/rollout ${doing.verb} ${names[0] ?? ""}\``,
    names.slice(0, 5).map((one) => offerOf(doing, one)),
  );
}
