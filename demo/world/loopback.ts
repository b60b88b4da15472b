/** Loopback helpers of the worlds: a free port, and Belay's own HTTP. */
import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { z } from "zod";

const ANSWER_WITHIN_MS = 10_000;

/** Below the ports that the system gives to outgoing connections: one of those may take a port between a server's end and its next start. */
const [LEAST_PORT, PORTS] = [15_000, 16_000];
const MOST_TRIES = 50;

/** A port of 127.0.0.1 that nobody listens on now. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const port = randomInt(LEAST_PORT, LEAST_PORT + PORTS);
    if (await isFree(port)) return port;
  }
  throw new Error("no free port");
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** The JSON that a running Belay answers; a body makes it a POST. Rejects when the status is none of 2xx, with its first words. */
export async function askBelay(base: string, token: string, path: string, body?: unknown): Promise<unknown> {
  const response = await fetch(`${base}${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${(await response.text()).slice(0, 200)}`);
  return response.json();
}

/** One journaled event of a run, as Belay's own HTTP tells it. */
export const recordedSchema = z.object({
  seq: z.number(),
  at: z.number(),
  wall: z.number(),
  event: z.looseObject({ kind: z.string() }),
});
export type Told = z.output<typeof recordedSchema>;

/** A run as it stands; what else there is of its state stays in it unchecked. */
export const runSchema = z.looseObject({ run: z.string(), rollout: z.string(), phase: z.string() });

/** The answer to a command. */
export const answerSchema = z.object({
  ok: z.boolean(),
  code: z.string(),
  text: z.string(),
  lines: z.array(z.string()),
  run: z.string().optional(),
});
export type Answer = z.output<typeof answerSchema>;
