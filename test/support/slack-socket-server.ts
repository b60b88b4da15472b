/** A bare Socket Mode server of one workspace, for frames that the strict workspace never sends. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";

export interface SocketServer {
  readonly apiUrl: string;
  /** Every socket that was opened, oldest first. */
  readonly sockets: WebSocket[];
  /** What came through each socket, by its number. */
  readonly heard: string[][];
  stop(): Promise<void>;
}

/** Listens on loopback; greets each socket unless told to stay silent. */
export async function startSocketServer(greets = true): Promise<SocketServer> {
  const sockets: WebSocket[] = [];
  const heard: string[][] = [];
  const server: Server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ ok: true, url: `ws://127.0.0.1:${portOf(server)}/link` }));
  });
  const upgrades = new WebSocketServer({ server });
  upgrades.on("connection", (socket) => {
    const mine: string[] = [];
    sockets.push(socket);
    heard.push(mine);
    socket.on("message", (data: Buffer) => mine.push(data.toString()));
    if (greets) socket.send(JSON.stringify({ type: "hello" }));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    apiUrl: `http://127.0.0.1:${portOf(server)}/api/`,
    sockets,
    heard,
    async stop() {
      for (const socket of sockets) socket.terminate();
      upgrades.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening");
  return address.port;
}
