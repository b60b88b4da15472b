/** How the SQLite journal deals with room: its limit, the reserve that a rollback may use, a full disk, and how long a commit takes. */

import { existsSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { RESERVE_BYTES } from "../../src/adapters/journal/reserve.ts";
import type { SqliteJournal } from "../../src/adapters/journal/sqlite.ts";
import type { RolloutEvent } from "../../src/core/event.ts";
import { OutsideFault } from "../../src/engine/ports.ts";
import { ANA, cardDraft, HELD, intakeOf, RESUMED, type Story, story } from "../support/journal-contract.ts";
import { folder, openJournal, path } from "../support/journal-file.ts";

function open(maxBytes?: number, reservePath?: string): SqliteJournal {
  return openJournal({ path, maxBytes, reservePath });
}

/** Changes the closed file behind Belay's back. */
function raw(statement: string): void {
  const db = new DatabaseSync(path);
  db.exec(statement);
  db.close();
}

describe("a journal at its limit", () => {
  const noise: RolloutEvent = { kind: "refused", verb: "x", code: "y", by: ANA, detail: "z".repeat(8_000) };

  /** Fills the journal with evidence, which has no right to the reserve. */
  async function fill(journal: SqliteJournal): Promise<void> {
    for (let minute = 0; minute < 5_000; minute++) {
      const row = {
        run: "r-1",
        guard: "g".repeat(2_000),
        minute,
        polls: 1,
        values: 1,
        min: 0,
        max: 0,
        last: 0,
        verdicts: {},
      };
      await journal.saveEvidence([row]);
    }
  }

  it("gives up the reserve for a rollback, tells so, and takes it again when there is room", async () => {
    const journal = open(3 * 1024 * 1024);
    const run: Story = story("r-1");
    await journal.commit(run.begin());
    const full = await fill(journal).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(full).toBeInstanceOf(OutsideFault);
    expect(full).toMatchObject({ recoverable: true });
    expect(String(full)).toContain("full");
    await expect(journal.accept({ ...intakeOf("k", 1), text: "x".repeat(20_000) })).rejects.toThrow("full");
    expect(journal.isShortOfSpace()).toBe(false);
    expect(existsSync(`${path}.reserve`)).toBe(true);

    const rollback: RolloutEvent = {
      kind: "rollback_started",
      to: -1,
      stages: [0],
      flips: [],
      cause: { kind: "person" },
      by: ANA,
    };
    const commits = [
      run.next([rollback], { outbox: [cardDraft("r-1")] }),
      run.next([{ kind: "rollback_off" }]),
      run.next([noise, noise, noise]),
    ];
    for (const commit of commits) expect(await journal.commit(commit)).toEqual({ kind: "ok" });
    expect(journal.isShortOfSpace()).toBe(true);
    expect(existsSync(`${path}.reserve`)).toBe(false);
    const forward = run.next([HELD], { forward: true });
    await expect(journal.commit(forward)).rejects.toMatchObject({ name: "OutsideFault", recoverable: true });
    await expect(journal.commit(forward)).rejects.toThrow("kept for going back");
    expect((await journal.events("r-1")).length).toBe(forward.expected);
    expect(await journal.commit({ ...forward, forward: false })).toEqual({ kind: "ok" });
    expect(journal.verifyChain()).toEqual({ ok: true });
    journal.close();

    raw("DELETE FROM evidence");
    const again = open(3 * 1024 * 1024);
    expect((await again.run("r-1"))?.state.phase).toBe("rolling_back");
    expect(again.isShortOfSpace()).toBe(false);
    expect((await again.pending()).map(({ key }) => key)).toEqual(["r-1.card"]);
  });

  it("keeps the reserve from what goes forward: that is refused, and the reserve stays for the rollback after it", async () => {
    const journal = open(3 * 1024 * 1024);
    const run = story("r-1");
    await journal.commit(run.begin());
    await expect(fill(journal)).rejects.toThrow("full");
    const forward = run.next([noise, noise, noise], { forward: true });
    await expect(journal.commit(forward)).rejects.toMatchObject({ name: "OutsideFault", recoverable: true });
    expect(journal.isShortOfSpace()).toBe(false);
    expect(existsSync(`${path}.reserve`)).toBe(true);
    expect((await journal.events("r-1")).length).toBe(1);
    expect(await journal.commit({ ...forward, forward: false })).toEqual({ kind: "ok" });
    expect(journal.isShortOfSpace()).toBe(true);
  });

  it("takes the reserve again while it runs, when old commands have made room", async () => {
    const journal = open(3 * 1024 * 1024);
    const run = story("r-1");
    await journal.commit(run.begin());
    const keys: string[] = [];
    const filled = (async () => {
      for (;;) {
        const key = `k${keys.length}`;
        await journal.accept({ ...intakeOf(key, 0), text: "x".repeat(60_000) });
        keys.push(key);
      }
    })();
    await expect(filled).rejects.toThrow("full");
    // The last command of 60 kB did not fit; less than that may still be free.
    for (let count = 0; count < 3 && !journal.isShortOfSpace(); count++)
      await journal.commit(run.next([noise, noise, noise]));
    expect(journal.isShortOfSpace()).toBe(true);
    for (const key of keys) await journal.answer(key, []);
    const later = 7 * 24 * 3_600_000;
    for (let count = 0; count * 20 < keys.length; count++)
      await journal.accept(intakeOf(`later ${count}`, later));
    expect(await journal.commit(run.next([HELD], { forward: true }))).toEqual({ kind: "ok" });
    expect(journal.isShortOfSpace()).toBe(false);
    expect(statSync(`${path}.reserve`).size).toBe(RESERVE_BYTES);
  });

  it("fails a commit, and nothing of it is there, when even the reserve is used up", async () => {
    const journal = open(2 * 1024 * 1024);
    const run = story("r-1");
    await journal.commit(run.begin());
    let refused: unknown;
    let last = run.state().revision;
    while (refused === undefined && last < 2_000) {
      const commit = run.next([noise, noise]);
      await journal.commit(commit).then(
        () => {
          last = commit.state.revision;
        },
        (error: unknown) => {
          refused = error;
        },
      );
    }
    expect(refused).toMatchObject({ recoverable: true, name: "OutsideFault" });
    expect(journal.isShortOfSpace()).toBe(true);
    expect((await journal.run("r-1"))?.state.revision).toBe(last);
    expect((await journal.events("r-1")).length).toBe(last);
    expect(journal.verifyChain()).toEqual({ ok: true });
  });
});

describe("the reserve", () => {
  it("is taken anew when only a part of it was written", () => {
    writeFileSync(`${path}.reserve`, "part");
    open().close();
    expect(statSync(`${path}.reserve`).size).toBe(RESERVE_BYTES);
    truncateSync(`${path}.reserve`, 10);
    open();
    expect(statSync(`${path}.reserve`).size).toBe(RESERVE_BYTES);
  });

  it("is not there, and is said not to be there, where it cannot be written; then nothing goes forward, and all else works", async () => {
    const run = story("r-1");
    const before = open();
    await before.commit(run.begin());
    before.close();
    const journal = open(undefined, join(folder, "missing", "reserve"));
    expect(journal.isShortOfSpace()).toBe(true);
    expect(await journal.commit(run.next([HELD]))).toEqual({ kind: "ok" });
    await expect(journal.commit(story("r-2").begin())).rejects.toThrow("kept for going back");
  });
});

describe("speed", () => {
  it("prints how long a small commit takes", async () => {
    const journal = open();
    const run = story("r-1");
    await journal.commit(run.begin());
    const tookMs: number[] = [];
    for (let count = 0; count < 300; count++) {
      await journal.accept(intakeOf(`k${count}`, count));
      const commit = run.next([count % 2 === 0 ? HELD : RESUMED], {
        outbox: [cardDraft("r-1")],
        intakes: [`k${count}`],
      });
      const startedAt = performance.now();
      await journal.commit(commit);
      tookMs.push(performance.now() - startedAt);
    }
    tookMs.sort((a, b) => a - b);
    const at = (share: number): string =>
      `${(tookMs[Math.floor(tookMs.length * share)] ?? Number.NaN).toFixed(2)} ms`;
    process.stderr.write(`journal commit: median ${at(0.5)}, p99 ${at(0.99)}, n ${tookMs.length}\n`);
    expect(journal.verifyChain()).toEqual({ ok: true });
  });
});
