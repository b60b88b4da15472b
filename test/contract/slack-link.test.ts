/** One socket on its own: warnings ahead of time, odd frames, servers that do not greet or do not say good-bye. */
import { afterEach, expect, test } from "vitest";
import { type Envelope, type Link, openLink } from "../../src/adapters/slack/socket-link.ts";
import { faultFrom, keepLog, stopAll, whenDone } from "../support/slack-bot.ts";
import { type SocketServer, startSocketServer } from "../support/slack-socket-server.ts";

afterEach(stopAll);

interface Open {
  readonly server: SocketServer;
  readonly link: Link;
  readonly came: Envelope[];
  readonly stop: AbortController;
}

async function open(): Promise<Open> {
  const server = await startSocketServer();
  whenDone(() => server.stop());
  const stop = new AbortController();
  const came: Envelope[] = [];
  const link = await openLink(
    {
      appToken: "xapp-test",
      apiUrl: server.apiUrl,
      log: keepLog(),
      onEnvelope: async (envelope) => {
        came.push(envelope);
        await envelope.ack(undefined);
      },
    },
    stop.signal,
  );
  return { server, link, came, stop };
}

const envelope = (id: string): string =>
  JSON.stringify({ type: "slash_commands", envelope_id: id, payload: { command: "/rollout" } });
const goodbye = (reason: string): string => JSON.stringify({ type: "disconnect", reason });

test("warned ahead, it asks for a successor at once and hears everything until Slack wants it back", async () => {
  const { server, link, came } = await open();
  server.sockets[0]?.send(goodbye("warning"));
  expect(await link.leaving).toEqual({ kind: "asked", reason: "warning" });
  let isClosed = false;
  const closed = link.close().then(() => {
    isClosed = true;
  });
  server.sockets[0]?.send(envelope("late-1"));
  await expect.poll(() => server.heard[0]?.length).toBe(1);
  expect(isClosed).toBe(false);
  server.sockets[0]?.send(goodbye("refresh_requested"));
  server.sockets[0]?.send(envelope("late-2"));
  await closed;
  expect(came).toHaveLength(2);
  expect(server.heard[0]?.map((one) => JSON.parse(one).envelope_id)).toEqual(["late-1", "late-2"]);
});

test("warned and stopped, it closes without waiting for the rest of the warning", async () => {
  const { server, link, stop } = await open();
  server.sockets[0]?.send(goodbye("warning"));
  await link.leaving;
  const since = performance.now();
  const closed = link.close();
  stop.abort();
  await closed;
  expect(performance.now() - since).toBeLessThan(1_000);
});

test("odd frames are survived, and what comes after them is heard", async () => {
  const { server, link, came } = await open();
  const [socket] = server.sockets;
  for (const odd of [
    "null",
    "5",
    "{",
    "[]",
    "",
    '{"type":"events_api"}',
    '{"type":"events_api","payload":{}}',
    '{"type":"disconnect"',
  ])
    socket?.send(odd);
  socket?.send(Buffer.from([1, 2, 3]));
  socket?.send(envelope("after"));
  await expect.poll(() => server.heard[0]?.map((one) => JSON.parse(one).envelope_id)).toContain("after");
  expect(came.length).toBeGreaterThanOrEqual(1);
  await link.close();
});

test("a socket that is cut says so, and closing it is no trouble", async () => {
  const { server, link } = await open();
  server.sockets[0]?.terminate();
  expect(await link.leaving).toEqual({ kind: "gone" });
  await link.close();
});

test("a server that never greets is given up, and the socket does not stay behind", async () => {
  const server = await startSocketServer(false);
  whenDone(() => server.stop());
  const opening = openLink(
    { appToken: "xapp-test", apiUrl: server.apiUrl, log: keepLog(), onEnvelope: async () => undefined },
    new AbortController().signal,
  );
  expect(await faultFrom(opening)).toMatchObject({ recoverable: true });
  await expect.poll(() => server.sockets.map((socket) => socket.readyState)).toEqual([3]);
}, 15_000);

test("stopped while it waits to be greeted, it rejects at once and leaves no socket behind", async () => {
  const server = await startSocketServer(false);
  whenDone(() => server.stop());
  const stop = new AbortController();
  const fault = faultFrom(
    openLink(
      { appToken: "xapp-test", apiUrl: server.apiUrl, log: keepLog(), onEnvelope: async () => undefined },
      stop.signal,
    ),
  );
  await expect.poll(() => server.sockets.length).toBe(1);
  const since = performance.now();
  stop.abort();
  await fault;
  expect(performance.now() - since).toBeLessThan(1_500);
  await expect.poll(() => server.sockets[0]?.readyState).toBe(3);
});
