/** Servers that begin and end to listen, as promises. */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";

/** A path of a unix socket, or a host and a port (0 picks one). */
export type Where = string | { readonly host: string; readonly port: number };

/** Resolves when it listens; rejects with the system's error when it cannot. */
export function listen(server: Server, where: Where): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const listening = (): void => {
      server.off("error", reject);
      resolve();
    };
    if (typeof where === "string") server.listen(where, listening);
    else server.listen(where.port, where.host, listening);
  });
}

/** Takes no more connections and ends those that are open. */
export function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** The port it listens on; 0 for a unix socket. */
export function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}
