/** The other end of Belay's own HTTP: sends one command to a running Belay, by unix socket or by loopback and token. */
import { request } from "node:http";
import { z } from "zod";
import type { CommandAnswer } from "../../engine/messages.ts";
import { messageOfFault } from "../../engine/ports.ts";

/** A command may wait for a flag store and a journal; longer than this something is wrong. */
const TIMEOUT_MS = 30_000;

export type Door =
  | { readonly kind: "socket"; readonly path: string }
  | { readonly kind: "url"; readonly url: string; readonly token: string };

/** `absent`: nobody listens there. `failed`: somebody does, but there is no answer to show. */
export type Sent =
  | { readonly kind: "answered"; readonly answer: CommandAnswer }
  | { readonly kind: "absent" }
  | { readonly kind: "failed"; readonly why: string };

const offerSchema = z.object({
  label: z.string(),
  command: z.string(),
  style: z.enum(["primary", "danger"]).optional(),
  confirm: z.string().optional(),
  reason: z.string().optional(),
});
const answerSchema = z.object({
  ok: z.boolean(),
  code: z.string(),
  text: z.string(),
  lines: z.array(z.string()),
  offers: z.array(offerSchema),
  run: z.string().optional(),
});

/** Sends `text` as `as`; `key` makes a repeat harmless. Never rejects. */
export async function sendCommand(
  door: Door,
  command: { readonly text: string; readonly as: string; readonly key: string },
): Promise<Sent> {
  try {
    const { status, body } = await post(door, JSON.stringify(command));
    if (status === 401)
      return {
        kind: "failed",
        why: "it takes another token: BELAY_TOKEN must be the one it was started with",
      };
    if (status !== 200) return { kind: "failed", why: errorOf(body) ?? `Belay answered ${status}` };
    const parsed = answerSchema.safeParse(body);
    return parsed.success
      ? { kind: "answered", answer: compact(parsed.data) }
      : { kind: "failed", why: "the answer was not understood; is that another version of Belay?" };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "ENOENT" || code === "ECONNREFUSED") return { kind: "absent" };
    if (code === "EACCES")
      return {
        kind: "failed",
        why: "the socket belongs to another user; run this as the user that runs Belay",
      };
    return { kind: "failed", why: messageOfFault(error) };
  }
}

function compact(data: z.output<typeof answerSchema>): CommandAnswer {
  const { run, offers, ...rest } = data;
  const kept = offers.map(({ label, command, style, confirm, reason }) => ({
    label,
    command,
    ...(style === undefined ? {} : { style }),
    ...(confirm === undefined ? {} : { confirm }),
    ...(reason === undefined ? {} : { reason }),
  }));
  return { ...rest, offers: kept, ...(run === undefined ? {} : { run }) };
}

function errorOf(body: unknown): string | undefined {
  const parsed = z.object({ error: z.string() }).safeParse(body);
  return parsed.success ? parsed.data.error : undefined;
}

function post(door: Door, body: string): Promise<{ readonly status: number; readonly body: unknown }> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": String(Buffer.byteLength(body)) };
    const options = { method: "POST", timeout: TIMEOUT_MS, signal: AbortSignal.timeout(TIMEOUT_MS) };
    const sent =
      door.kind === "socket"
        ? request({
            ...options,
            socketPath: door.path,
            path: "/v1/do",
            headers: { ...headers, host: "localhost" },
          })
        : request(new URL("/v1/do", door.url), {
            ...options,
            headers: { ...headers, authorization: `Bearer ${door.token}` },
          });
    sent.on("error", reject);
    sent.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, body: jsonOf(Buffer.concat(chunks).toString("utf8")) }),
      );
    });
    sent.end(body);
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
