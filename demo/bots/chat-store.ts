/** The bots' database in small: a TCP server that keeps the last lines of each chat, one JSON object per line each way, a round trip of some 4 ms. */
import { createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { createLines } from "./lines.ts";

const ROUND_TRIP_MS = 4;
const LINES_KEPT = 6;
const MOST_USERS = 1_000;

const requestSchema = z.discriminatedUnion("op", [
  z.object({ op: z.literal("history"), user: z.string().max(100) }),
  z.object({ op: z.literal("save"), user: z.string().max(100), line: z.string().max(10_000) }),
]);

export interface ChatStore {
  readonly port: number;
  /** Ends every connection; what was kept is gone. */
  readonly stop: () => Promise<void>;
}

/** Listens on 127.0.0.1 (port 0: any free one); rejects when the port is taken. */
export async function startChatStore(port: number): Promise<ChatStore> {
  const chats = new Map<string, readonly string[]>();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    serve(socket, chats);
  });
  const own = await listen(server, port);
  return {
    port: own,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      resolve(address !== null && typeof address === "object" ? address.port : port);
    });
  });
}

function serve(socket: Socket, chats: Map<string, readonly string[]>): void {
  // Who breaks off is gone; there is nobody to tell.
  socket.on("error", () => socket.destroy());
  let turn: Promise<void> = Promise.resolve();
  const lines = createLines((line) => {
    const asked = requestSchema.safeParse(line);
    if (!asked.success) return void socket.destroy();
    turn = turn.then(async () => {
      await delay(ROUND_TRIP_MS);
      const { op, user } = asked.data;
      const history = chats.get(user) ?? [];
      if (op === "save") keep(chats, user, [...history, asked.data.line].slice(-LINES_KEPT));
      if (socket.writable) socket.write(`${JSON.stringify(op === "save" ? { ok: true } : { history })}\n`);
    });
  });
  socket.on("data", (chunk) => {
    if (!lines(chunk)) socket.destroy();
  });
}

function keep(chats: Map<string, readonly string[]>, user: string, lines: readonly string[]): void {
  chats.delete(user);
  chats.set(user, lines);
  const [oldest] = chats.keys();
  if (chats.size > MOST_USERS && oldest !== undefined) chats.delete(oldest);
}
