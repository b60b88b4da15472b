/** The spool: backward decisions in an append-only file of JSON lines, for the time in which the journal is gone. */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { type Log, messageOfFault, type Spool, type Spooled } from "../../engine/ports.ts";
import { syncDirectory, writeAll } from "./disk.ts";

export const DEFAULT_MAX_BYTES = 16 * 1024 * 1024;
const NEWLINE = 0x0a;

export interface SpoolOptions {
  /** The file grows to this and no further, bytes. */
  readonly maxBytes?: number;
}

/**
 * Opens the spool at `path`; the file is made by the first append. No method throws: what cannot be written, read or cleared is reported by
 * the log. What was appended is on the disk when `append` returns.
 */
export function openSpool(path: string, log: Log, options: SpoolOptions = {}): Spool {
  const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  let toldFull = false;

  return {
    append({ run, events, intakes, answers }) {
      if (events.length === 0) return;
      try {
        const line = Buffer.from(`${JSON.stringify({ run, events, intakes, answers })}\n`, "utf8");
        if (appendLine(path, line, maxBytes)) return;
        if (!toldFull)
          log.error("the spool is full; decisions made without the journal are kept in memory only", {
            path,
            maxBytes,
            run,
          });
        toldFull = true;
      } catch (error) {
        log.error("the spool cannot be written; a decision made without the journal is kept in memory only", {
          path,
          run,
          error: messageOfFault(error),
        });
      }
    },
    read() {
      const lines = readLines(path, log);
      const entries = lines.flatMap(parseLine);
      if (entries.length < lines.length) {
        log.warn("lines of the spool cannot be read and are left out; a crash while writing leaves one", {
          path,
          lines: lines.length - entries.length,
        });
      }
      return entries;
    },
    clear(run) {
      const lines = readLines(path, log);
      const kept = lines.filter((line) => parseLine(line).some((entry) => entry.run !== run));
      if (kept.length === lines.length) return;
      try {
        replaceFile(path, kept.map((line) => `${line}\n`).join(""));
        toldFull = false;
      } catch (error) {
        log.error("the spool could not be cleared; its events will be offered again", {
          path,
          run,
          error: messageOfFault(error),
        });
      }
    },
  };
}

/** False when the file would grow beyond `maxBytes`. A write that fails half-way is taken back. */
function appendLine(path: string, line: Uint8Array, maxBytes: number): boolean {
  const file = openSync(path, "a+", 0o600);
  try {
    const { size } = fstatSync(file);
    // A crash may have left a torn line; it must not swallow the new one.
    const bytes = size > 0 && !endsLine(file, size) ? Buffer.concat([Buffer.from("\n"), line]) : line;
    if (size + bytes.length > maxBytes) return false;
    try {
      writeAll(file, bytes);
      fsyncSync(file);
    } catch (error) {
      ftruncateSync(file, size);
      throw error;
    }
    if (size === 0) syncDirectory(dirname(path));
    return true;
  } finally {
    closeSync(file);
  }
}

function endsLine(file: number, size: number): boolean {
  const last = Buffer.alloc(1);
  readSync(file, last, 0, 1, size - 1);
  return last[0] === NEWLINE;
}

function readLines(path: string, log: Log): readonly string[] {
  try {
    return readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line !== "");
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    if (!missing) log.error("the spool cannot be read", { path, error: messageOfFault(error) });
    return [];
  }
}

/** The decision of a line, or none when the line is torn. Lines of before the spool knew of commands have none of those. */
function parseLine(line: string): readonly Spooled[] {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== "object" || value === null || !("run" in value) || !("events" in value)) return [];
    const { run, events } = value;
    const intakes = "intakes" in value && Array.isArray(value.intakes) ? value.intakes : [];
    const answers = "answers" in value && Array.isArray(value.answers) ? value.answers : [];
    // The file is private to Belay and a torn line is no JSON: the parts are those that `append` wrote.
    return typeof run === "string" && Array.isArray(events) ? [{ run, events, intakes, answers }] : [];
  } catch {
    return [];
  }
}

/** At every instant the path holds the old content or the new one. */
function replaceFile(path: string, content: string): void {
  const fresh = `${path}.new`;
  writeFileSync(fresh, content, { mode: 0o600, flush: true });
  renameSync(fresh, path);
  syncDirectory(dirname(path));
}
