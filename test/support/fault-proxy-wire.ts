/** Answers of the fault proxy that are written to the wire by hand, because no HTTP server would send them so. */
import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

const DRIP_EVERY_MS = 200;

/** An answer of the server, whole. */
export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** The head of an answer as it goes over the wire. */
function headOf({ status, headers, body }: Reply): Buffer {
  const lines = Object.entries({
    ...headers,
    "content-length": String(body.length),
    connection: "close",
  }).flatMap(([name, value]) =>
    Array.isArray(value) ? value.map((one) => `${name}: ${one}`) : [`${name}: ${value}`],
  );
  return Buffer.from(`HTTP/1.1 ${status} Any\r\n${lines.join("\r\n")}\r\n\r\n`, "latin1");
}

/** The head at once and the body byte by byte; of an answer without a body the head comes byte by byte. */
export async function drip(socket: Socket, reply: Reply, everyMs = DRIP_EVERY_MS): Promise<void> {
  const head = headOf(reply);
  const slow = reply.body.length > 0 ? reply.body : head;
  if (reply.body.length > 0) socket.write(head);
  for (const byte of slow) {
    if (socket.destroyed) return;
    socket.write(Buffer.of(byte));
    await delay(everyMs);
  }
  socket.end();
}

/** Half of the body that was announced; of an answer without a body, half of its head. */
export function truncate(socket: Socket, reply: Reply): void {
  const { body } = reply;
  const head = headOf(reply);
  const part =
    body.length > 0
      ? Buffer.concat([head, body.subarray(0, Math.floor(body.length / 2))])
      : head.subarray(0, Math.floor(head.length / 2));
  socket.end(part);
}
