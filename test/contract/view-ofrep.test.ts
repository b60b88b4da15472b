/** The view over OFREP, asked for no flag: whether the service is up, which is what a restart waits for. */

import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { createOfrepView } from "../../src/adapters/flags/view-ofrep.ts";
import { faultOf } from "../support/faults.ts";

let server: Server | undefined;

afterEach(async () => {
  server?.closeAllConnections();
  server?.close();
  if (server?.listening === true) await once(server, "close");
  server = undefined;
});

/** A service that answers every request so; its address. */
async function service(status: number): Promise<string> {
  server = createServer((_, response) => void response.writeHead(status).end("{}"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return `http://127.0.0.1:${address.port}`;
}

const view = (url: string) => createOfrepView({ url, targetingKey: "belay", timeoutMs: 1_000 });

describe("asked for no flag", () => {
  it("a service that does not listen is not up", async () => {
    const url = await service(200);
    server?.close();
    if (server !== undefined) await once(server, "close");
    server = undefined;
    await faultOf(view(url).read([]));
  });

  it.each([500, 503])("a service that answers %d is not up", async (status) => {
    await faultOf(view(await service(status)).read([]));
  });

  it.each([200, 404])(
    "a service that answers %d is up: not every one evaluates all flags at once",
    async (status) => {
      expect(await view(await service(status)).read([])).toEqual({});
    },
  );
});
