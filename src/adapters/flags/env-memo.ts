/** What the environment file itself cannot say, kept beside it: who wrote which flag, what the running process was started with, and the last working file. */
import { createHash } from "node:crypto";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { type Found, type Owner, readFound, replaceFile } from "./disk.ts";

const memoSchema = z.object({
  /** By flag key: the intent of the last write, and the literal it wrote. */
  intents: z.record(z.string(), z.object({ intent: z.string(), wrote: z.string() })),
  /** The process that Belay started last: its start (wall ms) and the digest of the file it read. */
  ran: z.object({ startedAt: z.number(), digest: z.string() }).optional(),
});

export type Memo = z.output<typeof memoSchema>;

const NOTHING: Memo = { intents: {} };

export function digestOf(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export interface MemoStore {
  /** Never rejects: a memo that is lost or broken only means that less is known. */
  read(): Promise<Memo>;
  /** Rejects with an `OutsideFault`. */
  write(memo: Memo): Promise<void>;
  /** The last file with which the target was up; undefined when none is known. Never rejects. */
  lastWorking(): Promise<Buffer | undefined>;
  /** Rejects with an `OutsideFault`. The copy gets the mode and the owner of the file itself: it may hold secrets. */
  keepWorking(bytes: Buffer, owner: Owner | undefined): Promise<void>;
  /** Keeps the file with which the target did not come up, for the person who looks into it. Rejects with an `OutsideFault`. */
  keepFailed(bytes: Buffer, owner: Owner | undefined): Promise<void>;
}

/**
 * Keeps `.NAME.belay.json`, `NAME.last-working` and `NAME.failed` in `folder`, NAME being the name of the environment file; in another folder than the
 * file's own with a mark of its path, because files of several hosts are called the same.
 */
export function createMemoStore(folder: string, file: string): MemoStore {
  const isOwnFolder = resolve(folder) === resolve(dirname(file));
  const name = isOwnFolder ? basename(file) : `${basename(file)}.${markOf(file)}`;
  const memoPath = join(folder, `.${name}.belay.json`);
  // The version before had no mark in the name. Its notes bear a process's start or a written value with them, so those of another file fit nothing here.
  const formerPath = join(folder, `.${basename(file)}.belay.json`);
  const workingPath = join(folder, `${name}.last-working`);

  async function replaceAlways(path: string, bytes: Buffer, owner: Owner | undefined): Promise<void> {
    for (;;) {
      const found = await readFound(path);
      if (found.bytes?.equals(bytes)) return;
      if (await replaceFile(path, { bytes, expected: found.bytes, owner })) return;
    }
  }

  async function readQuietly(path: string): Promise<Buffer | undefined> {
    const found: Pick<Found, "bytes"> = await readFound(path).catch(() => ({ bytes: undefined }));
    return found.bytes;
  }

  return {
    async read() {
      const bytes = (await readQuietly(memoPath)) ?? (await readQuietly(formerPath));
      if (bytes === undefined) return NOTHING;
      try {
        return memoSchema.parse(JSON.parse(bytes.toString("utf8")));
      } catch {
        return NOTHING;
      }
    },
    write: (memo) => replaceAlways(memoPath, Buffer.from(`${JSON.stringify(memo)}\n`), undefined),
    lastWorking: () => readQuietly(workingPath),
    keepWorking: (bytes, owner) => replaceAlways(workingPath, bytes, owner),
    keepFailed: (bytes, owner) => replaceAlways(join(folder, `${name}.failed`), bytes, owner),
  };
}

function markOf(file: string): string {
  return digestOf(Buffer.from(resolve(file))).slice(0, 8);
}
