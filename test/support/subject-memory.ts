/** The memory of subjects (incidents, probes, jobs) in memory: the promises of the real one, what it owes to be read, and its bad days. */
import type { IncomingAlert } from "../../src/core/alerts/incoming.ts";
import type { RecordedOf } from "../../src/core/event.ts";
import type { OutboxDraft } from "../../src/engine/messages.ts";
import { OutsideFault } from "../../src/engine/ports.ts";
import type {
  SubjectCommit,
  SubjectJournal,
  SubjectKind,
  SubjectResult,
  Subjects,
} from "../../src/engine/watch-ports.ts";

interface Row<K extends SubjectKind> {
  readonly state: Subjects[K]["state"];
  readonly events: readonly RecordedOf<Subjects[K]["event"]>[];
  readonly open: boolean;
  readonly fires: ReadonlySet<number>;
}

type Tables = { readonly [K in SubjectKind]: Map<string, Row<K>> };

/** A message as it is owed now; `generation` counts how often it was put under its key. */
export interface OwedMessage {
  readonly draft: OutboxDraft;
  readonly generation: number;
}

export interface SubjectMemory extends SubjectJournal {
  /** Everything owed so far, by key, in the order in which the keys came first. */
  readonly owed: ReadonlyMap<string, OwedMessage>;
  /** Every draft of every commit, oldest first. */
  readonly drafts: readonly OutboxDraft[];
  /** Intakes that commits have answered. */
  readonly answered: ReadonlySet<string>;
  /** `away`: every call rejects and changes nothing. `reply_lost`: the next commit is applied and rejects, then all is well. */
  mood(next: "well" | "away" | "reply_lost"): void;
  /** Called before each commit is applied, so that a test can be in the way of it. */
  beforeCommit(
    act: ((commit: { readonly kind: SubjectKind; readonly id: string }) => void) | undefined,
  ): void;
}

/** An empty memory. It outlives the desks that are started on it, so it is also what is on disk after a crash. */
export function createSubjectMemory(): SubjectMemory {
  const tables: Tables = { incident: new Map(), probe: new Map(), job: new Map() };
  const owed = new Map<string, OwedMessage>();
  const drafts: OutboxDraft[] = [];
  const answered = new Set<string>();
  const alerts = new Map<string, { readonly alert: IncomingAlert; readonly wall: number; judged: boolean }>();
  const checks = new Map<string, { readonly id: string; readonly day: number; ran: number; bad: number }>();
  let incidents = 0;
  let mood: "well" | "away" | "reply_lost" = "well";
  let before: ((commit: { readonly kind: SubjectKind; readonly id: string }) => void) | undefined;

  async function transaction<T>(act: () => T): Promise<T> {
    await Promise.resolve();
    if (mood === "away") throw new OutsideFault("the journal is away", { recoverable: true });
    return act();
  }

  function apply<K extends SubjectKind>(commit: SubjectCommit<K>): SubjectResult {
    const result = commitTo(tables[commit.kind], commit);
    if (result !== "ok") return result;
    for (const draft of commit.outbox) {
      drafts.push(draft);
      owed.set(draft.key, { draft, generation: (owed.get(draft.key)?.generation ?? 0) + 1 });
    }
    for (const key of commit.intakes) answered.add(key);
    return "ok";
  }

  return {
    owed,
    drafts,
    answered,
    mood(next) {
      mood = next;
    },
    beforeCommit(act) {
      before = act;
    },
    newIncidentId: () => transaction(() => `i-${++incidents}`),
    commitSubject: (commit) =>
      transaction(() => {
        before?.({ kind: commit.kind, id: commit.id });
        const result = apply(commit);
        if (mood !== "reply_lost") return result;
        mood = "well";
        throw new OutsideFault("the journal did not answer", { recoverable: true });
      }),
    openSubjects: (kind) =>
      transaction(() => [...tables[kind].values()].filter((row) => row.open).map((row) => row.state)),
    subject: (kind, id) => transaction(() => tables[kind].get(id)?.state),
    subjectEvents: (kind, id) => transaction(() => tables[kind].get(id)?.events ?? []),
    subjectEventsSince: (kind, wall, most) => transaction(() => eventsSince(tables[kind], wall, most)),
    takeAlerts: (taken, wall) =>
      transaction(() => {
        const fresh: string[] = [];
        for (const alert of taken) {
          if (alerts.has(alert.key)) continue;
          alerts.set(alert.key, { alert, wall, judged: false });
          fresh.push(alert.key);
        }
        return fresh;
      }),
    unjudgedAlerts: () =>
      transaction(() => [...alerts.values()].filter((one) => !one.judged).map((one) => one.alert)),
    judgedAlerts: (keys) =>
      transaction(() => {
        for (const key of keys) {
          const known = alerts.get(key);
          if (known !== undefined) known.judged = true;
        }
      }),
    knownAlertKeys: (sinceWall) =>
      transaction(() => [...alerts].filter(([, one]) => one.wall >= sinceWall).map(([key]) => key)),
    countChecks: (id, dayWall, ran, bad) =>
      transaction(() => {
        const key = `${dayWall} ${id}`;
        const row = checks.get(key) ?? { id, day: dayWall, ran: 0, bad: 0 };
        checks.set(key, { ...row, ran: row.ran + ran, bad: row.bad + bad });
      }),
    checksSince: (wall) =>
      transaction(() => {
        const sums = new Map<string, { readonly id: string; readonly ran: number; readonly bad: number }>();
        for (const { id, day, ran, bad } of checks.values()) {
          if (day < wall) continue;
          const sum = sums.get(id) ?? { id, ran: 0, bad: 0 };
          sums.set(id, { id, ran: sum.ran + ran, bad: sum.bad + bad });
        }
        return [...sums.values()];
      }),
  };
}

/** One decision, all or nothing. */
function commitTo<K extends SubjectKind>(
  table: Map<string, Row<K>>,
  commit: SubjectCommit<K>,
): SubjectResult {
  const known = table.get(commit.id);
  if ((known?.state.revision ?? 0) !== commit.expected) return "conflict";
  const fires = new Set(known?.fires);
  for (const fire of commit.fires ?? []) {
    if (fires.has(fire)) return "claimed";
    fires.add(fire);
  }
  commit.events.forEach((recorded, index) => {
    if (recorded.seq !== commit.expected + index + 1)
      throw new Error(`event ${recorded.seq} of ${commit.id} does not follow revision ${commit.expected}`);
  });
  const events = [...(known?.events ?? []), ...commit.events];
  if (commit.state.revision !== events.length)
    throw new Error(`${commit.id} has ${events.length} events and says revision ${commit.state.revision}`);
  table.set(commit.id, { state: commit.state, events, open: commit.open, fires });
  return "ok";
}

function eventsSince<K extends SubjectKind>(
  table: ReadonlyMap<string, Row<K>>,
  wall: number,
  most: number,
): readonly { readonly id: string; readonly recorded: RecordedOf<Subjects[K]["event"]> }[] {
  return [...table]
    .flatMap(([id, row]) => row.events.map((recorded) => ({ id, recorded })))
    .filter(({ recorded }) => recorded.wall >= wall)
    .sort((a, b) => a.recorded.wall - b.recorded.wall)
    .slice(0, most);
}
