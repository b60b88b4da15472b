/**
 * A small flag system of our own on loopback, and an adapter for it: what the contract suite and the fault proxy are tried on, and the shortest complete
 * answer to "what does a new provider need?". Each write is one PUT of an absolute value; the server checks the version in the same step.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { z } from "zod";
import { freePort } from "../../demo/world/loopback.ts";
import {
  createHttpClient,
  type HttpClient,
  HttpFault,
  type HttpReply,
} from "../../src/adapters/http-client.ts";
import type { FlagDef } from "../../src/core/plan.ts";
import type { Reading } from "../../src/core/rollout/desired.ts";
import { fromWire, toWire } from "../../src/core/setting.ts";
import {
  type FlagAbilities,
  type FlagChange,
  type FlagRehearsal,
  type Flags,
  type FlagWrite,
  messageOfFault,
  OutsideFault,
  type WriteResult,
} from "../../src/engine/ports.ts";

const CALL_MS = 5_000;
const OWN = "belay";

interface Kept {
  value: string;
  percent?: number | undefined;
  version: number;
  id: number;
  by: string;
  intent?: string | undefined;
  archived: boolean;
  /** The values it may have. */
  readonly values: readonly string[];
}

/** What a PUT says. */
const putSchema = z.object({
  value: z.string(),
  percent: z.number().gt(0).lt(100).optional(),
  intent: z.string().optional(),
  ifVersion: z.string().optional(),
});

/** One change, as the server keeps it. */
interface Change {
  readonly key: string;
  readonly wall: number;
  readonly by: string;
  readonly what: string;
  readonly literal: string;
  readonly intent: string | undefined;
}

/** The server: flags of one environment, `production`. */
export class SampleSystem {
  readonly token: string;
  needsApproval = false;
  mayWrite = true;
  readonly #flags = new Map<string, Kept>();
  /** Every change so far, oldest first. */
  readonly history: Change[] = [];
  readonly #server: Server;
  #ids = 0;

  constructor(token: string) {
    this.token = token;
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch((error: unknown) =>
        response.writeHead(500).end(messageOfFault(error)),
      );
    });
  }

  async listen(): Promise<string> {
    const port = await freePort();
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${port}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** Makes a flag, in place of one of the same key. */
  make(key: string, value: string, values: readonly string[]): void {
    this.#ids++;
    this.#flags.set(key, { value, version: 1, id: this.#ids, by: "ana", archived: false, values });
  }

  archive(key: string): void {
    const flag = this.#flags.get(key);
    if (flag !== undefined) flag.archived = true;
  }

  set(key: string, by: string, said: z.output<typeof putSchema>): void {
    const flag = this.#flags.get(key);
    if (flag === undefined) throw new Error(`no flag ${key}`);
    // Saying what is so already changes nothing, and is no change in the history either.
    const isNew = flag.value !== said.value || flag.percent !== said.percent;
    flag.intent = said.intent;
    if (!isNew) return;
    Object.assign(flag, { value: said.value, percent: said.percent, by });
    flag.version++;
    const literal = this.literal(key) ?? "";
    this.history.push({ key, wall: Date.now(), by, what: `set to ${literal}`, literal, intent: said.intent });
  }

  literal(key: string): string | undefined {
    const flag = this.#flags.get(key);
    if (flag === undefined) return undefined;
    return flag.percent === undefined ? flag.value : `${flag.percent} %`;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, body } = this.#answer(request, await text(request));
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  }

  #answer({ method, headers, url = "/" }: IncomingMessage, body: string): Said {
    const { pathname, searchParams } = new URL(url, "http://sample");
    if (headers.authorization !== `Bearer ${this.token}`) return { status: 401, body: { code: "token" } };
    const [, environment, room, key = ""] = pathname.split("/");
    if (environment !== "production") return { status: 404, body: { code: "environment" } };
    if (room === "history") {
      const since = Number(searchParams.get("since"));
      return { status: 200, body: this.history.filter(({ wall }) => wall >= since) };
    }
    if (method !== "GET") return this.#put(key, body);
    return { status: 200, body: Object.fromEntries([...this.#flags].filter(([, flag]) => !flag.archived)) };
  }

  #put(key: string, body: string): Said {
    const said = putSchema.parse(JSON.parse(body));
    const flag = this.#flags.get(key);
    if (!this.mayWrite) return { status: 403, body: { code: "right" } };
    if (flag === undefined) return { status: 404, body: { code: "flag" } };
    if (flag.archived) return { status: 409, body: { code: "archived" } };
    if (this.needsApproval) return { status: 403, body: { code: "approval" } };
    if (!flag.values.includes(said.value))
      return { status: 422, body: { code: "value", values: flag.values } };
    if (said.ifVersion !== undefined && said.ifVersion !== versionOf(flag))
      return { status: 412, body: { code: "version" } };
    this.set(key, OWN, said);
    return { status: 200, body: flag };
  }
}

interface Said {
  readonly status: number;
  readonly body: unknown;
}

function versionOf({ id, version }: Pick<Kept, "id" | "version">): string {
  return `${id}.${version}`;
}

export const SAMPLE_CAN: FlagAbilities = {
  percent: true,
  values: "listed",
  creates: false,
  together: false,
  compareAndSet: true,
  keepsIntent: true,
  history: true,
  restarts: false,
};

const keptSchema = z.object({
  value: z.string(),
  percent: z.number().optional(),
  version: z.number(),
  id: z.number(),
  by: z.string(),
  intent: z.string().optional(),
  values: z.array(z.string()),
});
const flagsSchema = z.record(z.string(), keptSchema);
const historySchema = z.array(
  z.object({ key: z.string(), wall: z.number(), by: z.string(), what: z.string() }),
);
const refusalSchema = z.object({ code: z.string(), values: z.array(z.string()).optional() });

export interface SampleOptions {
  readonly url: string;
  readonly token: string;
  readonly environment?: string;
  /** As in systems whose server takes no version: the adapter compares it itself before it writes, and somebody may get in between. */
  readonly compareAndSet?: false;
}

/** The adapter. Reads, forward and backward writes have sockets of their own. */
export function createSampleFlags(options: SampleOptions): Flags & { close(): void } {
  const { url, token, environment = "production", compareAndSet = true } = options;
  const clients = { read: createHttpClient(), forward: createHttpClient(), backward: createHttpClient() };

  async function ask(client: HttpClient, path: string, body?: unknown): Promise<HttpReply> {
    const wanted = { url: `${url}/${environment}/${path}`, token, timeoutMs: CALL_MS };
    try {
      if (body === undefined) return await client.request({ ...wanted, method: "GET" });
      const headers = { "content-type": "application/json" };
      return await client.request({ ...wanted, method: "PUT", headers, body: JSON.stringify(body) });
    } catch (error) {
      if (!(error instanceof HttpFault)) throw error;
      throw new OutsideFault(`the flag system: ${error.message}`, { recoverable: true });
    }
  }

  async function all(client: HttpClient = clients.read): Promise<z.output<typeof flagsSchema>> {
    const reply = await ask(client, "flags");
    if (reply.status !== 200) throw refusal(reply, "the flags");
    return parsed(flagsSchema, reply);
  }

  /** Whether somebody wrote over this version, as far as a read can tell. */
  async function isOld({ flag, ifVersion }: FlagWrite): Promise<boolean> {
    if (compareAndSet || ifVersion === undefined) return false;
    const kept = (await all(clients.forward))[flag.key];
    return kept === undefined || versionOf(kept) !== ifVersion;
  }

  async function writeOne(write: FlagWrite): Promise<WriteResult> {
    const { flag, setting, intent, ifVersion } = write;
    const client = ifVersion === undefined ? clients.backward : clients.forward;
    const { value, percent } = toWire(flag, setting);
    const share =
      percent === undefined || percent >= 100 ? {} : percent <= 0 ? { value: flag.off } : { percent };
    try {
      if (await isOld(write)) return "conflict";
      const over = compareAndSet ? { ifVersion } : {};
      const reply = await ask(client, `flags/${flag.key}`, { value, intent, ...over, ...share });
      if (reply.status === 412) return "conflict";
      if (reply.status !== 200) throw refusal(reply, `${flag.key} = ${value}`);
      parsed(keptSchema, reply);
      return "written";
    } catch (error) {
      if (error instanceof OutsideFault) return error;
      throw error;
    }
  }

  async function rehearse(flag: FlagDef): Promise<FlagRehearsal> {
    const began = performance.now();
    let readMs = 0;
    try {
      const kept = (await all())[flag.key];
      readMs = performance.now() - began;
      if (kept === undefined) throw new OutsideFault(`${flag.key} is not there`, { recoverable: false });
      if (!kept.values.includes(flag.on) || !kept.values.includes(flag.off))
        throw new OutsideFault(`${flag.key} holds values of another type`, { recoverable: false });
      const { value, percent, intent } = kept;
      const said = { value, percent, intent, ifVersion: versionOf(kept) };
      const reply = await ask(clients.backward, `flags/${flag.key}`, said);
      if (reply.status !== 200 && reply.status !== 412) throw refusal(reply, flag.key);
      return { readMs, writeMs: performance.now() - began - readMs, problems: [], warnings: [] };
    } catch (error) {
      return { readMs, writeMs: undefined, problems: [messageOfFault(error)], warnings: [] };
    }
  }

  return {
    can: { ...SAMPLE_CAN, compareAndSet },
    read: async (flags) => readings(flags, await all()),
    async write(writes) {
      const results = await Promise.all(
        writes.map(async (one) => [one.flag.name, await writeOne(one)] as const),
      );
      return Object.fromEntries(results);
    },
    async history(flags, since) {
      const reply = await ask(clients.read, `history?since=${since}`);
      if (reply.status !== 200) throw refusal(reply, "the history");
      return changes(flags, parsed(historySchema, reply));
    },
    rehearse,
    reach: async () => [],
    close() {
      for (const client of Object.values(clients)) client.close();
    },
  };
}

function readings(
  flags: readonly FlagDef[],
  kept: z.output<typeof flagsSchema>,
): Readonly<Record<string, Omit<Reading, "at">>> {
  const found: Record<string, Omit<Reading, "at">> = {};
  for (const flag of flags) {
    const one = kept[flag.key];
    if (one === undefined) continue;
    const { value, percent, intent, by, id } = one;
    found[flag.name] = {
      setting: fromWire(flag, percent === undefined ? { value } : { value, percent }),
      version: versionOf(one),
      effective: true,
      id: String(id),
      by: { name: by, own: by === OWN },
      ...(intent === undefined ? {} : { intent }),
    };
  }
  return found;
}

function changes(flags: readonly FlagDef[], history: z.output<typeof historySchema>): readonly FlagChange[] {
  return history.flatMap(({ key, wall, by, what }) =>
    flags
      .filter((flag) => flag.key === key)
      .map(({ name }) => ({ flag: name, wall, by, own: by === OWN, what })),
  );
}

function parsed<T>(schema: z.ZodType<T>, reply: HttpReply): T {
  try {
    return schema.parse(JSON.parse(reply.text));
  } catch {
    throw new OutsideFault("the flag system answered something else than was asked for", {
      recoverable: true,
    });
  }
}

/** What a status means. Of a body only its code is taken, never its text. */
function refusal({ status, headers, text: body }: HttpReply, what: string): OutsideFault {
  const final = (why: string) => new OutsideFault(`${what}: ${why}`, { recoverable: false });
  const code = codeIn(body);
  if (code?.code === "approval") return final("a change needs an approval in the flag system");
  if (code?.code === "archived") return final("it is archived");
  if (code?.code === "value") return final(`it takes ${code.values?.join(", ")} only`);
  if (status === 401 || status === 403) return final("Belay's token has no permission for it");
  if (status === 404) return final("the flag system has none in this environment");
  const seconds = Number(headers["retry-after"] ?? "NaN");
  return new OutsideFault(`${what}: the flag system answered ${status}`, {
    recoverable: status === 429 || status >= 500,
    retryAfterMs: Number.isFinite(seconds) ? seconds * 1_000 : undefined,
  });
}

function codeIn(body: string): z.output<typeof refusalSchema> | undefined {
  try {
    return refusalSchema.parse(JSON.parse(body));
  } catch {
    return undefined;
  }
}
