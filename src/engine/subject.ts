/** The state of one durable subject: every decision is journaled with what it owes to people; while the journal is away it counts all the same and is journaled later. */
import type { RecordedOf } from "../core/event.ts";
import type { OutboxDraft } from "./messages.ts";
import { type Clock, type Log, messageOfFault } from "./ports.ts";
import type { SubjectJournal, SubjectKind, Subjects } from "./watch-ports.ts";

type StateOf<K extends SubjectKind> = Subjects[K]["state"];
type EventOf<K extends SubjectKind> = Subjects[K]["event"];

export interface SubjectDeps<K extends SubjectKind> {
  readonly kind: K;
  readonly id: string;
  readonly clock: Clock;
  readonly journal: SubjectJournal;
  readonly log: Log;
  readonly evolve: (state: StateOf<K> | undefined, recorded: RecordedOf<EventOf<K>>) => StateOf<K>;
  /** Whether the journal is to list it among the open ones. */
  readonly isOpen: (state: StateOf<K>) => boolean;
  /** What this decision says to people, given the state after it. */
  readonly announce: (state: StateOf<K>, events: readonly RecordedOf<EventOf<K>>[]) => readonly OutboxDraft[];
  /** Messages that the journal could not take. */
  readonly sendNow: (drafts: readonly OutboxDraft[]) => void;
}

/** `kept`: in the journal. `owed`: it counts, and the journal does not have it yet. */
export type SubjectKept = "kept" | "owed";

interface Owed<K extends SubjectKind> {
  readonly events: readonly RecordedOf<EventOf<K>>[];
  readonly drafts: readonly OutboxDraft[];
  readonly intakes: readonly string[];
}

/** To be used by one decision at a time: `commit` must not be called before the one before it has resolved. */
export class SubjectKeeper<K extends SubjectKind> {
  readonly #deps: SubjectDeps<K>;
  #state: StateOf<K> | undefined;
  /** What the journal has. */
  #durable: number;
  #owed: readonly Owed<K>[] = [];

  constructor(deps: SubjectDeps<K>, state?: StateOf<K>) {
    this.#deps = deps;
    this.#state = state;
    this.#durable = state?.revision ?? 0;
  }

  state(): StateOf<K> | undefined {
    return this.#state;
  }

  isFlushed(): boolean {
    return this.#owed.length === 0;
  }

  /** Records events; without any it tries to journal what is owed. Never rejects. */
  async commit(
    events: readonly EventOf<K>[],
    drafts: readonly OutboxDraft[] = [],
    intakes: readonly string[] = [],
  ): Promise<SubjectKept> {
    const { clock, evolve, announce, sendNow } = this.#deps;
    const { steady, wall } = clock.now();
    const from = (this.#state?.revision ?? 0) + 1;
    const recorded = events.map((event, index) => ({ seq: from + index, at: steady, wall, event }));
    for (const one of recorded) this.#state = evolve(this.#state, one);
    if (this.#state === undefined) return "kept";
    const isNew = recorded.length > 0 || intakes.length > 0;
    if (isNew) {
      const told = recorded.length === 0 ? drafts : [...announce(this.#state, recorded), ...drafts];
      this.#owed = [...this.#owed, { events: recorded, drafts: told, intakes }];
    }
    if (this.#owed.length === 0 || (await this.#write(this.#state))) return "kept";
    // What was owed before has been sent already.
    if (isNew) sendNow(this.#owed.at(-1)?.drafts ?? []);
    return "owed";
  }

  /** All that is owed in one transaction. */
  async #write(state: StateOf<K>): Promise<boolean> {
    const { journal, kind, id, isOpen, log } = this.#deps;
    const owed = this.#owed;
    try {
      const result = await journal.commitSubject({
        kind,
        id,
        expected: this.#durable,
        events: owed.flatMap((one) => one.events),
        state,
        open: isOpen(state),
        outbox: owed.flatMap((one) => one.drafts),
        intakes: owed.flatMap((one) => one.intakes),
      });
      if (result !== "ok") return await this.#readBack();
      this.#durable = state.revision;
      this.#owed = [];
      return true;
    } catch (error) {
      log.error("the journal did not take a decision", { subject: id, error: messageOfFault(error) });
      return false;
    }
  }

  /** Only this process writes the subject: another revision than thought means that an earlier write did arrive although its reply was lost. */
  async #readBack(): Promise<boolean> {
    const { journal, kind, id } = this.#deps;
    const stored = await journal.subject(kind, id);
    this.#durable = stored?.revision ?? 0;
    this.#owed = this.#owed.filter(({ events }) => (events.at(-1)?.seq ?? 0) > this.#durable);
    return this.#owed.length === 0;
  }
}
