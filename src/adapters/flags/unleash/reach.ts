/** What a token may do in Unleash besides flipping the flags it is for. */
import type { Me, Permission } from "./shapes.ts";

/** With these a flag can be taken away or put elsewhere. */
const ENDS: Readonly<Record<string, string>> = {
  DELETE_FEATURE: "archive and delete flags",
  MOVE_FEATURE_TOGGLE: "move flags to another project",
  DELETE_PROJECT: "delete the project",
};
const FLIPS: readonly string[] = [
  "UPDATE_FEATURE_ENVIRONMENT",
  "CREATE_FEATURE_STRATEGY",
  "UPDATE_FEATURE_STRATEGY",
  "DELETE_FEATURE_STRATEGY",
];

/** Sentences for a warning; none for a token that can only flip in this project and environment. */
export function reachOf(
  { permissions }: Me,
  {
    project,
    environment,
    setting,
  }: { readonly project: string; readonly environment: string; readonly setting: string },
): readonly string[] {
  const advice = `a personal access token of a user who may only change ${environment} of project ${project} is enough`;
  if (permissions.some(({ permission }) => permission === "ADMIN"))
    return [
      `the token in ${setting} is an admin token: it can delete flags and change every project and environment of Unleash; ${advice}`,
    ];
  const ends = Object.entries(ENDS).flatMap(([name, what]) =>
    permissions.some(({ permission }) => permission === name) ? [what] : [],
  );
  const others = placesOf(permissions.filter(({ permission }) => FLIPS.includes(permission))).filter(
    (place) => place !== placeOf(project, environment),
  );
  return [
    ...(ends.length === 0 ? [] : [`the token in ${setting} can ${ends.join(", ")} in Unleash; ${advice}`]),
    ...(others.length === 0
      ? []
      : [`the token in ${setting} can also change ${others.join(", ")} in Unleash; ${advice}`]),
  ];
}

function placesOf(permissions: readonly Permission[]): readonly string[] {
  return [
    ...new Set(permissions.map(({ project, environment }) => placeOf(project, environment))),
  ].toSorted();
}

function placeOf(project: string | null | undefined, environment: string | null | undefined): string {
  const isAll = (word: string | null | undefined): boolean =>
    word === undefined || word === null || word === "" || word === "*";
  return `${isAll(environment) ? "every environment" : environment} of ${isAll(project) ? "every project" : `project ${project}`}`;
}
