/** The alerts that fire now, asked of an Alertmanager that answers, and of one that does everything else. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { createAlertmanager } from "../../src/adapters/alertmanager.ts";
import { OutsideFault } from "../../src/engine/ports.ts";
import type { AlertSource } from "../../src/engine/watch-ports.ts";

const TOKEN = "canary-token";
const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

interface Fake {
  readonly source: AlertSource;
  readonly asked: { readonly url: string; readonly authorization: string | undefined }[];
}

/** An Alertmanager that answers as it is told. */
async function fake(answer: (response: ServerResponse, request: IncomingMessage) => void): Promise<Fake> {
  const asked: Fake["asked"] = [];
  const server = createServer((request, response) => {
    asked.push({ url: request.url ?? "", authorization: request.headers.authorization });
    answer(response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const source = createAlertmanager({
    url: `http://127.0.0.1:${port}/prefix/`,
    timeoutMs: 300,
    token: TOKEN,
  });
  closers.push(() => {
    source.close();
    server.close();
    server.closeAllConnections();
  });
  return { source, asked };
}

const json = (body: unknown) => (response: ServerResponse) => {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(body));
};

function alert(extra: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  return {
    fingerprint: "f00dfeed",
    startsAt: "2026-01-05T09:00:00.123Z",
    updatedAt: "2026-01-05T09:01:00Z",
    endsAt: "2026-01-05T09:05:00Z",
    status: { state: "active", silencedBy: [], inhibitedBy: [] },
    receivers: [{ name: "belay" }],
    labels: { alertname: "HighErrorRate" },
    annotations: { summary: "s" },
    generatorURL: "http://prometheus",
    ...extra,
  };
}

describe("Alertmanager", () => {
  it("is asked with the token, and tells what fires under the key that its webhook uses", async () => {
    const { source, asked } = await fake(json([alert(), alert({ fingerprint: "beef" })]));
    const startsAt = Date.UTC(2026, 0, 5, 9) + 123;
    const firings = await source.firing();
    expect(firings.map(({ key }) => key)).toEqual([`f00dfeed@${startsAt}`, `beef@${startsAt}`]);
    expect(firings[0]).toEqual({
      key: `f00dfeed@${startsAt}`,
      fingerprint: "f00dfeed",
      status: "firing",
      startsAt,
      labels: { alertname: "HighErrorRate" },
      annotations: { summary: "s" },
    });
    expect(asked).toEqual([
      {
        url: "/prefix/api/v2/alerts?active=true&silenced=false&inhibited=false&unprocessed=true",
        authorization: `Bearer ${TOKEN}`,
      },
    ]);
  });

  it("leaves out what is silenced or inhibited, should it be told, and keeps what is not processed yet", async () => {
    const state = (one: string) => ({ status: { state: one, silencedBy: [], inhibitedBy: [] } });
    const all = [alert(state("suppressed")), alert({ fingerprint: "beef", ...state("unprocessed") })];
    const { source } = await fake(json(all));
    expect((await source.firing()).map(({ fingerprint }) => fingerprint)).toEqual(["beef"]);
  });

  it("tells nothing when nothing fires", async () => {
    const { source } = await fake(json([]));
    expect(await source.firing()).toEqual([]);
  });

  it.each<readonly [string, string, (response: ServerResponse) => void]>([
    ["an error", "answers 500", (response) => void response.writeHead(500).end("canary-token")],
    ["a refusal", "answers 401", (response) => void response.writeHead(401).end()],
    [
      "a redirect",
      "answers 302",
      (response) => void response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
    ],
    ["a page", "something other than its list", (response) => void response.end("<html></html>")],
    ["an object", "something other than its list", json({ status: "success", data: [] })],
    ["an alert without a start", "something other than its list", json([alert({ startsAt: undefined })])],
    [
      "an alert of a state of its own",
      "something other than its list",
      json([alert({ status: { state: "x" } })]),
    ],
    ["silence", "did not answer within 300 ms", () => undefined],
    ["half an answer", "did not answer within 300 ms", (response) => void response.write("[")],
    ["a broken connection", "cannot be asked", (response) => void response.destroy()],
    [
      "an answer without end",
      "longer than 8388608 bytes",
      (response) => {
        response.setHeader("content-length", String(64 * 1024 * 1024));
        response.write("[");
      },
    ],
  ])("that gives %s is a fault that may pass", async (_, why, answer) => {
    const { source } = await fake(answer);
    const fault = await source.firing().catch((error: unknown) => error);
    expect(fault).toBeInstanceOf(OutsideFault);
    expect(fault).toMatchObject({ recoverable: true, message: expect.stringContaining(why) });
    expect(String(fault)).not.toContain(TOKEN);
  });

  it("that is not there is a fault that may pass", async () => {
    const source = createAlertmanager({ url: "http://127.0.0.1:1" });
    closers.push(() => source.close());
    await expect(source.firing()).rejects.toThrow("Alertmanager cannot be asked: 127.0.0.1:1 refused");
  });
});
