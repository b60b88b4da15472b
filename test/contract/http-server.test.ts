/** Belay's own HTTP, asked as a client on this machine would, by socket and by loopback. */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Hono } from "hono";
import { afterEach, describe, expect, it } from "vitest";
import { sendCommand } from "../../src/adapters/http/client.ts";
import type { HttpOptions } from "../../src/adapters/http/server.ts";
import type { CommandAnswer } from "../../src/engine/messages.ts";
import { OwnDoors } from "../../src/own-doors.ts";
import { until } from "../support/eventually.ts";
import { ManualClock } from "../support/manual-clock.ts";

const TOKEN = "a-token-of-sixteen-or-more";
const ANSWER: CommandAnswer = {
  ok: true,
  code: "shown",
  text: "Rollouts:",
  lines: ["ingestion"],
  offers: [],
};

const open: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

interface Started {
  readonly doors: OwnDoors;
  readonly clock: ManualClock;
  readonly socketPath: string;
  readonly url: string;
  readonly asked: { text: string; as: string; key: string }[];
  readonly logged: string[];
}

async function start(more: Partial<HttpOptions> = {}, isLive = false): Promise<Started> {
  const dir = mkdtempSync(join(tmpdir(), "belay-http-"));
  const socketPath = join(dir, "belay.sock");
  const asked: { text: string; as: string; key: string }[] = [];
  const logged: string[] = [];
  const note = (message: string): void => void logged.push(message);
  const clock = new ManualClock(0);
  const options: HttpOptions = {
    port: 0,
    socketPath,
    token: TOKEN,
    log: { info: note, warn: note, error: note },
    command: async (command) => {
      asked.push(command);
      return ANSWER;
    },
    runs: () => [],
    events: async () => [],
    metrics: async () => ({ text: "belay_up 1\n", contentType: "text/plain" }),
    unwell: () => undefined,
    ofrep: new Hono(),
    ...more,
  };
  const doors = new OwnDoors(options, clock, async () => isLive);
  open.push(async () => {
    await doors.close();
    rmSync(dir, { recursive: true, force: true });
  });
  await doors.open();
  return { doors, clock, socketPath, url: `http://127.0.0.1:${doors.port ?? 0}`, asked, logged };
}

interface Reply {
  readonly status: number;
  readonly text: string;
}

function ask(
  url: string,
  options: { method?: string; headers?: Record<string, string>; body?: string },
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      { method: options.method ?? "GET", headers: options.headers ?? {} },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      },
    );
    sent.on("error", reject);
    sent.end(options.body);
  });
}

const json = { "content-type": "application/json" };
const bearer = (token: string) => ({ ...json, authorization: `Bearer ${token}` });

describe("commands", () => {
  it("are taken by the unix socket, which belongs to its user alone", async () => {
    const { socketPath, asked } = await start();
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    const sent = await sendCommand(
      { kind: "socket", path: socketPath },
      { text: "rollout list", as: "ana", key: "12345678" },
    );
    expect(sent).toEqual({ kind: "answered", answer: ANSWER });
    expect(asked).toEqual([{ text: "rollout list", as: "ana", key: "do:ana:12345678" }]);
  });

  it("are taken by loopback with the token", async () => {
    const { url, asked } = await start();
    const sent = await sendCommand(
      { kind: "url", url, token: TOKEN },
      { text: "rollout rollback", as: "ben", key: "abcdefgh" },
    );
    expect(sent.kind).toBe("answered");
    expect(asked).toHaveLength(1);
  });

  it.each([
    ["no token", {}],
    ["another token", { authorization: "Bearer another-token-of-some-length" }],
    ["a token that begins like ours", { authorization: `Bearer ${TOKEN}x` }],
    ["an empty token", { authorization: "Bearer " }],
    ["another scheme", { authorization: `Basic ${TOKEN}` }],
  ])("are refused by loopback with %s", async (_what, headers) => {
    const { url, asked } = await start();
    const reply = await ask(`${url}/v1/do`, {
      method: "POST",
      headers: { ...json, ...headers },
      body: '{"text":"rollout list"}',
    });
    expect(reply.status).toBe(401);
    expect(asked).toEqual([]);
  });

  it("are refused by loopback altogether when no token is configured", async () => {
    const { url, asked } = await start({ token: undefined });
    const reply = await ask(`${url}/v1/do`, {
      method: "POST",
      headers: bearer("undefined"),
      body: '{"text":"rollout list"}',
    });
    expect(reply.status).toBe(401);
    expect(asked).toEqual([]);
  });

  it.each([
    ["no JSON", "rollout list", 400],
    ["no text", "{}", 400],
    ["a key of its own", '{"text":"x","actor":"ana"}', 400],
    ["a name with a line break", '{"text":"x","as":"ana\\nben"}', 400],
    ["64 KiB and more", JSON.stringify({ text: "x".repeat(70_000) }), 413],
  ])("with %s are refused with one sentence", async (_what, body, status) => {
    const { url, asked } = await start();
    const reply = await ask(`${url}/v1/do`, { method: "POST", headers: bearer(TOKEN), body });
    expect(reply.status).toBe(status);
    expect(reply.text).toContain("error");
    expect(asked).toEqual([]);
  });

  it("say when nobody listens", async () => {
    const sent = await sendCommand(
      { kind: "socket", path: join(tmpdir(), "belay-no-such.sock") },
      { text: "rollout list", as: "ana", key: "12345678" },
    );
    expect(sent).toEqual({ kind: "absent" });
  });
});

describe("the loopback port", () => {
  it.each(["evil.example", "127.0.0.1.evil.example", "169.254.169.254"])(
    "refuses the Host %s: a page elsewhere may not reach it",
    async (host) => {
      const { url } = await start();
      expect((await ask(`${url}/healthz`, { headers: { host } })).status).toBe(421);
    },
  );

  it("keeps Belay from starting when it is taken and nothing is live", async () => {
    const first = await start();
    await expect(start({ port: first.doors.port ?? 0 })).rejects.toThrow("BELAY_HTTP_PORT");
  });

  it("is tried again when it is taken while a rollout is live; the socket takes commands meanwhile", async () => {
    const first = await start();
    const port = first.doors.port ?? 0;
    const second = await start({ port }, true);
    expect(second.doors.port).toBeUndefined();
    expect(second.logged).toEqual([expect.stringContaining("what is live is watched all the same")]);
    const sent = await sendCommand(
      { kind: "socket", path: second.socketPath },
      { text: "rollout rollback", as: "ana", key: "12345678" },
    );
    expect(sent).toMatchObject({ kind: "answered" });
    await first.doors.close();
    await second.clock.advance(5_000);
    await until("the port is open", () => second.doors.port === port);
    expect((await ask(`http://127.0.0.1:${port}/healthz`, {})).status).toBe(200);
  });

  it("tells about rollouts only with the token", async () => {
    const { url } = await start();
    expect((await ask(`${url}/v1/runs`, {})).status).toBe(401);
    expect((await ask(`${url}/v1/runs/r-1/events`, {})).status).toBe(401);
    expect((await ask(`${url}/v1/runs`, { headers: bearer(TOKEN) })).status).toBe(200);
  });

  it("tells its health and its metrics to anybody on this machine, without names", async () => {
    const { url } = await start();
    expect(await ask(`${url}/healthz`, {})).toEqual({ status: 200, text: "ok\n" });
    expect((await ask(`${url}/metrics`, {})).text).toBe("belay_up 1\n");
    const ill = await start({ unwell: () => "the disk is full" });
    expect(await ask(`${ill.url}/healthz`, {})).toEqual({ status: 503, text: "not well\n" });
  });

  it("answers an error inside without its words, and logs it", async () => {
    const { url, logged } = await start({
      events: async () => {
        throw new Error("secret of the house");
      },
    });
    const reply = await ask(`${url}/v1/runs/r-1/events`, { headers: bearer(TOKEN) });
    expect(reply.status).toBe(500);
    expect(reply.text).not.toContain("secret");
    expect(logged).toHaveLength(1);
  });
});
