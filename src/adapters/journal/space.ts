/** Room for the journal: its own size limit and the reserve on the disk, both given up together when going back must still be recorded. */
import type { DatabaseSync } from "node:sqlite";
import { openReserve, RESERVE_BYTES } from "./reserve.ts";
import { pragma } from "./schema.ts";

const DEFAULT_MAX_BYTES = 4 * 1024 ** 3;

export interface SpaceOptions {
  readonly reservePath: string;
  /** The journal grows to this and no further, bytes; 4 GiB by default, and never less than twice the reserve. */
  readonly maxBytes?: number | undefined;
}

export interface Space {
  /** Gives the reserve up; false when it was given up before. */
  giveUp(): boolean;
  /** Takes the reserve again when there is plenty of room. Never throws. */
  retake(): void;
  /** Whether the reserve is not held: going forward should wait until there is room again. */
  isShort(): boolean;
}

export function createSpace(
  db: DatabaseSync,
  { reservePath, maxBytes = DEFAULT_MAX_BYTES }: SpaceOptions,
): Space {
  const reserve = openReserve(reservePath);
  const pageBytes = pragma(db, "page_size");
  const reservePages = Math.ceil(RESERVE_BYTES / pageBytes);
  const maxPages = Math.max(2 * reservePages, Math.floor(maxBytes / pageBytes));
  const limit = (pages: number): void => {
    db.prepare(`PRAGMA max_page_count = ${pages}`).get();
  };
  limit(maxPages - reservePages);
  return {
    isShort: () => !reserve.held(),
    giveUp() {
      if (!reserve.free()) return false;
      limit(maxPages);
      return true;
    },
    retake() {
      if (reserve.held()) return;
      try {
        const usedPages = pragma(db, "page_count") - pragma(db, "freelist_count");
        if (usedPages + 2 * reservePages <= maxPages && reserve.refill()) limit(maxPages - reservePages);
      } catch {
        // It stays given up, and the next commit tries again.
      }
    },
  };
}
