/** A mistake in a file that people wrote: where in its data, what was expected, what was found. */
import type { z } from "zod";
import { withoutSecrets } from "./secret.ts";

/** `path` leads through keys and indexes to the value at fault; the reader of the file turns it into a line and a column. */
export interface Mistake {
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** Shifts the place inside a text value, in characters. */
  readonly offset?: number;
  readonly level: "error" | "warning";
}

export function mistake(path: readonly (string | number)[], message: string): Mistake {
  return { path, message, level: "error" };
}

export function warning(path: readonly (string | number)[], message: string): Mistake {
  return { path, message, level: "warning" };
}

/** What a value looks like to the person who wrote it, shortened; what reads as a secret is left out, since mistakes are logged and posted. */
export function found(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "an empty value";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  const text = typeof value === "string" ? JSON.stringify(withoutSecrets(value)) : String(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

function at(data: unknown, path: readonly PropertyKey[]): unknown {
  let here = data;
  for (const key of path) {
    if (typeof here !== "object" || here === null) return undefined;
    here = Object.getOwnPropertyDescriptor(here, key)?.value;
  }
  return here;
}

/** Every issue zod found, each as one mistake with its place. */
export function fromZod(error: z.ZodError, data: unknown): readonly Mistake[] {
  return error.issues.flatMap((issue): readonly Mistake[] => {
    const path = issue.path.map((part) => (typeof part === "number" ? part : String(part)));
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => mistake([...path, key], `unknown key \`${key}\``));
    }
    const value = at(data, issue.path);
    if (value === undefined && issue.code === "invalid_type") {
      return [mistake(path, `\`${path.at(-1) ?? "value"}\` is missing: expected ${plain(issue.expected)}`)];
    }
    if (issue.code === "invalid_type")
      return [mistake(path, `expected ${plain(issue.expected)}, found ${found(value)}`)];
    if (issue.code === "invalid_key")
      return [
        mistake(path, `${issue.issues[0]?.message ?? "expected another name"}, found ${found(path.at(-1))}`),
      ];
    if (value === undefined)
      return [mistake(path, `\`${path.at(-1) ?? "value"}\` is missing: ${issue.message}`)];
    return [mistake(path, `${issue.message}, found ${found(value)}`)];
  });
}

function plain(expected: string): string {
  switch (expected) {
    case "object":
    case "record":
      return "a mapping";
    case "array":
      return "a list";
    case "string":
      return "text";
    default:
      return `a ${expected}`;
  }
}
