/** Small files on disk: read whole, replaced whole or not at all, and errors said in a sentence that a person can act on. */
import { randomBytes } from "node:crypto";
import { readFileSync, renameSync } from "node:fs";
import { constants, type FileHandle, open, readdir, realpath, rm, stat, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { OutsideFault } from "../../engine/ports.ts";

const MAX_BYTES = 1024 * 1024;
const PRIVATE_MODE = 0o600;
/** A temporary file this old belongs to a process that died while writing. */
const LEFT_OVER_MS = 60_000;

/** A file as it was read; `bytes` is undefined when there is none. */
export interface Found {
  /** The path with symbolic links resolved: what a rename replaces. */
  readonly path: string;
  readonly bytes: Buffer | undefined;
  /** Nanoseconds since the Unix epoch; 0 when there is no file. */
  readonly mtimeNs: bigint;
  readonly owner: Owner | undefined;
}

export interface Owner {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Reads a file of at most 1 MiB. Rejects with an `OutsideFault`; a missing file is no fault. */
export async function readFound(asked: string): Promise<Found> {
  let path = asked;
  let handle: FileHandle | undefined;
  try {
    path = await realpath(asked);
    // Without O_NONBLOCK the opening of a named pipe would wait for its writer for ever.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const info = await handle.stat({ bigint: true });
    if (!info.isFile()) throw new OutsideFault(`${asked} is not a file`, { recoverable: false });
    if (info.size > MAX_BYTES)
      throw new OutsideFault(`${asked} is larger than ${MAX_BYTES} bytes`, { recoverable: false });
    const bytes = await handle.readFile();
    const owner = { mode: Number(info.mode) & 0o7777, uid: Number(info.uid), gid: Number(info.gid) };
    return { path, bytes, mtimeNs: info.mtimeNs, owner };
  } catch (error) {
    if (codeOf(error) === "ENOENT") return { path, bytes: undefined, mtimeNs: 0n, owner: undefined };
    throw diskFault(error, "read", asked);
  } finally {
    await handle?.close();
  }
}

/** When a file was last written, in whole Unix ms; what `mtimeMs` of a replacement set is found again exactly. */
export function writtenMsOf({ mtimeNs }: Found): number {
  return Number((mtimeNs + 500_000n) / 1_000_000n);
}

/** Identifies one version of a file without reading it: empty when there is none. `settledMs` is how long ago it was last written. */
export async function stampOf(path: string): Promise<{ readonly stamp: string; readonly settledMs: number }> {
  try {
    const info = await stat(path, { bigint: true });
    const stamp = `${info.dev}:${info.ino}:${info.size}:${info.mtimeNs}:${info.ctimeNs}`;
    return { stamp, settledMs: Date.now() - Number(info.mtimeNs / 1_000_000n) };
  } catch (error) {
    if (codeOf(error) === "ENOENT") return { stamp: "", settledMs: Number.POSITIVE_INFINITY };
    throw diskFault(error, "read", path);
  }
}

export interface Replacement {
  readonly bytes: Buffer;
  /** Rename only while the file still has these bytes (undefined: while there is none). */
  readonly expected: Buffer | undefined;
  /** Mode and owner that the new file gets; a private file of our own when undefined. */
  readonly owner?: Owner | undefined;
  /** The time that the new file bears, Unix ms; the time of writing when undefined. */
  readonly mtimeMs?: number | undefined;
  /** Nothing is renamed once this is aborted. */
  readonly signal?: AbortSignal | undefined;
  /** All but the rename: finds whether it could be done. */
  readonly isTrial?: true;
}

/**
 * Replaces a file: new bytes into a temporary file beside it, fsync, one more look at the old file, rename, fsync of the folder. Resolves to
 * false, with nothing changed, when the old file is not what was expected. Rejects with an `OutsideFault`.
 */
export async function replaceFile(path: string, wanted: Replacement): Promise<boolean> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  try {
    await writeTemporary(temporary, wanted);
    wanted.signal?.throwIfAborted();
    // Synchronous on purpose: nothing of this process, and as little as possible of others, fits between the look and the rename.
    if (!hasBytes(path, wanted.expected)) return false;
    if (wanted.isTrial === true) return true;
    renameSync(temporary, path);
    await syncFolder(dirname(path));
    return true;
  } catch (error) {
    throw diskFault(error, "write", path);
  } finally {
    await rm(temporary, { force: true }).catch(() => {});
  }
}

async function writeTemporary(temporary: string, wanted: Replacement): Promise<void> {
  const handle = await open(temporary, "wx", PRIVATE_MODE);
  try {
    await handle.writeFile(wanted.bytes);
    if (wanted.owner !== undefined) {
      const mine = await handle.stat();
      const { uid, gid, mode } = wanted.owner;
      if (mine.uid !== uid || mine.gid !== gid) await handle.chown(uid, gid);
      await handle.chmod(mode);
    }
    if (wanted.mtimeMs !== undefined) await handle.utimes(new Date(), new Date(wanted.mtimeMs));
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function hasBytes(path: string, expected: Buffer | undefined): boolean {
  try {
    const bytes = readFileSync(path);
    return expected !== undefined && bytes.equals(expected);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return expected === undefined;
    throw error;
  }
}

/**
 * Like `replaceFile`, for writes that go back: on a full disk, where no second file fits, the file is written over where it stands, because going back
 * must not wait for somebody to clear the disk. Only for texts in which blanks at the end mean nothing.
 */
export async function replaceEvenWhenFull(path: string, wanted: Replacement): Promise<boolean> {
  try {
    return await replaceFile(path, wanted);
  } catch (error) {
    const full = error instanceof OutsideFault && ["ENOSPC", "EDQUOT"].includes(codeOf(error.cause) ?? "");
    if (!full || wanted.expected === undefined || !hasBytes(path, wanted.expected)) throw error;
    wanted.signal?.throwIfAborted();
    await overwriteInPlace(path, wanted.bytes);
    return true;
  }
}

/**
 * Writes over an existing file where it stands. A shorter text is filled up with blanks to the old length, so that one write does it and a reader meets
 * no half-cut file.
 */
export async function overwriteInPlace(path: string, bytes: Buffer): Promise<void> {
  try {
    const handle = await open(path, "r+");
    try {
      const { size } = await handle.stat();
      const blanks = Buffer.alloc(Math.max(0, size - bytes.length), " ");
      await handle.write(Buffer.concat([bytes, blanks]), 0, undefined, 0);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw diskFault(error, "write", path);
  }
}

/** Removes temporary files that writers of this path left behind when they were killed. Best effort. */
export async function sweepLeftOvers(path: string): Promise<void> {
  const start = `.${basename(path)}.`;
  try {
    for (const name of await readdir(dirname(path))) {
      if (!name.startsWith(start) || !name.endsWith(".tmp")) continue;
      const left = join(dirname(path), name);
      if (Date.now() - (await stat(left)).mtimeMs > LEFT_OVER_MS) await unlink(left);
    }
  } catch {
    // A left-over file does no harm; the write that follows says what is wrong with the folder.
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** An `OutsideFault` for what the file system says; other errors come back as they are. */
export function diskFault(error: unknown, doing: "read" | "write", path: string): unknown {
  if (error instanceof OutsideFault) return error;
  const code = codeOf(error);
  if (code === undefined) return error;
  const { why, recoverable } = reasonOf(code, doing);
  return new OutsideFault(`cannot ${doing} ${path}: ${why}`, { recoverable, cause: error });
}

function reasonOf(
  code: string,
  doing: "read" | "write",
): { readonly why: string; readonly recoverable: boolean } {
  switch (code) {
    case "EACCES":
    case "EPERM":
      return doing === "read"
        ? { why: "permission denied; Belay's user needs to read it", recoverable: false }
        : {
            why: "permission denied; Belay's user must own it, or may change its owner, and needs write access to its folder",
            recoverable: false,
          };
    case "EROFS":
      return { why: "the file system is mounted read-only", recoverable: false };
    case "ENOSPC":
    case "EDQUOT":
      return { why: "the disk is full", recoverable: true };
    case "ENOENT":
    case "ENOTDIR":
      return { why: "its folder does not exist", recoverable: false };
    case "EISDIR":
      return { why: "it is a folder", recoverable: false };
    default:
      return { why: `the file system answered ${code}`, recoverable: true };
  }
}
