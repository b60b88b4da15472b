/** Where a person finds the flags of a plan, in words. */
import type { Plan } from "../plan.ts";

/** The files of a flag system that has one per instance. */
function pathsOf(instances: unknown): string | undefined {
  if (!Array.isArray(instances)) return undefined;
  const paths = instances.flatMap((one: { readonly path?: unknown }) =>
    typeof one.path === "string" ? [one.path] : [],
  );
  return paths.length === 0 ? undefined : paths.join(" and ");
}

/** `Unleash at http://..., project default, environment production`, `/etc/ingestion/features.env`: the flag system and the place in it. */
export function placeOf({ environment, outside }: Plan): string {
  const { provider } = outside;
  const text = (key: string): string | undefined => {
    const value = provider[key];
    return typeof value === "string" ? value : undefined;
  };
  const path = text("path") ?? pathsOf(provider["instances"]);
  if (path !== undefined) return path;
  if (provider.kind === "file") return "Belay's own flags.json (in BELAY_STATE)";
  const url = text("url");
  const project = text("project");
  const parts = [
    `${provider.kind}${url === undefined ? "" : ` at ${url}`}`,
    ...(project === undefined ? [] : [`project ${project}`]),
    ...(url === undefined && project === undefined
      ? []
      : [`environment ${text("environment") ?? environment}`]),
  ];
  return parts.join(", ");
}
