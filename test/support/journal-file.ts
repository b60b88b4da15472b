/** A journal's file in a folder of its own for each test of the file that imports this; what was opened is closed, and the folder removed, after it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import {
  openSqliteJournal,
  type SqliteJournal,
  type SqliteJournalOptions,
} from "../../src/adapters/journal/sqlite.ts";

/** The folder of the test that runs now, and the journal's file in it. */
export let folder = "";
export let path = "";
let opened: SqliteJournal[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "belay-journal-"));
  path = join(folder, "journal.db");
});

afterEach(() => {
  for (const journal of opened) journal.close();
  opened = [];
  rmSync(folder, { recursive: true, force: true });
});

/** Opens the file, or another one; it may be closed by the test itself. */
export function openJournal(options: Partial<SqliteJournalOptions> = {}): SqliteJournal {
  const journal = openSqliteJournal({ path, ...options });
  opened.push(journal);
  return journal;
}
