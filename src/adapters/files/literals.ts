/** Checks that only the text of a file allows: literals that YAML would change, and queries of a file whose shape is wrong elsewhere. */
import { type Mistake, mistake } from "../../core/files/mistake.ts";
import { inspect } from "./promql.ts";
import type { YamlFile } from "./yaml-file.ts";

type Path = readonly (string | number)[];

/** Keys of a flag in a flags file whose values are written to the flag store as they are. */
const FLAG_LITERALS = ["on", "off", "safe", "pinned"];
const QUERIES: Readonly<Record<string, readonly string[]>> = {
  guards: ["query", "total", "up"],
  probes: ["promql"],
};

/** Settings such as `1.0` or `True`, which YAML reads as a number or a truth value and which would reach the service as `1` or `true`. */
export function inexactLiterals(yaml: YamlFile): readonly Mistake[] {
  return [...flagLiterals(yaml.data), ...stageLiterals(yaml.data)].flatMap(({ path, value }): Mistake[] => {
    const written = yaml.written(path);
    if (written === undefined || written === String(value)) return [];
    return [mistake(path, `${written} would be written as ${String(value)}: put it in quotes`)];
  });
}

interface Literal {
  readonly path: Path;
  readonly value: unknown;
}

function flagLiterals(data: unknown): readonly Literal[] {
  return entries(at(data, "flags")).flatMap(([flag, entry]) =>
    FLAG_LITERALS.map((key) => ({ path: ["flags", flag, key], value: at(entry, key) })),
  );
}

function stageLiterals(data: unknown): readonly Literal[] {
  const stages: unknown = at(data, "stages");
  if (!Array.isArray(stages)) return [];
  return stages.flatMap((stage: unknown, index) => [
    ...entries(at(stage, "set")).map(([flag, value]) => ({ path: ["stages", index, "set", flag], value })),
    ...entries(at(stage, "enable")).flatMap(([flag, list]) =>
      Array.isArray(list)
        ? list.map((value: unknown, step) => ({ path: ["stages", index, "enable", flag, step], value }))
        : [],
    ),
  ]);
}

/** Faults of the queries in a flags file or a watch that is not read further because of its shape. */
export function queryMistakes(data: unknown): readonly Mistake[] {
  return Object.entries(QUERIES).flatMap(([part, keys]) =>
    entries(at(data, part)).flatMap(([name, entry]) =>
      keys.flatMap((key): Mistake[] => {
        const query = at(entry, key);
        if (typeof query !== "string" || query === "") return [];
        return inspect(query).faults.map(({ message, offset }) => ({
          path: [part, name, key],
          message,
          offset,
          level: "error",
        }));
      }),
    ),
  );
}

function at(data: unknown, key: string): unknown {
  return typeof data === "object" && data !== null && !Array.isArray(data)
    ? Object.getOwnPropertyDescriptor(data, key)?.value
    : undefined;
}

function entries(data: unknown): readonly (readonly [string, unknown])[] {
  return typeof data === "object" && data !== null && !Array.isArray(data) ? Object.entries(data) : [];
}
