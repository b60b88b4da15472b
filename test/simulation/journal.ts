/** A journal in memory that survives crashes, with the same promises as the real one: compare-and-set, claims, one outbox entry per key. */
import type { IncomingAlert } from "../../src/core/alerts/incoming.ts";
import type { Recorded } from "../../src/core/event.ts";
import type { AlertJournal } from "../../src/engine/alert-store.ts";
import type { Intake, MessageRef, OutboxDraft, OutboxItem } from "../../src/engine/messages.ts";
import type { Commit, CommitResult, EvidenceRow, Journal, StoredRun } from "../../src/engine/ports.ts";

interface StoredAlert {
  readonly alert: IncomingAlert;
  readonly wall: number;
  judged: boolean;
}

/** Everything that is on disk; it outlives the journals that are opened on it. */
export interface Disk {
  readonly runs: Map<string, StoredRun>;
  readonly events: Map<string, Recorded[]>;
  readonly claims: Map<string, string>;
  readonly intakes: Map<string, { intake: Intake; answered: boolean }>;
  readonly outbox: Map<string, OutboxItem & { done: boolean }>;
  readonly refs: Map<string, MessageRef>;
  readonly meta: Map<string, string>;
  readonly evidence: Map<string, EvidenceRow>;
  readonly alerts: Map<string, StoredAlert>;
  runCount: number;
  itemCount: number;
}

/** An empty disk. */
export function createDisk(): Disk {
  return {
    runs: new Map(),
    events: new Map(),
    claims: new Map(),
    intakes: new Map(),
    outbox: new Map(),
    refs: new Map(),
    meta: new Map(),
    evidence: new Map(),
    alerts: new Map(),
    runCount: 0,
    itemCount: 0,
  };
}

/** What the journal on a disk remembers of alerts. */
export function alertJournalOn(
  disk: Disk,
  effect: <T>(name: string, transaction: () => T) => Promise<T>,
): AlertJournal {
  return {
    takeAlerts: (alerts, wall) =>
      effect("takeAlerts", () => {
        const fresh = alerts.filter(({ key }) => !disk.alerts.has(key));
        for (const alert of fresh) disk.alerts.set(alert.key, { alert, wall, judged: false });
        return fresh.map(({ key }) => key);
      }),
    unjudgedAlerts: () =>
      effect("unjudgedAlerts", () =>
        [...disk.alerts.values()].filter((one) => !one.judged).map((one) => one.alert),
      ),
    judgedAlerts: (keys) =>
      effect("judgedAlerts", () => {
        for (const key of keys) {
          const known = disk.alerts.get(key);
          if (known !== undefined) known.judged = true;
        }
      }),
    knownAlertKeys: (sinceWall) =>
      effect("knownAlertKeys", () =>
        [...disk.alerts].filter(([, one]) => one.wall >= sinceWall).map(([key]) => key),
      ),
  };
}

/** The journal on a disk. `effect` runs each transaction; the simulation decides there about latency, loss and crashes. */
export function journalOn(
  disk: Disk,
  effect: <T>(name: string, transaction: () => T) => Promise<T>,
): Journal {
  return {
    accept: (intake) =>
      effect("accept", () => {
        if (disk.intakes.has(intake.key)) return false;
        disk.intakes.set(intake.key, { intake, answered: false });
        return true;
      }),
    unanswered: () =>
      effect("unanswered", () =>
        [...disk.intakes.values()].filter((one) => !one.answered).map((one) => one.intake),
      ),
    answer: (key, drafts) =>
      effect("answer", () => {
        markAnswered(disk, key);
        queue(disk, drafts);
      }),
    newRunId: () => effect("newRunId", () => `r-${++disk.runCount}`),
    commit: (commit) => effect("commit", () => commitTo(disk, commit)),
    openRuns: () =>
      effect("openRuns", () =>
        [...disk.runs.values()].filter(
          ({ state }) =>
            ["walking", "rolling_back", "looking", "stuck"].includes(state.phase) ||
            Object.keys(state.latched).length > 0,
        ),
      ),
    run: (id) => effect("run", () => disk.runs.get(id)),
    lastRunOf: (rollout) =>
      effect("lastRunOf", () => [...disk.runs.values()].findLast(({ state }) => state.rollout === rollout)),
    events: (run, fromSeq = 1) =>
      effect("events", () => (disk.events.get(run) ?? []).filter((one) => one.seq >= fromSeq)),
    eventsSince: (wall, most, kinds) =>
      effect("eventsSince", () =>
        [...disk.events]
          .flatMap(([run, events]) => events.map((recorded) => ({ run, recorded })))
          .filter(({ recorded }) => recorded.wall >= wall && (kinds?.includes(recorded.event.kind) ?? true))
          .sort((a, b) => a.recorded.wall - b.recorded.wall)
          .slice(-most),
      ),
    pending: () =>
      effect("pending", () =>
        [...disk.outbox.values()].filter((one) => !one.done).sort((a, b) => a.id - b.id),
      ),
    attempted: (id) =>
      effect("attempted", () => {
        for (const [key, item] of disk.outbox)
          if (item.id === id) disk.outbox.set(key, { ...item, attempts: item.attempts + 1 });
      }),
    delivered: (item, ref) =>
      effect("delivered", () => {
        const known = disk.outbox.get(item.key);
        if (known !== undefined && known.generation === item.generation)
          disk.outbox.set(item.key, { ...known, done: true });
        if (ref !== undefined) disk.refs.set(item.key, ref);
      }),
    refOf: (key) => effect("refOf", () => disk.refs.get(key)),
    saveEvidence: (rows) =>
      effect("saveEvidence", () => {
        for (const row of rows) disk.evidence.set(`${row.run} ${row.guard} ${row.minute}`, row);
      }),
    evidence: (run) => effect("evidence", () => [...disk.evidence.values()].filter((row) => row.run === run)),
    setMeta: (key, value) =>
      effect("setMeta", () => {
        disk.meta.set(key, value);
      }),
    meta: (key) => effect("meta", () => disk.meta.get(key)),
  };
}

/** One decision, all or nothing: refused when the run has moved on or a claim is taken, else everything it changes. */
function commitTo(disk: Disk, commit: Commit): CommitResult {
  const revision = disk.runs.get(commit.run)?.state.revision ?? 0;
  if (revision !== commit.expected) return { kind: "conflict" };
  for (const claim of commit.begin?.claims ?? []) {
    const owner = disk.claims.get(claim);
    if (owner !== undefined) return { kind: "claimed", claim, run: owner };
  }
  const plan = commit.begin?.plan ?? disk.runs.get(commit.run)?.plan;
  if (plan === undefined) throw new Error(`commit to unknown run ${commit.run}`);
  for (const claim of commit.begin?.claims ?? []) disk.claims.set(claim, commit.run);
  disk.runs.set(commit.run, { plan, state: commit.state });
  disk.events.set(commit.run, [...(disk.events.get(commit.run) ?? []), ...commit.events]);
  if (commit.ended)
    for (const [claim, owner] of disk.claims) if (owner === commit.run) disk.claims.delete(claim);
  queue(disk, commit.outbox);
  for (const key of commit.intakes) markAnswered(disk, key);
  return { kind: "ok" };
}

/** Queues messages: a draft under a known key is the next generation of that message, to be delivered again. */
function queue(disk: Disk, drafts: readonly OutboxDraft[]): void {
  for (const draft of drafts) {
    const known = disk.outbox.get(draft.key);
    const tries = (known?.attempts ?? 0) + (draft.maybeSent === true ? 1 : 0);
    disk.outbox.set(draft.key, {
      ...draft,
      id: known?.id ?? ++disk.itemCount,
      generation: (known?.generation ?? 0) + 1,
      attempts: disk.refs.has(draft.key) ? 0 : tries,
      done: false,
    });
  }
}

function markAnswered(disk: Disk, key: string): void {
  const known = disk.intakes.get(key);
  if (known !== undefined) known.answered = true;
}
