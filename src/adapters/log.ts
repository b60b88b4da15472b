/** The log: one record per call on stderr, without secrets and without characters that could forge another record. */
import { type DestinationStream, pino } from "pino";
import type { Log } from "../engine/ports.ts";

export interface LogOptions {
  /** The least level that is written; `info` by default. */
  readonly level?: "info" | "warn" | "error";
  /** Lines for people instead of JSON; by default when stderr is a terminal. */
  readonly human?: boolean;
  /** Takes each line, its end included, in place of stderr. */
  readonly write?: (line: string) => void;
}

export interface SystemLog extends Log {
  /** From now on this text is cut out of everything. Texts of fewer than 4 characters are not taken: they are in every word. */
  registerSecret(value: string): void;
  /** The text without registered secrets and without what looks like one; control characters are left as they are. */
  redact(text: string): string;
}

const HIDDEN = "[redacted]";
const SHORTEST_SECRET = 4;
const MAX_DEPTH = 6;
const MAX_ENTRIES = 100;
const MAX_VALUES = 1_000;
const MAX_TEXT = 8_000;
/** Bytes that may wait for a slow reader of stderr. */
const MAX_WAITING = 1024 * 1024;
/** Longer texts are read only so far. */
const MAX_SCANNED = 256 * 1024;

/** Fields whose value is never shown; compared with the letters of the name alone, in lower case. */
const SECRET_NAME =
  /token|secret|authorization|password|passwd|passphrase|cookie|apikey|privatekey|credential|responseurl/;

/** What a secret looks like wherever it stands: Slack's tokens and answer addresses, credentials in headers and in addresses. */
const SECRET_SHAPES: readonly (readonly [RegExp, string])[] = [
  [/\bx(?:ox[a-z]|app)-[A-Za-z0-9-]{6,}/g, HIDDEN],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{6,}/gi, `$1 ${HIDDEN}`],
  [/(:\/\/)[^\s/@:]{1,200}:[^\s/@]{1,200}@/g, `$1${HIDDEN}@`],
  [/hooks\.slack\.com\/[A-Za-z0-9/_%.-]+/g, `hooks.slack.com/${HIDDEN}`],
];

/** C0 and C1 controls, line and paragraph separators, and marks that turn the direction of text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to find.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const SHORT_ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Names that the record itself has. */
const OWN_NAMES: ReadonlySet<string> = new Set(["level", "time", "msg"]);

/** Creates the log. No method throws, whatever it is given and whatever becomes of stderr. */
export function createLog(options: LogOptions = {}): SystemLog {
  const secrets: string[] = [];
  const redact = (text: string): string => hideShapes(hideSecrets(text, secrets));
  // Shortened first only to bound the work, and last to bound the record: the part of a secret that the first cut may leave is cut off by the last.
  const clean = (text: string): string =>
    escapeControls(shorten(redact(text.slice(0, MAX_SCANNED)), MAX_TEXT));
  const write = options.write ?? stderrWriter();
  const human = options.human ?? (options.write === undefined && process.stderr.isTTY === true);
  const destination: DestinationStream = { write: human ? (line) => write(humanLine(line)) : write };
  const logger = pino(
    {
      level: options.level ?? "info",
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (level) => ({ level }) },
    },
    destination,
  );

  function record(
    level: "info" | "warn" | "error",
    message: string,
    fields: Readonly<Record<string, unknown>> = {},
  ): void {
    try {
      if (!logger.isLevelEnabled(level)) return;
      logger[level](cleanFields(fields, clean), clean(String(message)));
    } catch {
      reportLoss(write, level);
    }
  }

  return {
    info: (message, fields) => record("info", message, fields),
    warn: (message, fields) => record("warn", message, fields),
    error: (message, fields) => record("error", message, fields),
    registerSecret(value) {
      for (const form of formsOf(value)) if (!secrets.includes(form)) secrets.push(form);
      // The longest first, so that no rest of one stays when another is a part of it.
      secrets.sort((a, b) => b.length - a.length);
    },
    redact,
  };
}

/**
 * Written in the background, because a reader that stands still must not make a rollback wait; what does not fit the buffer is counted and
 * told later. A reader that went away (a closed pipe) must not end Belay, so errors of the stream are dropped.
 */
function stderrWriter(): (line: string) => void {
  const stream = pino.destination({ dest: 2, sync: false, maxLength: MAX_WAITING });
  let dropped = 0;
  stream.on("error", () => {});
  stream.on("drop", () => {
    dropped += 1;
  });
  stream.on("drain", () => {
    if (dropped === 0) return;
    stream.write(
      `${JSON.stringify({ level: "warn", time: new Date().toISOString(), msg: "log records were dropped because stderr was not read", dropped })}\n`,
    );
    dropped = 0;
  });
  return (line) => {
    stream.write(line);
  };
}

function reportLoss(write: (line: string) => void, level: string): void {
  try {
    write(
      `${JSON.stringify({ level, time: new Date().toISOString(), msg: "a log record could not be written" })}\n`,
    );
  } catch {
    // Nowhere is left to say it.
  }
}

/** The secret as it is, and as it stands in addresses, headers and JSON. */
function formsOf(value: string): readonly string[] {
  const trimmed = value.trim();
  if (trimmed.length < SHORTEST_SECRET) return [];
  const base64 = Buffer.from(trimmed, "utf8").toString("base64").replace(/=+$/, "");
  return [trimmed, encodeURIComponent(trimmed.toWellFormed()), base64, JSON.stringify(trimmed).slice(1, -1)];
}

function hideSecrets(text: string, secrets: readonly string[]): string {
  return secrets.reduce(
    (shown, secret) => (shown.includes(secret) ? shown.split(secret).join(HIDDEN) : shown),
    text,
  );
}

function hideShapes(text: string): string {
  return SECRET_SHAPES.reduce((shown, [shape, instead]) => shown.replace(shape, instead), text);
}

function escapeControls(text: string): string {
  return text.replace(
    CONTROL,
    (char) => SHORT_ESCAPES[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function shorten(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most)}... (${text.length} characters)`;
}

/** What a walk through one record's fields knows: how to clean a text, where it is, and how many values it may still take. */
interface Walk {
  readonly clean: (text: string) => string;
  readonly above: Set<object>;
  valuesLeft: number;
}

function cleanFields(
  fields: Readonly<Record<string, unknown>>,
  clean: (text: string) => string,
): Record<string, unknown> {
  const entries = cleanEntries(Object.entries(fields), 1, {
    clean,
    above: new Set([fields]),
    valuesLeft: MAX_VALUES,
  });
  return Object.fromEntries(entries.map(([name, value]) => [OWN_NAMES.has(name) ? `${name}_` : name, value]));
}

function cleanEntries(
  entries: readonly (readonly [string, unknown])[],
  depth: number,
  walk: Walk,
): readonly (readonly [string, unknown])[] {
  return entries.slice(0, MAX_ENTRIES).map(([name, value]) => {
    const secret = SECRET_NAME.test(name.toLowerCase().replace(/[^a-z]/g, ""));
    return [walk.clean(name), secret && !isEmpty(value) ? HIDDEN : cleanValue(value, depth, walk)];
  });
}

/** Whether a secret is there at all may be shown. */
function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === "" || typeof value === "boolean";
}

function cleanValue(value: unknown, depth: number, walk: Walk): unknown {
  walk.valuesLeft -= 1;
  if (walk.valuesLeft < 0) return "[more]";
  switch (typeof value) {
    case "string":
      return walk.clean(value);
    case "number": {
      const text = String(value);
      return Number.isFinite(value) && walk.clean(text) === text ? value : walk.clean(text);
    }
    case "bigint":
    case "symbol":
      return walk.clean(String(value));
    case "function":
      return "[function]";
    case "object":
      return value === null ? null : cleanObject(value, depth, walk);
    default:
      return value;
  }
}

function cleanObject(value: object, depth: number, walk: Walk): unknown {
  if (walk.above.has(value)) return "[circular]";
  if (depth >= MAX_DEPTH) return "[deep]";
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Date || value instanceof URL) return walk.clean(String(value));
  walk.above.add(value);
  try {
    if (value instanceof Error) return Object.fromEntries(cleanEntries(errorEntries(value), depth + 1, walk));
    if (Array.isArray(value) || value instanceof Set)
      return [...value].slice(0, MAX_ENTRIES).map((item) => cleanValue(item, depth + 1, walk));
    if (value instanceof Map)
      return Object.fromEntries(
        cleanEntries(
          [...value].map(([key, item]) => [String(key), item]),
          depth + 1,
          walk,
        ),
      );
    return Object.fromEntries(cleanEntries(Object.entries(value), depth + 1, walk));
  } catch {
    return "[unreadable]";
  } finally {
    walk.above.delete(value);
  }
}

/** An error's own fields may hold a whole request with its headers; only these are shown. */
function errorEntries(error: Error): readonly (readonly [string, unknown])[] {
  const code: unknown = "code" in error ? error.code : undefined;
  return [
    ["name", error.name],
    ["message", error.message],
    ["code", code],
    ["stack", error.stack],
    ["cause", error.cause],
  ];
}

/** `09:00:01.250 WARN  the message field=value other="two words"`. */
function humanLine(line: string): string {
  const { time, level, msg, ...fields }: Record<string, unknown> = JSON.parse(line);
  const told = Object.entries(fields).map(([name, value]) => ` ${name}=${humanValue(value)}`);
  return `${String(time).slice(11, 23)} ${String(level).toUpperCase().padEnd(5)} ${String(msg)}${told.join("")}\n`;
}

function humanValue(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return typeof value === "string" && /[\s"=]/.test(text) ? JSON.stringify(text) : text;
}
