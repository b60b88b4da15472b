/** A process killed in the midst of its commits, or of opening the journal, again and again: what it had acknowledged is there, whole and in order. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { describe, expect, it } from "vitest";
import { BELAY } from "../../src/core/event.ts";
import type { State } from "../../src/core/rollout/state.ts";
import { JOURNALS, type JournalDriver, type OpenJournal, story } from "../support/journal-contract.ts";

const KILLS = 24;
/** How long a child works at most before it is killed, ms; where in a commit the kill falls is left to chance. */
const LONGEST_WORK_MS = 40;

/** The child says that it opens the journal, then commits without end and says so after each commit. */
const CHILD = `
  const [place, base] = [process.argv[1], JSON.parse(process.argv[2])];
  process.stdout.write("opening\\n");
  const journal = await (OPEN);
  let { revision, state, event } = base;
  for (;;) {
    const seq = revision + 1;
    const events = [{ seq, at: seq, wall: seq, event }];
    state = { ...state, revision: seq };
    const body = { kind: "card", run: state.run, channel: "C" };
    const outbox = ["card", "note." + seq].map((key) => ({ run: state.run, key, lane: "normal", body, wall: seq }));
    const change = { run: state.run, expected: revision, events, state, ended: false, forward: false, outbox, intakes: [] };
    const result = await journal.commit(change);
    if (result.kind !== "ok") throw new Error(result.kind);
    revision = seq;
    process.stdout.write(revision + "\\n");
  }`;

interface Killed {
  /** The last revision that the child said was committed; the one it began with if it said none. */
  readonly acknowledged: number;
  readonly signal: NodeJS.Signals | null;
  readonly complaint: string;
}

type KillAfter = "opening" | "first commit";

/** Starts a child that commits on and on, and kills it `workMs` after it said what `after` names. */
function commitUntilKilled(
  openJournal: string,
  place: string,
  state: State,
  after: KillAfter,
  workMs: number,
): Promise<Killed> {
  const script = CHILD.replace("OPEN", () => openJournal);
  const event = { kind: "refused", verb: "x", code: "y", by: BELAY, detail: "z".repeat(200) };
  const args = [
    "--input-type=module",
    "--eval",
    script,
    "--",
    place,
    JSON.stringify({ revision: state.revision, state, event }),
  ];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let acknowledged = state.revision;
  let complaint = "";
  let timer: NodeJS.Timeout | undefined;
  child.stderr.on("data", (chunk) => {
    complaint += String(chunk);
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line !== "opening") acknowledged = Number(line);
    if (line !== "opening" || after === "opening") timer ??= setTimeout(() => child.kill("SIGKILL"), workMs);
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (_code, signal) => {
      clearTimeout(timer);
      resolve({ acknowledged, signal, complaint });
    });
  });
}

async function stateOf({ journal }: OpenJournal): Promise<State> {
  const run = await journal.run("r-1");
  if (run === undefined) throw new Error("the run is gone");
  return run.state;
}

/** Opens the journal after a kill and expects everything up to `acknowledged` and at most one commit more; the state found. */
async function judge(driver: JournalDriver, place: string, acknowledged: number): Promise<State> {
  const open = await driver.open(place);
  const state = await stateOf(open);
  // The commit that was under way may have arrived or not.
  expect([acknowledged, acknowledged + 1]).toContain(state.revision);
  const events = await open.journal.events("r-1");
  expect(events.map(({ seq }) => seq)).toEqual(
    Array.from({ length: state.revision }, (_, index) => index + 1),
  );
  const items = await open.journal.pending();
  const notes = items.filter(({ key }) => key.startsWith("note."));
  expect(notes.length).toBe(state.revision - 1);
  expect(items.find(({ key }) => key === "card")?.generation ?? 0).toBe(state.revision - 1);
  await open.check();
  await open.close();
  return state;
}

const DURABLE = JOURNALS.flatMap((driver) =>
  driver.openInChild === undefined ? [] : [{ name: driver.name, driver, openInChild: driver.openInChild }],
);

describe.each(DURABLE)("kill -9, $name", ({ driver, openInChild }) => {
  it(`loses no acknowledged commit over ${KILLS} kills`, { timeout: 120_000 }, async () => {
    const place = await driver.newPlace();
    const before = await driver.open(place);
    await before.journal.commit(story("r-1").begin());
    let state = await stateOf(before);
    await before.close();
    for (let round = 0; round < KILLS; round++) {
      const after = round % 3 === 2 ? "opening" : "first commit";
      const killed = await commitUntilKilled(
        openInChild,
        place,
        state,
        after,
        (LONGEST_WORK_MS * round) / KILLS,
      );
      expect(killed).toMatchObject({ signal: "SIGKILL", complaint: "" });
      if (after === "first commit") expect(killed.acknowledged).toBeGreaterThan(state.revision);
      state = await judge(driver, place, killed.acknowledged);
    }
    expect(state.revision).toBeGreaterThan(KILLS);
    await driver.dropPlace(place);
  });
});

describe("the contract", () => {
  it("is tried by kills on at least one kind of journal", () => {
    expect(DURABLE.length).toBeGreaterThan(0);
  });
});
