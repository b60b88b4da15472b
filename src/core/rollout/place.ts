/** Where a person finds the flags of a plan, in words. */
import type { Plan } from "../plan.ts";

/** `Unleash at http://..., project default, environment production`, `/etc/ingestion/features.env`: the flag system and the place in it. */
export function placeOf({ environment, outside }: Plan): string {
  const { provider } = outside;
  const text = (key: string): string | undefined => {
    const value = provider[key];
    return typeof value === "string" ? value : undefined;
  };
  const path = text("path");
  if (path !== undefined) return path;
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
