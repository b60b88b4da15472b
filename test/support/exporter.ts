/** A tiny metrics exporter on loopback whose series a test sets as it likes. */
import { once } from "node:events";
import { createServer } from "node:http";

export interface Exporter {
  /** `127.0.0.1:1234`, as a Prometheus target. */
  readonly address: string;
  /** The text of the following scrapes, from the number of the scrape (1 is the first). */
  expose(text: (scrape: number) => string): void;
  /** Scrapes so far. */
  scrapes(): number;
  close(): Promise<void>;
}

/** Starts an exporter on a free port, or on the port given. */
export async function startExporter(text: (scrape: number) => string, port = 0): Promise<Exporter> {
  let current = text;
  let scrapes = 0;
  const server = createServer((_, response) => {
    scrapes += 1;
    response.writeHead(200, { "Content-Type": "text/plain; version=0.0.4" }).end(current(scrapes));
  }).listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the exporter has no port");
  return {
    address: `127.0.0.1:${address.port}`,
    expose: (next) => {
      current = next;
    },
    scrapes: () => scrapes,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
