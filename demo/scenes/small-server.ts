/** A small HTTP server on loopback that is handed whole bodies; when something goes wrong inside, the connection is cut. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from "node:http";

const BODY_MOST_BYTES = 1_024 * 1_024;

export interface SmallServer {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
  close(): Promise<void>;
}

export interface SmallAnswer {
  readonly status: number;
  readonly body?: string;
}

/** Takes a free port. `answer` may reject. */
export async function startSmallServer(
  answer: (body: string, headers: IncomingHttpHeaders) => Promise<SmallAnswer>,
): Promise<SmallServer> {
  const server = createServer((request, response) => {
    read(request)
      .then((body) => answer(body, request.headers))
      .then(({ status, body }) => response.writeHead(status).end(body))
      .catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    origin: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) throw new Error("expected bytes");
    bytes += chunk.length;
    if (bytes > BODY_MOST_BYTES) throw new Error("a body without an end");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
