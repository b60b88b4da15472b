/** A mistake in a file that people wrote: where in its data, what was expected, what was found. */
import type { z } from "zod";
import { withoutSecrets } from "./secret.ts";

/** `path` leads through keys and indexes to the value at fault; the reader of the file turns it into a line and a column. */
export interface Mistake {
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** Shifts the place inside a text value, in characters. */
  readonly offset?: number;
  /** The key is at fault, not its value. */
  readonly atKey?: boolean;
  readonly level: "error" | "warning";
}

export function mistake(path: readonly (string | number)[], message: string): Mistake {
  return { path, message, level: "error" };
}

/** What is wrong with a key, whatever its value. */
export function atKey(path: readonly (string | number)[], message: string): Mistake {
  return { ...mistake(path, message), atKey: true };
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
  return fromIssues(error.issues, data, []);
}

/** The same of issues whose paths begin at `base`. */
function fromIssues(
  issues: readonly z.core.$ZodIssue[],
  data: unknown,
  base: Mistake["path"],
): readonly Mistake[] {
  return issues.flatMap((issue): readonly Mistake[] => {
    const path = [...base, ...issue.path.map((part) => (typeof part === "number" ? part : String(part)))];
    if (issue.code === "unrecognized_keys")
      return issue.keys.map((key) => atKey([...path, key], `unknown key \`${key}\``));
    const value = at(data, path);
    const meant = issue.code === "invalid_union" ? fromUnion(issue.errors, value, path, data) : undefined;
    if (meant !== undefined) return meant;
    // Its message says all: it is about the key, or about several keys.
    if (issue.code === "custom" && issue.params?.["atKey"] === true) return [atKey(path, issue.message)];
    if (value === undefined && issue.code === "invalid_type") {
      return [mistake(path, `\`${path.at(-1) ?? "value"}\` is missing: expected ${plain(issue.expected)}`)];
    }
    if (issue.code === "invalid_type")
      return [mistake(path, `expected ${plain(issue.expected)}, found ${found(value)}`)];
    if (issue.code === "invalid_key")
      return [
        atKey(path, `${issue.issues[0]?.message ?? "expected another name"}, found ${found(path.at(-1))}`),
      ];
    if (value === undefined)
      return [mistake(path, `\`${path.at(-1) ?? "value"}\` is missing: ${issue.message}`)];
    return [mistake(path, `${issue.message}, found ${found(value)}`)];
  });
}

/**
 * What is wrong with a mapping that could have one of several shapes: by its keys it was meant to be one of them, or it has keys of two that share none.
 * Undefined when its keys do not tell.
 */
function fromUnion(
  shapes: readonly (readonly z.core.$ZodIssue[])[],
  value: unknown,
  path: Mistake["path"],
  data: unknown,
): readonly Mistake[] | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const touched = shapes.flatMap((issues) => {
    const whole = issues.filter((issue) => issue.path.length === 0);
    if (whole.some(({ code }) => code !== "unrecognized_keys")) return [];
    const strange = whole.flatMap((issue) => (issue.code === "unrecognized_keys" ? issue.keys : []));
    const keys = Object.keys(value).filter((key) => !strange.includes(key));
    return keys.length === 0 ? [] : [{ issues, keys }];
  });
  const [one, other] = touched;
  if (one === undefined) return undefined;
  if (other === undefined) return fromIssues(one.issues, data, path);
  const [first, second] = [one.keys[0] ?? "", other.keys[0] ?? ""];
  if (one.keys.includes(second) || other.keys.includes(first)) return undefined;
  return [atKey([...path, second], `\`${first}\` and \`${second}\` exclude each other`)];
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
