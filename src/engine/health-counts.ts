/** How many checks each probe ran and how many were bad, added up here and put into the journal now and then. */
import { HOUR } from "../core/time.ts";
import { type Log, messageOfFault } from "./ports.ts";
import type { SubjectJournal } from "./watch-ports.ts";

interface Count {
  readonly id: string;
  /** Wall ms at which the hour of UTC begins. */
  readonly hourWall: number;
  readonly ran: number;
  readonly bad: number;
}

export class CheckCounts {
  readonly #journal: Pick<SubjectJournal, "countChecks">;
  readonly #log: Log;
  #counts = new Map<string, Count>();
  #flushing: Promise<void> | undefined;

  constructor(journal: Pick<SubjectJournal, "countChecks">, log: Log) {
    this.#journal = journal;
    this.#log = log;
  }

  /** One check that came to a result at `wall` (ms). */
  add(id: string, wall: number, bad: boolean): void {
    this.#put({ id, hourWall: Math.floor(wall / HOUR) * HOUR, ran: 1, bad: bad ? 1 : 0 });
  }

  /** Puts what was counted into the journal; what it does not take is kept for the next time. Never rejects. */
  flush(): Promise<void> {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  #put(more: Count): void {
    const key = `${more.hourWall} ${more.id}`;
    const known = this.#counts.get(key);
    const sum = { ...more, ran: more.ran + (known?.ran ?? 0), bad: more.bad + (known?.bad ?? 0) };
    this.#counts.set(key, sum);
  }

  async #flush(): Promise<void> {
    const taken = [...this.#counts.values()];
    this.#counts = new Map();
    for (const [index, { id, hourWall, ran, bad }] of taken.entries()) {
      try {
        await this.#journal.countChecks(id, hourWall, ran, bad);
      } catch (error) {
        // A journal that is away would let each of them wait; all the others are put back at once.
        for (const left of taken.slice(index)) this.#put(left);
        this.#log.warn("checks could not be counted in the journal", { error: messageOfFault(error) });
        return;
      }
    }
  }
}
