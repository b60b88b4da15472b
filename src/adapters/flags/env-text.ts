/** The text of an environment file, read as systemd reads `EnvironmentFile=` and changed without touching any other byte. */

/**
 * One stretch of the file. The texts of all stretches, joined, are the file. An assignment's text ends with its line end, if it has one; comments,
 * blank lines and lines that mean nothing are `other`.
 */
export type Stretch =
  | { readonly kind: "assignment"; readonly key: string; readonly value: string; readonly text: string }
  | { readonly kind: "other"; readonly text: string };

/**
 * Texts here hold one character per byte (latin1), so that bytes which are no UTF-8 survive; `value`s are decoded. A key is what the shell takes as
 * a name; `export KEY=value` is no assignment, because systemd ignores such a line.
 */
export function parseEnv(text: string): readonly Stretch[] {
  const stretches: Stretch[] = [];
  let at = 0;
  while (at < text.length) {
    const next = stretchAt(text, at);
    stretches.push(next);
    at += next.text.length;
  }
  return stretches;
}

/** The variables of a file's bytes; the last assignment of a key wins. */
export function variablesOf(bytes: Buffer): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const stretch of parseEnv(bytes.toString("latin1"))) {
    if (stretch.kind === "assignment") found.set(stretch.key, stretch.value);
  }
  return found;
}

/**
 * The file's bytes with these variables set: every assignment of a key is rewritten where it stands, a missing one is added at the end. Everything
 * else stays byte for byte.
 */
export function withVariables(bytes: Buffer, changes: ReadonlyMap<string, string>): Buffer {
  const known = variablesOf(bytes);
  const changed = new Map([...changes].filter(([key, value]) => known.get(key) !== value));
  if (changed.size === 0) return bytes;
  const stretches = parseEnv(bytes.toString("latin1"));
  let text = "";
  for (const stretch of stretches) {
    const value = stretch.kind === "assignment" ? changed.get(stretch.key) : undefined;
    text +=
      stretch.kind === "assignment" && value !== undefined
        ? reprinted(stretch.text, stretch.key, value)
        : stretch.text;
  }
  const missing = [...changed].filter(([key]) => !known.has(key));
  return added(text, missing, changes);
}

/** Adds lines at the end; before everything else when the end of the file would swallow them (an open quote, a comment that goes on). */
function added(
  text: string,
  missing: readonly (readonly [string, string])[],
  wanted: ReadonlyMap<string, string>,
): Buffer {
  const end = text.includes("\r\n") ? "\r\n" : "\n";
  const lines = missing.map(([key, value]) => `${key}=${printValue(value)}${end}`).join("");
  const glue = text === "" || /[\r\n]$/.test(text) || missing.length === 0 ? "" : end;
  const appended = Buffer.from(`${text}${glue}${lines}`, "latin1");
  const read = variablesOf(appended);
  if ([...wanted].every(([key, value]) => read.get(key) === value)) return appended;
  return Buffer.from(`${lines}${text}`, "latin1");
}

function reprinted(text: string, key: string, value: string): string {
  const indent = /^[ \t]*/.exec(text)?.[0] ?? "";
  const end = /(\r\n|\n|\r)?$/.exec(text)?.[0] ?? "";
  return `${indent}${key}=${printValue(value)}${end}`;
}

/** A value as it is written: bare where no reader could misread it, else in double quotes. One character per byte. */
export function printValue(value: string): string {
  if (/^[A-Za-z0-9_.,:/@%+=-]*$/.test(value)) return value;
  const bytes = Buffer.from(value, "utf8").toString("latin1");
  return `"${bytes.replace(/["\\$`]/g, "\\$&")}"`;
}

/** Whether a key and a value can stand in an environment at all. */
export function isVariable(key: string, value: string): boolean {
  return KEY.test(key) && !value.includes("\0") && value.isWellFormed();
}

const KEY = /^[A-Za-z_][A-Za-z0-9_]*$/;
const ESCAPED_IN_QUOTES = '"\\`$';

function isLineEnd(char: string): boolean {
  return char === "\n" || char === "\r";
}

function isBlank(char: string): boolean {
  return char === " " || char === "\t" || isLineEnd(char);
}

/** The stretch that begins at `from`. */
function stretchAt(text: string, from: number): Stretch {
  let at = from;
  while (at < text.length && isBlank(text.charAt(at))) {
    if (isLineEnd(text.charAt(at))) return { kind: "other", text: text.slice(from, at + 1) };
    at++;
  }
  if (at === text.length) return { kind: "other", text: text.slice(from) };
  const first = text.charAt(at);
  if (first === "#" || first === ";")
    return { kind: "other", text: text.slice(from, endOfComment(text, at)) };
  const keyFrom = at;
  while (at < text.length && text.charAt(at) !== "=" && !isLineEnd(text.charAt(at))) at++;
  if (text.charAt(at) !== "=")
    return { kind: "other", text: text.slice(from, Math.min(at + 1, text.length)) };
  const key = text.slice(keyFrom, at).replace(/[ \t]+$/, "");
  const { value, end } = valueAt(text, at + 1);
  const whole = text.slice(from, end);
  const decoded = Buffer.from(value, "latin1").toString("utf8");
  return KEY.test(key)
    ? { kind: "assignment", key, value: decoded, text: whole }
    : { kind: "other", text: whole };
}

/**
 * A comment that ends with a backslash goes on in the next line for systemd before 254, and does not from 254 on. It is taken to go on: a flag that
 * only one of them would see is then written anew at the end, where both see it.
 */
function endOfComment(text: string, from: number): number {
  let at = from;
  while (at < text.length && !isLineEnd(text.charAt(at))) at += text.charAt(at) === "\\" ? 2 : 1;
  return Math.min(at + 1, text.length);
}

/** Reads a value by systemd's rules: pieces bare or quoted, backslash escapes, lines that go on. `end` is just after its line end. */
function valueAt(text: string, from: number): { readonly value: string; readonly end: number } {
  let at = from;
  let value = "";
  while (at < text.length) {
    const char = text.charAt(at);
    if (isLineEnd(char)) return { value, end: endOfLine(text, at) };
    if (char === "'") {
      const close = text.indexOf("'", at + 1);
      value += text.slice(at + 1, close < 0 ? text.length : close);
      at = close < 0 ? text.length : close + 1;
    } else if (char === '"') {
      const piece = doubleQuoted(text, at + 1);
      value += piece.value;
      at = piece.end;
    } else if (isBlank(char)) {
      at++;
    } else {
      const piece = bare(text, at);
      return { value: value + piece.value, end: piece.end };
    }
  }
  return { value, end: at };
}

function endOfLine(text: string, at: number): number {
  return text.startsWith("\r\n", at) ? at + 2 : at + 1;
}

function doubleQuoted(text: string, from: number): { readonly value: string; readonly end: number } {
  let at = from;
  let value = "";
  while (at < text.length) {
    const char = text.charAt(at);
    if (char === '"') return { value, end: at + 1 };
    if (char !== "\\") {
      value += char;
      at++;
      continue;
    }
    const next = text.charAt(at + 1);
    if (ESCAPED_IN_QUOTES.includes(next)) value += next;
    else if (next !== "\n") value += `\\${next}`;
    at += 2;
  }
  return { value, end: text.length };
}

/** A bare piece runs to the end of the line; quotes inside it are ordinary characters, and blanks at its end do not count. */
function bare(text: string, from: number): { readonly value: string; readonly end: number } {
  let at = from;
  let value = "";
  let kept = 0;
  while (at < text.length && !isLineEnd(text.charAt(at))) {
    const char = text.charAt(at);
    if (char === "\\") {
      const next = text.charAt(at + 1);
      if (!isLineEnd(next)) value += next;
      kept = value.length;
      at += 2;
      continue;
    }
    value += char;
    if (!isBlank(char)) kept = value.length;
    at++;
  }
  return { value: value.slice(0, kept), end: at < text.length ? endOfLine(text, at) : text.length };
}
