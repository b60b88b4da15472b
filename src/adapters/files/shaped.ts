/** Gives a YAML file the shape of its schema, and each mistake its place in the text. */
import type { z } from "zod";
import { fromZod, type Mistake } from "../../core/files/mistake.ts";
import type { SourceFile } from "./disk.ts";
import { inexactLiterals, queryMistakes } from "./literals.ts";
import type { Problem } from "./problem.ts";
import { readYaml, type YamlFile } from "./yaml-file.ts";

/** A YAML file that has the right shape, as data of type T. */
export interface Shaped<T> {
  readonly source: SourceFile;
  readonly yaml: YamlFile;
  readonly data: T;
}

/** A file with its YAML; undefined, with problems, when it is none. */
export function parsed(source: SourceFile, problems: Problem[]): Shaped<unknown> | undefined {
  const yaml = readYaml(source.text);
  problems.push(...yaml.faults.map((fault): Problem => ({ file: source.file, level: "error", ...fault })));
  return yaml.faults.length > 0 ? undefined : { source, yaml, data: yaml.data };
}

/** The file as data of its schema; undefined, with problems, when it has another shape. */
export function shaped<S extends z.ZodType>(
  { source, yaml, data }: Shaped<unknown>,
  schema: S,
  problems: Problem[],
): Shaped<z.output<S>> | undefined {
  const literals = inexactLiterals(yaml);
  problems.push(...literals.map((one) => placed(one, source, yaml)));
  const result = schema.safeParse(data);
  if (result.success) return literals.length > 0 ? undefined : { source, yaml, data: result.data };
  for (const one of fromZod(result.error, data)) problems.push(placed(one, source, yaml));
  for (const one of queryMistakes(data)) problems.push(placed(one, source, yaml));
  return undefined;
}

/** A mistake as a problem of its file: at the value of its path, or at the key. */
export function placed(
  { path, message, level, offset, atKey = false }: Mistake,
  { file }: SourceFile,
  yaml: YamlFile,
): Problem {
  return { file, ...yaml.place(path, { atKey, offset }), message, level };
}

export function isError({ level }: Pick<Mistake, "level">): boolean {
  return level === "error";
}
