/** The pool of database connections that the five bots share: real sockets, at most so many in use, the others wait their turn. */
import { connect, type Socket } from "node:net";
import { z } from "zod";
import { createLines } from "./lines.ts";

/** For a connection to become free, and for each answer of the database. */
const PATIENCE_MS = 1_000;

const historySchema = z.object({ history: z.array(z.string()) });
const savedSchema = z.object({ ok: z.literal(true) });

export interface Connection {
  /** The last lines of a user's chat, the oldest first. */
  readonly history: (user: string) => Promise<readonly string[]>;
  readonly save: (user: string, line: string) => Promise<void>;
}

export interface PoolFigures {
  readonly used: number;
  readonly size: number;
  readonly waiting: number;
}

export interface Pool {
  /** Hands out a connection for as long as the work takes. Rejects when none becomes free within a second, and with whatever the work rejects with. */
  readonly use: <T>(work: (connection: Connection) => Promise<T>) => Promise<T>;
  readonly figures: () => PoolFigures;
  /** Connections in use beyond a smaller size are given up when they come back. */
  readonly resize: (size: number) => void;
}

export interface PoolOptions {
  /** Port of the database on 127.0.0.1. */
  readonly port: number;
  readonly size: number;
  /** Told of every answered query, seconds. */
  readonly onQuery: (seconds: number) => void;
}

/** Opens connections when they are first needed. */
export function createPool(options: PoolOptions): Pool {
  let { size } = options;
  let used = 0;
  const idle: Line[] = [];
  const waiting: (() => void)[] = [];

  async function take(): Promise<void> {
    if (used < size) {
      used += 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const mine = (): void => {
        clearTimeout(late);
        resolve();
      };
      const late = setTimeout(() => {
        waiting.splice(waiting.indexOf(mine), 1);
        reject(new Error(`no connection became free within ${PATIENCE_MS} ms`));
      }, PATIENCE_MS);
      waiting.push(mine);
    });
  }
  /** A database that was restarted has closed those of before. */
  function takeIdle(): Line | undefined {
    for (let line = idle.pop(); line !== undefined; line = idle.pop()) if (line.isOpen()) return line;
    return undefined;
  }
  /** The place of who is done goes to who waits longest, so `used` stays. */
  function give(): void {
    const next = used <= size ? waiting.shift() : undefined;
    if (next === undefined) used -= 1;
    else next();
  }
  return {
    async use(work) {
      await take();
      const line = takeIdle() ?? openLine(options.port);
      try {
        return await work(connectionOver(line, options.onQuery));
      } finally {
        if (line.isOpen() && used <= size) idle.push(line);
        else line.close();
        give();
      }
    },
    figures: () => ({ used, size, waiting: waiting.length }),
    resize: (wanted) => {
      size = wanted;
      while (used < size && waiting.length > 0) {
        used += 1;
        waiting.shift()?.();
      }
    },
  };
}

function connectionOver(line: Line, onQuery: (seconds: number) => void): Connection {
  async function query(request: object): Promise<unknown> {
    const startedMs = performance.now();
    const answer = await line.ask(request);
    onQuery((performance.now() - startedMs) / 1_000);
    return answer;
  }
  return {
    history: async (user) => historySchema.parse(await query({ op: "history", user })).history,
    save: async (user, text) => void savedSchema.parse(await query({ op: "save", user, line: text })),
  };
}

/** One socket; one question at a time. A fault ends it. */
interface Line {
  readonly ask: (request: object) => Promise<unknown>;
  readonly isOpen: () => boolean;
  readonly close: () => void;
}

function openLine(port: number): Line {
  const socket: Socket = connect(port, "127.0.0.1");
  let answered: ((answer: unknown) => void) | undefined;
  let failed: ((error: Error) => void) | undefined;
  const lines = createLines((line) => answered?.(line));
  socket.on("data", (chunk) => {
    if (!lines(chunk)) socket.destroy();
  });
  socket.on("error", (error) => failed?.(error));
  socket.on("close", () => failed?.(new Error("the database closed the connection")));
  return {
    ask: (request) =>
      new Promise<unknown>((resolve, reject) => {
        const late = setTimeout(() => {
          reject(new Error(`the database did not answer within ${PATIENCE_MS} ms`));
          socket.destroy();
        }, PATIENCE_MS);
        answered = (answer) => {
          clearTimeout(late);
          resolve(answer);
        };
        failed = (error) => {
          clearTimeout(late);
          reject(error);
        };
        if (socket.destroyed) failed(new Error("the connection is closed"));
        else socket.write(`${JSON.stringify(request)}\n`);
      }),
    isOpen: () => !socket.destroyed,
    close: () => void socket.destroy(),
  };
}
