/** SQLite's errors, told apart: what may pass by itself, what will not, and what is a mistake in the code. */
import { OutsideFault } from "../../engine/ports.ts";

/** Primary result codes of SQLite, https://www.sqlite.org/rescode.html. */
const CODE = {
  busy: 5,
  locked: 6,
  readonly: 8,
  ioerr: 10,
  corrupt: 11,
  full: 13,
  cantopen: 14,
  constraint: 19,
  mismatch: 20,
  misuse: 21,
  range: 25,
  notadb: 26,
} as const;

const RECOVERABLE: ReadonlySet<number> = new Set([CODE.busy, CODE.locked, CODE.ioerr, CODE.full]);
const MISTAKES: ReadonlySet<number> = new Set([CODE.constraint, CODE.mismatch, CODE.misuse, CODE.range]);

/** The primary result code of an SQLite error; undefined when it is another error. */
export function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number")
    return undefined;
  return error.errcode & 0xff;
}

export function isFull(error: unknown): boolean {
  return sqliteCode(error) === CODE.full;
}

export function isBusy(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === CODE.busy || code === CODE.locked;
}

export function isDamaged(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === CODE.corrupt || code === CODE.notadb;
}

/** What to throw for `error`: an `OutsideFault` when the store is at fault, the error itself when the code is. */
export function toFault(error: unknown, doing: string): unknown {
  if (error instanceof OutsideFault) return error;
  const code = sqliteCode(error);
  if (code !== undefined && MISTAKES.has(code)) return error;
  if (code !== undefined)
    return new OutsideFault(`${doing}: ${messageOf(error)}`, {
      recoverable: RECOVERABLE.has(code),
      cause: error,
    });
  return error;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
