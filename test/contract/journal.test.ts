/** The SQLite journal keeps the contract of every journal, and what it has acknowledged survives kill -9. */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, it } from "vitest";
import { openSqliteJournal, type SqliteJournal } from "../../src/adapters/journal/sqlite.ts";
import { BELAY } from "../../src/core/event.ts";
import type { State } from "../../src/core/rollout/state.ts";
import type { Journal } from "../../src/engine/ports.ts";
import { type DurableJournalDriver, journalContract, story } from "../support/journal-contract.ts";

const MODULE = new URL("../../src/adapters/journal/sqlite.ts", import.meta.url).href;
const KILLS = 20;

function sqliteDriver(): DurableJournalDriver<SqliteJournal> {
  return {
    name: "SQLite",
    newPlace: () => mkdtemp(join(tmpdir(), "belay-journal-")),
    dropPlace: (place) => rm(place, { recursive: true, force: true }),
    open: async (place) => openSqliteJournal({ path: join(place, "journal.db") }),
    close: async (journal) => journal.close(),
    check: async (journal) => expect(journal.verifyChain()).toEqual({ ok: true }),
    openInChild: `(await import(${JSON.stringify(MODULE)})).openSqliteJournal({ path: place + "/journal.db" })`,
  };
}

journalContract(sqliteDriver());
journalSurvivesKills(sqliteDriver(), KILLS);

/** How long one round of kills lets its child work at most, ms; where in a commit the kill falls is left to chance. */
const LONGEST_WORK_MS = 40;

/** The child commits without end and says so after each commit. */
const CHILD = `
  const [place, base] = [process.argv[1], JSON.parse(process.argv[2])];
  const journal = await (OPEN);
  let { revision, state, event } = base;
  for (;;) {
    const seq = revision + 1;
    const events = [{ seq, at: seq, wall: seq, event }];
    state = { ...state, revision: seq };
    const card = { kind: "card", run: base.run, channel: "C" };
    const outbox = [{ run: base.run, key: "card", lane: "normal", body: card, wall: seq }, { run: base.run, key: "note." + seq, lane: "normal", body: card, wall: seq }];
    const result = await journal.commit({ run: base.run, expected: revision, events, state, ended: false, outbox, intake: "k" });
    if (result.kind !== "ok") throw new Error(result.kind);
    revision = seq;
    process.stdout.write(revision + "\\n");
  }`;

interface Killed {
  /** The last revision that the child said was committed. */
  readonly acknowledged: number;
  readonly signal: NodeJS.Signals | null;
  readonly complaint: string;
}

/** Starts a child that commits on and on, and kills it some ms after its first commit. */
function commitUntilKilled(
  driver: Pick<DurableJournalDriver, "openInChild">,
  place: string,
  base: { readonly run: string; readonly revision: number; readonly state: State },
  workMs: number,
): Promise<Killed> {
  const script = CHILD.replace("OPEN", () => driver.openInChild);
  const args = [
    "--input-type=module",
    "--eval",
    script,
    "--",
    place,
    JSON.stringify({
      ...base,
      event: { kind: "refused", verb: "x", code: "y", by: BELAY, detail: "z".repeat(200) },
    }),
  ];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let acknowledged = base.revision;
  let complaint = "";
  let timer: NodeJS.Timeout | undefined;
  child.stderr.on("data", (chunk) => {
    complaint += String(chunk);
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    acknowledged = Number(line);
    timer ??= setTimeout(() => child.kill("SIGKILL"), workMs);
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (_code, signal) => {
      clearTimeout(timer);
      resolve({ acknowledged, signal, complaint });
    });
  });
}

/** Kills a process in the midst of commits again and again; what it had acknowledged must be there, whole and in order. */
function journalSurvivesKills<Opened extends Journal>(
  driver: DurableJournalDriver<Opened>,
  rounds: number,
): void {
  describe(`${driver.name}: kill -9`, () => {
    it(`loses no acknowledged commit over ${rounds} kills`, { timeout: 120_000 }, async () => {
      const place = await driver.newPlace();
      const before = await driver.open(place);
      await before.commit(story("r-1").begin());
      await driver.close(before);
      let total = 0;
      for (let round = 0; round < rounds; round++) {
        total = await killOnce(driver, place, (LONGEST_WORK_MS * round) / rounds);
      }
      expect(total).toBeGreaterThan(rounds);
      await driver.dropPlace(place);
    });
  });
}

/** One round; the revision found afterwards. */
async function killOnce<Opened extends Journal>(
  driver: DurableJournalDriver<Opened>,
  place: string,
  workMs: number,
): Promise<number> {
  const opened = await driver.open(place);
  const base = (await opened.run("r-1"))?.state;
  await driver.close(opened);
  if (base === undefined) throw new Error("the run is gone");
  const killed = await commitUntilKilled(
    driver,
    place,
    { run: "r-1", revision: base.revision, state: base },
    workMs,
  );
  expect(killed).toMatchObject({ signal: "SIGKILL", complaint: "" });
  expect(killed.acknowledged).toBeGreaterThan(base.revision);
  const journal = await driver.open(place);
  const found = (await journal.run("r-1"))?.state.revision ?? 0;
  // The commit that was under way may have arrived or not.
  expect([killed.acknowledged, killed.acknowledged + 1]).toContain(found);
  expect((await journal.events("r-1")).map(({ seq }) => seq)).toEqual(
    Array.from({ length: found }, (_, index) => index + 1),
  );
  const items = await journal.pending();
  expect(items.find(({ key }) => key === "card")?.generation).toBe(found - 1);
  expect(items.filter(({ key }) => key.startsWith("note.")).length).toBe(found - 1);
  await driver.check(journal);
  await driver.close(journal);
  return found;
}
