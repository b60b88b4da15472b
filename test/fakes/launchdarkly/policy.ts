/** What a token may do: base roles, custom roles and roles of its own, over actions and resource specifiers. */
import type { Rights, Statement } from "./model.ts";

/** Whether the action on the resource is allowed; a denial wins over every permission, and what nobody mentions is denied. */
export function mayDo(
  rights: Rights,
  customRoles: Readonly<Record<string, readonly Statement[]>>,
  action: string,
  resource: string,
): boolean {
  if ("role" in rights) return rights.role !== "reader";
  const statements =
    "inlineRole" in rights ? rights.inlineRole : rights.customRoleIds.flatMap((id) => customRoles[id] ?? []);
  const fitting = statements.filter((statement) => concerns(statement, action, resource));
  return fitting.length > 0 && fitting.every(({ effect }) => effect === "allow");
}

function concerns(statement: Statement, action: string, resource: string): boolean {
  const { actions, notActions = [], resources, notResources = [] } = statement;
  const isAction =
    actions === undefined
      ? !notActions.some((one) => glob(one, action))
      : actions.some((one) => glob(one, action));
  const isResource =
    resources === undefined
      ? !notResources.some((one) => covers(one, resource))
      : resources.some((one) => covers(one, resource));
  return isAction && isResource;
}

/** Whether a specifier such as `proj/*:env/production:flag/*` covers a resource; `*` may also stand in the resource. */
export function covers(specifier: string, resource: string): boolean {
  const wanted = specifier.split(":").map((part) => part.split(";")[0] ?? "");
  const given = resource.split(":").map((part) => part.split(";")[0] ?? "");
  if (wanted.length === 1 && wanted[0] === "*") return true;
  return wanted.length === given.length && wanted.every((part, index) => glob(part, given[index] ?? ""));
}

/** What concerns everything of a kind, such as all environments, concerns each of them. */
function glob(pattern: string, text: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  const concernsAll = text.endsWith("/*") && pattern.startsWith(text.slice(0, -1));
  return concernsAll || new RegExp(`^${parts.join(".*")}$`).test(text);
}
