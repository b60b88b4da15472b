/** Values of variations as the literals of files: text as it is, everything else as JSON. */
import { isDeepStrictEqual } from "node:util";
import type { Literals } from "../../../core/setting.ts";

/** The one text that stands for a value. */
export function literalOf(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

/** Whether a literal of a file means this value; JSON may be written in more than one way. */
export function isLiteralOf(literal: string, value: unknown): boolean {
  if (literalOf(value) === literal) return true;
  if (typeof value === "string") return false;
  try {
    return isDeepStrictEqual(JSON.parse(literal), value);
  } catch {
    return false;
  }
}

/** The value as the flag's own literals write it, where it is one of them. */
export function literalFor({ on, off }: Literals, value: unknown): string {
  if (isLiteralOf(on, value)) return on;
  return isLiteralOf(off, value) ? off : literalOf(value);
}
