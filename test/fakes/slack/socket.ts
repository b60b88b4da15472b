/** Socket Mode: hands out tickets, holds the bot's sockets, and sends each envelope through one of them. */

import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { type AckBook, createAckBook } from "./ack-book.ts";
import { remember } from "./bounded.ts";
import type { Context } from "./context.ts";
import type { Delivery, Envelope, Transport } from "./delivery.ts";

/** Most sockets that one app may have open. */
export const SOCKETS_MAX = 10;
/** A ticket has to be used within this time. */
export const TICKET_LIFETIME_MS = 30_000;
const PING_EVERY_MS = 10_000;
const FRAME_BYTES_MAX = 1_000_000;

/** The Socket Mode side of the workspace. */
export interface SocketMode extends Transport {
  /** A new single-use address for a socket. */
  ticketUrl(): string;
  /** Takes an HTTP upgrade of `/link`. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Asks one socket (the oldest that is in use) to reconnect and sends nothing through it any more. @returns whether there was one. */
  refresh(): boolean;
  /** Cuts every socket's TCP connection, without a word. */
  drop(): void;
  /** Sockets that envelopes may go to. */
  ready(): number;
  /** Ends the waiting for acknowledgements. */
  close(): void;
}

interface Link {
  readonly socket: WebSocket;
  refreshing: boolean;
}

/** Tickets remembered, to tell a used one from an unknown one. */
const TICKETS_KEPT = 1_000;

/** Makes the Socket Mode side without sockets. */
export function createSocketMode(context: Context): SocketMode {
  const { record, clock } = context;
  const server = new WebSocketServer({ noServer: true, maxPayload: FRAME_BYTES_MAX });
  const tickets = new Map<string, { readonly atMs: number; used: boolean }>();
  const links: Link[] = [];
  const book = createAckBook(context);
  let turn = 0;

  const ready = (): readonly Link[] =>
    links.filter((link) => !link.refreshing && link.socket.readyState === link.socket.OPEN);

  function send(envelope: Envelope, link: Link): Promise<Delivery> {
    const sends = context.faults.takeDuplicate(envelope.type) ? 2 : 1;
    const { envelopeId, delivery } = book.enter(envelope, sends, () => links.includes(link));
    const frame = envelopeFrame(envelope, envelopeId);
    for (let count = 0; count < sends; count += 1) link.socket.send(frame);
    return delivery;
  }

  return {
    ticketUrl() {
      const ticket = randomBytes(16).toString("hex");
      remember(tickets, ticket, { atMs: clock.now(), used: false }, TICKETS_KEPT);
      return `${context.origin().replace("http:", "ws:")}/link/?ticket=${ticket}&app_id=${context.workspace.appId}`;
    },
    upgrade(request, socket, head) {
      const id = new URL(request.url ?? "/", "http://localhost").searchParams.get("ticket") ?? "";
      const ticket = tickets.get(id);
      if (ticket?.used === true) record.violate("ticket_reused", "a socket was opened with a used ticket");
      if (ticket === undefined || ticket.used || clock.now() - ticket.atMs > TICKET_LIFETIME_MS) {
        socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        return;
      }
      ticket.used = true;
      server.handleUpgrade(request, socket, head, (link) => admit(context, links, book, link));
    },
    deliver(envelope) {
      const candidates = ready();
      turn += 1;
      const link = candidates[turn % Math.max(1, candidates.length)];
      if (link !== undefined) return send(envelope, link);
      const { type, what } = envelope;
      record.ack({ envelopeId: "", type, what, ackMs: undefined, result: "undeliverable" });
      return Promise.resolve({ kind: "undeliverable", why: "the app has no socket open" });
    },
    refresh() {
      const link = ready()[0];
      if (link === undefined) return false;
      link.refreshing = true;
      link.socket.send(disconnectFrame("refresh_requested"));
      return true;
    },
    drop() {
      for (const link of [...links]) link.socket.terminate();
    },
    ready: () => ready().length,
    close: () => book.close(),
  };
}

/** Takes a socket into use: hello, heartbeat, acknowledgements; or turns it away when there are too many. */
function admit(context: Context, links: Link[], book: AckBook, socket: WebSocket): void {
  const { record, events, clock } = context;
  socket.on("error", () => socket.terminate());
  if (links.length >= SOCKETS_MAX) {
    record.violate("too_many_websockets", `more than ${SOCKETS_MAX} sockets are open`);
    socket.send(disconnectFrame("too_many_websockets"));
    socket.close();
    return;
  }
  const link: Link = { socket, refreshing: false };
  links.push(link);
  const heartbeat = setInterval(() => socket.ping(`ping ${clock.now()}`), PING_EVERY_MS);
  socket.on("message", (data: Buffer) => book.take(data.toString()));
  socket.on("close", () => {
    clearInterval(heartbeat);
    links.splice(links.indexOf(link), 1);
    events.emit("sockets", links.length);
  });
  socket.send(helloFrame(context, links.length));
  events.emit("sockets", links.length);
}

function helloFrame(context: Context, connections: number): string {
  return JSON.stringify({
    type: "hello",
    num_connections: connections,
    debug_info: { host: "demo-workspace", build_number: 1, approximate_connection_time: 18_060 },
    connection_info: { app_id: context.workspace.appId },
  });
}

function disconnectFrame(reason: string): string {
  return JSON.stringify({ type: "disconnect", reason, debug_info: { host: "demo-workspace" } });
}

function envelopeFrame(envelope: Envelope, envelopeId: string): string {
  return JSON.stringify({
    envelope_id: envelopeId,
    payload: envelope.payload,
    type: envelope.type,
    accepts_response_payload: envelope.acceptsBody,
    ...(envelope.type === "events_api"
      ? { retry_attempt: envelope.retryAttempt, retry_reason: envelope.retryReason }
      : {}),
  });
}
