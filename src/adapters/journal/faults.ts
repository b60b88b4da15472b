/** SQLite's errors, told apart: what may pass by itself, what will not, and what is a mistake in the code. */
import { messageOfFault, OutsideFault } from "../../engine/ports.ts";

/** Primary result codes of SQLite, https://www.sqlite.org/rescode.html. */
const CODE = {
  busy: 5,
  locked: 6,
  ioerr: 10,
  corrupt: 11,
  full: 13,
  constraint: 19,
  mismatch: 20,
  misuse: 21,
  range: 25,
  notadb: 26,
} as const;

const IOERR_WRITE = 778;

const RECOVERABLE: ReadonlySet<number> = new Set([CODE.busy, CODE.locked, CODE.ioerr, CODE.full]);
const MISTAKES: ReadonlySet<number> = new Set([CODE.constraint, CODE.mismatch, CODE.misuse, CODE.range]);

/** The extended result code of an SQLite error; undefined when it is another error. */
function extendedCode(error: unknown): number | undefined {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number"
    ? error.errcode
    : undefined;
}

function sqliteCode(error: unknown): number | undefined {
  const extended = extendedCode(error);
  return extended === undefined ? undefined : extended & 0xff;
}

/** Whether `error` may come from a full disk. SQLite tells a used-up quota (EDQUOT) as a failed write and not as a full disk. */
export function mayBeFull(error: unknown): boolean {
  return sqliteCode(error) === CODE.full || extendedCode(error) === IOERR_WRITE;
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
    return new OutsideFault(`${doing}: ${messageOfFault(error)}`, {
      recoverable: RECOVERABLE.has(code),
      cause: error,
    });
  return error;
}
