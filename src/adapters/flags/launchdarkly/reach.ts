/** What the token may do besides flipping the flags of one environment: each a sentence for a warning at the start. */
import type { Api } from "./api.ts";
import type { Statement, TokenShape } from "./shapes.ts";
import type { Writers } from "./writers.ts";

/** Stands for any flag, and for any other project. */
const [SOME_FLAG, OTHER_PROJECT] = ["belay-any-flag", "belay-any-other-project"];

/** Rejects with an `OutsideFault` when LaunchDarkly cannot be asked; a token that may not ask is a sentence. */
export async function reachOf(api: Api, writers: Writers, until: number): Promise<readonly string[]> {
  const { environment } = api.place;
  const id = await writers.ownTokenId(until);
  const token = id === undefined ? undefined : await api.token(id, until).catch(orUnknown);
  if (token === undefined)
    return [
      `LaunchDarkly does not tell Belay's token what it may do: see to it that it may only change flags in ${environment}.`,
    ];
  const name = `Belay's token in LaunchDarkly${token.name === undefined ? "" : ` (${token.name})`}`;
  const { customRoleIds, inlineRole, role } = token;
  if (inlineRole !== undefined && inlineRole !== null && inlineRole.length > 0)
    return statementsReach(name, inlineRole, api, until);
  if (customRoleIds !== undefined && customRoleIds !== null && customRoleIds.length > 0)
    return [
      `${name} has its rights from roles that Belay does not read (${customRoleIds.join(", ")}): see to it that they only change flags in ${environment}.`,
    ];
  return roleReach(name, role, environment);
}

function orUnknown(error: unknown): TokenShape | undefined {
  if (error instanceof Error && "recoverable" in error && error.recoverable === false) return undefined;
  throw error;
}

function roleReach(name: string, role: string | null | undefined, environment: string): readonly string[] {
  if (role === "reader") return [];
  const advice = `give it a role of its own with updateOn, updateFallthrough and updateOffVariation in ${environment}`;
  return [
    `${name} has the role ${role ?? "of its owner"}: it can delete flags, in every project; ${advice}.`,
    `${name} has the role ${role ?? "of its owner"}: it can change flags in all environments, not only in ${environment}.`,
  ];
}

async function statementsReach(
  name: string,
  statements: readonly Statement[],
  api: Api,
  until: number,
): Promise<readonly string[]> {
  const { project, environment } = api.place;
  const may = (action: string, ofProject: string, inEnvironment: string): boolean =>
    isAllowed(statements, action, `proj/${ofProject}:env/${inEnvironment}:flag/${SOME_FLAG}`);
  const sentences: string[] = [];
  if (may("deleteFlag", project, environment))
    sentences.push(`${name} can delete flags of ${project}: take deleteFlag from its role.`);
  // Without the right to read the project its environments are not known, and then none is named.
  const others = ((await api.environments(until).catch(orUnknownList)) ?? []).filter(
    (other) => other !== environment && may("updateOn", project, other),
  );
  if (others.length > 0)
    sentences.push(
      `${name} can change flags in ${others.join(", ")}, not only in ${environment}: name the environment in its role.`,
    );
  if (may("updateOn", OTHER_PROJECT, environment))
    sentences.push(
      `${name} can change flags of other projects, not only of ${project}: name the project in its role.`,
    );
  return sentences;
}

function orUnknownList(error: unknown): readonly string[] {
  if (error instanceof Error && "recoverable" in error && error.recoverable === false) return [];
  throw error;
}

/** A denial wins over every permission, and what no statement mentions is denied. */
function isAllowed(statements: readonly Statement[], action: string, resource: string): boolean {
  const fitting = statements.filter(
    ({ actions, notActions, resources, notResources }) =>
      fits(actions, notActions, (pattern) => globFits(pattern, action)) &&
      fits(resources, notResources, (pattern) => specifierFits(pattern, resource)),
  );
  return fitting.length > 0 && fitting.every(({ effect }) => effect === "allow");
}

type Patterns = readonly string[] | null | undefined;

function fits(named: Patterns, spared: Patterns, does: (pattern: string) => boolean): boolean {
  if (named !== undefined && named !== null && named.length > 0) return named.some(does);
  return spared !== undefined && spared !== null && spared.length > 0 && !spared.some(does);
}

/** Tags behind `;` narrow a specifier to flags that Belay does not know of, so they are left out. */
function specifierFits(specifier: string, resource: string): boolean {
  const [wanted, given] = [specifier.split(":"), resource.split(":")];
  if (specifier === "*") return true;
  return (
    wanted.length === given.length &&
    wanted.every((part, index) => globFits(part.split(";")[0] ?? "", given[index] ?? ""))
  );
}

function globFits(pattern: string, text: string): boolean {
  const [first = "", ...others] = pattern.split("*");
  if (others.length === 0) return pattern === text;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const [index, part] of others.entries()) {
    const isLast = index === others.length - 1;
    const found = isLast ? text.length - part.length : text.indexOf(part, at);
    if (found < at || !text.startsWith(part, found)) return false;
    at = found + part.length;
  }
  return true;
}
