/** A process killed in the midst of its commits, or of opening the journal, again and again: what it had acknowledged is there, whole and in order. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { describe, expect, it } from "vitest";
import { BELAY } from "../../src/core/event.ts";
import type { State } from "../../src/core/rollout/state.ts";
import type { JobState } from "../../src/core/watch/job.ts";
import {
  JOURNALS,
  type JournalDriver,
  jobStory,
  type OpenJournal,
  PAUSED,
  story,
} from "../support/journal-contract.ts";

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

/** The same for a job: each commit claims the fire of its number, owes a page, and stores an alert of its own before. */
const JOB_CHILD = `
  const [place, base] = [process.argv[1], JSON.parse(process.argv[2])];
  process.stdout.write("opening\\n");
  const journal = await (OPEN);
  let { revision, state, event } = base;
  for (;;) {
    const seq = revision + 1;
    const alert = { key: "a" + seq, fingerprint: "a", status: "firing", startsAt: seq, labels: {}, annotations: {} };
    await journal.takeAlerts([alert], seq);
    const events = [{ seq, at: seq, wall: seq, event }];
    state = { ...state, revision: seq };
    const outbox = [{ run: undefined, key: "page." + seq, lane: "page", body: { kind: "page" }, wall: seq }];
    const result = await journal.commitSubject({ kind: "job", id: state.id, expected: revision, events, state, open: true, fires: [seq], outbox, intakes: [] });
    if (result !== "ok") throw new Error(result);
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
  script: string,
  place: string,
  { state, event }: { readonly state: State | JobState; readonly event: unknown },
  after: KillAfter,
  workMs: number,
): Promise<Killed> {
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

const REFUSED = { kind: "refused", verb: "x", code: "y", by: BELAY, detail: "z".repeat(200) };

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

const JOB = "bots/daily";

async function jobOf({ journal }: OpenJournal): Promise<JobState> {
  const job = await journal.subject("job", JOB);
  if (job === undefined) throw new Error("the job is gone");
  return job;
}

/** The same for the job: each revision with its event, its fire, its page and its alert, and none of them without the others. */
async function judgeJob(driver: JournalDriver, place: string, acknowledged: number): Promise<JobState> {
  const open = await driver.open(place);
  const state = await jobOf(open);
  const { revision } = state;
  expect([acknowledged, acknowledged + 1]).toContain(revision);
  const events = await open.journal.subjectEvents("job", JOB);
  expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: revision }, (_, index) => index + 1));
  const pages = (await open.journal.pending()).filter(({ lane }) => lane === "page");
  expect(pages.length).toBe(revision - 1);
  const alerts = (await open.journal.unjudgedAlerts()).length;
  expect([revision - 1, revision]).toContain(alerts);
  const claim = (instant: number): Promise<string> => {
    const next = { seq: revision + 1, at: 1, wall: 1, event: PAUSED };
    const commit = {
      kind: "job" as const,
      id: JOB,
      expected: revision,
      events: [next],
      outbox: [],
      intakes: [],
    };
    return open.journal.commitSubject({
      ...commit,
      state: { ...state, revision: revision + 1 },
      open: true,
      fires: [instant],
    });
  };
  for (const instant of [2, Math.ceil(revision / 2) + 1, revision])
    if (revision > 1) expect(await claim(instant)).toBe("claimed");
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
        CHILD.replace("OPEN", () => openInChild),
        place,
        { state, event: REFUSED },
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

  it(`claims each fire with its event and its page over ${KILLS} kills`, { timeout: 120_000 }, async () => {
    const place = await driver.newPlace();
    const before = await driver.open(place);
    await before.journal.commitSubject(jobStory(JOB).next([PAUSED]));
    let state = await jobOf(before);
    await before.close();
    for (let round = 0; round < KILLS; round++) {
      const after = round % 3 === 2 ? "opening" : "first commit";
      const killed = await commitUntilKilled(
        JOB_CHILD.replace("OPEN", () => openInChild),
        place,
        { state, event: PAUSED },
        after,
        (LONGEST_WORK_MS * round) / KILLS,
      );
      expect(killed).toMatchObject({ signal: "SIGKILL", complaint: "" });
      if (after === "first commit") expect(killed.acknowledged).toBeGreaterThan(state.revision);
      state = await judgeJob(driver, place, killed.acknowledged);
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
