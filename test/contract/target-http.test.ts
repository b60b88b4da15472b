/** Targets that are restarted by a POST, against servers that refuse, vanish, redirect and never come up. */
import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { createReach } from "../../src/adapters/probe/prober.ts";
import { type HttpTargetOptions, restartByHttp } from "../../src/adapters/target/http.ts";
import { createRestarter, createUnits } from "../../src/adapters/target/restarter.ts";
import { OutsideFault } from "../../src/engine/ports.ts";

interface Service {
  readonly url: string;
  /** What came, as `METHOD PATH`. */
  readonly heard: string[];
}

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** A service that answers each request by the method and by how many of them came before. */
async function service(
  answer: (asked: string, before: number, response: ServerResponse) => void,
): Promise<Service> {
  const heard: string[] = [];
  const server = createServer((request, response) => {
    const asked = `${request.method} ${request.url}`;
    const before = heard.filter((one) => one === asked).length;
    heard.push(asked);
    answer(asked, before, response);
  });
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { url: `http://127.0.0.1:${address.port}`, heard };
}

const { send } = createReach({ allow: [] });

function restart(url: string, more: Partial<HttpTargetOptions> = {}): Promise<void> {
  return restartByHttp({ post: `${url}/restart`, up: `${url}/up`, upWithinMs: 3_000, send, ...more });
}

const end = (response: ServerResponse, status: number): void => void response.writeHead(status).end();

describe("a restart by HTTP", () => {
  it("posts once and waits until the service answers well twice", async () => {
    const { url, heard } = await service((asked, before, response) =>
      end(response, asked === "GET /up" && before < 2 ? 503 : 200),
    );
    await restart(url);
    expect(heard).toEqual(["POST /restart", "GET /up", "GET /up", "GET /up", "GET /up"]);
  });

  it("does not take the last answer of what is going down for the first of what comes up", async () => {
    const statuses = [200, 503, 503, 200, 200];
    const { url, heard } = await service((asked, before, response) =>
      end(response, asked === "GET /up" ? (statuses[before] ?? 500) : 202),
    );
    await restart(url);
    expect(heard.filter((one) => one === "GET /up")).toHaveLength(5);
  });

  it("whose answer is lost is judged by what comes up, and asked for no second time", async () => {
    const { url, heard } = await service((asked, _, response) =>
      asked === "POST /restart" ? void response.socket?.resetAndDestroy() : end(response, 200),
    );
    await restart(url);
    expect(heard.filter((one) => one === "POST /restart")).toHaveLength(1);
  });

  it("whose answer is lost, with nothing to look at, is not known", async () => {
    const { url } = await service((_, __, response) => void response.socket?.resetAndDestroy());
    await expect(restart(url, { up: undefined })).rejects.toThrow("nobody knows whether it was restarted");
  });

  it("without a place to look is done when it is accepted", async () => {
    const { url, heard } = await service((_, __, response) => end(response, 202));
    await restart(url, { up: undefined });
    expect(heard).toEqual(["POST /restart"]);
  });

  it.each([301, 307, 400, 401, 403, 404, 500, 503])("that is answered with %d is refused", async (status) => {
    const { url, heard } = await service(
      (_, __, response) => void response.writeHead(status, { Location: "/elsewhere" }).end(),
    );
    await expect(restart(url)).rejects.toThrow(`refuses the restart with status ${status}`);
    expect(heard).toEqual(["POST /restart"]);
  });

  it.each<[string, (response: ServerResponse) => void, string]>([
    ["stays bad", (response) => end(response, 503), "it answers with status 503"],
    ["hangs", () => undefined, "within"],
    ["redirects", (response) => void response.writeHead(302, { Location: "/x" }).end(), "status 302"],
  ])("of a service that %s ends in its time, with an OutsideFault", async (_, answer, words) => {
    const { url } = await service((asked, __, response) =>
      asked === "POST /restart" ? end(response, 200) : answer(response),
    );
    const begun = performance.now();
    const failed = restart(url, { upWithinMs: 700 });
    await expect(failed).rejects.toThrow(OutsideFault);
    await expect(failed).rejects.toThrow(words);
    expect(performance.now() - begun).toBeLessThan(1_500);
  });

  it("never goes to an address that nobody may connect to", async () => {
    const failed = restart("http://169.254.169.254", { up: undefined, upWithinMs: 500 });
    await expect(failed).rejects.toThrow("which no probe may connect to");
  });
});

describe("the restarter", () => {
  const options = {
    send,
    programs: ["/bin/true"],
    environment: { PATH: "/usr/bin:/bin", HOME: "/" },
    unit: createUnits(async () => ({})),
  };

  it("restarts the replica that is meant, in the way of its entry", async () => {
    const { url, heard } = await service((_, __, response) => end(response, 200));
    const restarter = createRestarter(options);
    const target = {
      name: "bots",
      replicas: [
        { kind: "http", post: `${url}/a` },
        { kind: "http", post: `${url}/b` },
        { kind: "exec", argv: ["/bin/true"], up: `${url}/up` },
      ],
      upWithinMs: 3_000,
    } as const;
    await restarter.restart(target, 1);
    expect(heard).toEqual(["POST /b"]);
    await restarter.restart(target, 2);
    expect(heard.slice(1)).toEqual(["GET /up", "GET /up"]);
    await expect(restarter.restart(target, 3)).rejects.toThrow("bots has no replica 3");
  });

  it("says as an OutsideFault what a unit's entry has wrong", async () => {
    const restarter = createRestarter(options);
    const target = {
      name: "bots",
      replicas: [{ kind: "unit", restart: "--force" }],
      upWithinMs: 100,
    } as const;
    const failed = restarter.restart(target, 0);
    await expect(failed).rejects.toThrow(OutsideFault);
    await expect(failed).rejects.toThrow("expected a systemd unit");
  });
});
