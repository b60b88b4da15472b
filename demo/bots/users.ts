/** The users: each chats with one bot, waits for its answer, thinks a while and writes again, so that no more messages are in flight than there are users. */
import { setTimeout as delay } from "node:timers/promises";
import { BOTS, type BotName } from "./metrics.ts";

const THINK_MEAN_MS = 1_000;
const THINK_LEAST_MS = 100;
const THINK_MOST_MS = 4_000;
const QUESTIONS = 150;

export interface UsersOptions {
  /** Never rejects. */
  readonly ask: (bot: BotName, user: string, message: string) => Promise<unknown>;
}

export interface Users {
  /** Lets users join or leave until there are so many. */
  readonly set: (count: number) => void;
  readonly active: (bot: BotName) => number;
}

interface Session {
  readonly bot: BotName;
  readonly leave: AbortController;
}

/** Nobody is there at first. */
export function createUsers({ ask }: UsersOptions): Users {
  const sessions: Session[] = [];
  let joined = 0;

  function think(): number {
    const ms = -Math.log(1 - Math.random()) * THINK_MEAN_MS;
    return Math.min(THINK_MOST_MS, Math.max(THINK_LEAST_MS, ms));
  }
  async function chat({ bot, leave: { signal } }: Session, user: string): Promise<void> {
    while (!signal.aborted) {
      await delay(think(), undefined, { signal }).catch(() => {});
      // Some questions are asked far more often than others.
      const question = `question ${Math.floor(QUESTIONS * Math.random() ** 3)}`;
      if (!signal.aborted) await ask(bot, user, question);
    }
  }
  function set(count: number): void {
    while (sessions.length > count) sessions.pop()?.leave.abort();
    while (sessions.length < count) {
      const bot = BOTS[sessions.length % BOTS.length] ?? "support";
      const session = { bot, leave: new AbortController() };
      sessions.push(session);
      joined += 1;
      void chat(session, `user-${joined}`);
    }
  }
  return {
    set,
    active: (bot) => sessions.filter((session) => session.bot === bot).length,
  };
}
