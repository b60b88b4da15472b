/** The outside of one rollout on virtual time: a person, a chat and metrics in memory, and the real flag store's file, which decides whether production is bad. */
import type { Answer } from "../../src/core/measurement.ts";
import type { FlagDef } from "../../src/core/plan.ts";
import { alertOf } from "../../src/core/report/alert.ts";
import { cardOf } from "../../src/core/report/card.ts";
import type { Setting } from "../../src/core/setting.ts";
import type { OutboxItem } from "../../src/engine/messages.ts";
import type { Chat, Flags, Journal, Metrics, RunView } from "../../src/engine/ports.ts";
import type { Timeline } from "../simulation/timeline.ts";
import { flagsIn } from "./short-world.ts";

const SECOND_MS = 1_000;
const WINDOW_S = 10;
/** Share of failed work while it is bad. */
const BAD_SHARE = 0.3;

/** Calls one port: counts the call, and may let the process die before or after its effect. */
export type Call = <T>(name: string, act: () => Promise<T>) => Promise<T>;

/** Every call of the journal goes through `call`. */
export function countedJournal(journal: Journal, call: Call): Journal {
  return {
    accept: (intake) => call("journal.accept", () => journal.accept(intake)),
    unanswered: () => call("journal.unanswered", () => journal.unanswered()),
    answer: (key, drafts) => call("journal.answer", () => journal.answer(key, drafts)),
    newRunId: () => call("journal.newRunId", () => journal.newRunId()),
    commit: (commit) => call("journal.commit", () => journal.commit(commit)),
    openRuns: () => call("journal.openRuns", () => journal.openRuns()),
    run: (id) => call("journal.run", () => journal.run(id)),
    lastRunOf: (rollout) => call("journal.lastRunOf", () => journal.lastRunOf(rollout)),
    events: (run, from) => call("journal.events", () => journal.events(run, from)),
    eventsSince: (wall, most, kinds) =>
      call("journal.eventsSince", () => journal.eventsSince(wall, most, kinds)),
    pending: () => call("journal.pending", () => journal.pending()),
    attempted: (id) => call("journal.attempted", () => journal.attempted(id)),
    delivered: (item, ref) => call("journal.delivered", () => journal.delivered(item, ref)),
    refOf: (key) => call("journal.refOf", () => journal.refOf(key)),
    saveEvidence: (rows) => call("journal.saveEvidence", () => journal.saveEvidence(rows)),
    evidence: (run) => call("journal.evidence", () => journal.evidence(run)),
    setMeta: (key, value) => call("journal.setMeta", () => journal.setMeta(key, value)),
    meta: (key) => call("journal.meta", () => journal.meta(key)),
  };
}

/** One write as it reached the store. */
export interface Written {
  readonly flag: string;
  readonly setting: Setting;
  readonly intent: string;
  readonly at: number;
}

/** Every call of the store goes through `call`; what it wrote is noted. */
export function countedFlags(store: Flags, call: Call, written: Written[], now: () => number): Flags {
  return {
    can: store.can,
    history: (flags, since) => call("flags.history", () => store.history(flags, since)),
    rehearse: (flag) => call("flags.rehearse", () => store.rehearse(flag)),
    reach: () => call("flags.reach", () => store.reach()),
    read: (flags) => call("flags.read", () => store.read(flags)),
    write: (writes) =>
      call("flags.write", async () => {
        const results = await store.write(writes);
        for (const { flag, setting, intent } of writes)
          if (results[flag.name] === "written") written.push({ flag: flag.name, setting, intent, at: now() });
        return results;
      }),
  };
}

/** What the service says of its flags: what the file says, a moment later. */
export function viewOf(flagsPath: string, timeline: Timeline, call: Call) {
  return {
    read: (flags: readonly FlagDef[]): Promise<Readonly<Record<string, string>>> =>
      call("view.read", async () => {
        await passing(timeline, 5);
        const values = flagsIn(flagsPath);
        return Object.fromEntries(flags.map((flag) => [flag.name, values[flag.key] ?? flag.off]));
      }),
  };
}

function passing(timeline: Timeline, ms: number): Promise<void> {
  return new Promise((resolve) => timeline.after(ms, resolve));
}

/** Production, second by second: bad while the culprit's key is on in the file. */
export class Production {
  readonly #bad: boolean[] = [];
  readonly #flagsPath: string;
  readonly #key: string;

  constructor(flagsPath: string, key: string) {
    this.#flagsPath = flagsPath;
    this.#key = key;
  }

  /** Lets the next second pass. */
  second(): void {
    this.#bad.push(flagsIn(this.#flagsPath)[this.#key] === "true");
  }

  metrics(timeline: Timeline, call: Call): Metrics {
    return {
      query: (query, at) =>
        call("metrics.query", async () => {
          await passing(timeline, 8);
          return this.#answer(query, at);
        }),
      queryRange: (query, from, to, step) =>
        call("metrics.queryRange", async () => {
          await passing(timeline, 15);
          const points = [];
          for (let wall = from; wall <= to; wall += step)
            points.push({ wall, answer: this.#answer(query, wall) });
          return { kind: "points" as const, points };
        }),
    };
  }

  #answer(query: string, wall: number): Answer {
    const value = query.startsWith("fresh") ? wall / SECOND_MS : query === "failures" ? this.#share(wall) : 1;
    const result = [{ metric: {}, value: [wall / SECOND_MS, String(value)] }];
    return { kind: "body", body: { status: "success", data: { resultType: "vector", result } } };
  }

  #share(wall: number): number {
    const end = Math.floor(wall / SECOND_MS);
    const window = this.#bad.slice(Math.max(0, end - WINDOW_S), end);
    return (BAD_SHARE * window.filter((bad) => bad).length) / WINDOW_S;
  }
}

/** A chat that keeps what it was sent, by key, as people would read it last; a key posted twice is kept for the judge. */
export class Channel {
  readonly shown = new Map<string, string>();
  readonly twice: string[] = [];
  /** Every private answer ever sent. */
  readonly answers: { readonly key: string; readonly text: string }[] = [];

  chat(timeline: Timeline, call: Call): Chat {
    return {
      post: (item, view) =>
        call("chat.post", async () => {
          await passing(timeline, 20);
          // A private answer cannot be looked for: it may rarely come twice, never not at all.
          if (item.body.kind === "answer") {
            this.answers.push({ key: item.key, text: item.body.answer.text });
            return undefined;
          }
          if (item.attempts > 0 && this.shown.has(item.key)) return { channel: "C1", ts: item.key };
          if (this.shown.has(item.key)) this.twice.push(item.key);
          this.shown.set(item.key, textOf(item, view));
          return { channel: "C1", ts: item.key };
        }),
      update: (_ref, item, view) =>
        call("chat.update", async () => {
          await passing(timeline, 10);
          this.shown.set(item.key, textOf(item, view));
        }),
    };
  }
}

function textOf({ body }: OutboxItem, view: RunView | undefined): string {
  if (body.kind === "note") return body.text;
  if (body.kind === "answer") return body.answer.text;
  if (body.kind === "post") return body.post.summary;
  if (body.kind === "page" || body.kind === "change") return body.kind;
  if (view === undefined) return "(no view)";
  if (body.kind === "card") return cardOf(view).status;
  const alert = alertOf(view, body.about, body.seq);
  return alert === undefined ? "(nothing to show)" : `${alert.title} ${alert.summary}`;
}
