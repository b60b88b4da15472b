/** The calls of LaunchDarkly's REST API that Belay makes, each with a deadline, each answer parsed, each refusal a fault without secrets. */
import { z } from "zod";
import { OutsideFault } from "../../../engine/ports.ts";
import { createHttpClient, type HttpClient, type HttpReply } from "../../http-client.ts";
import { type Doing, networkFault, type Place, refusalFault, resourceOf, saidOf } from "./refusals.ts";
import type { Instruction } from "./settings.ts";
import {
  type AuditItem,
  auditSchema,
  type FlagShape,
  identitySchema,
  parseFlag,
  projectSchema,
  type TokenShape,
  tokenSchema,
} from "./shapes.ts";

/** The version of the REST API that this was written against: the one of the token may be older. */
const API_VERSION = "20240415";
const SEMANTIC_PATCH = "application/json; domain-model=launchdarkly.semanticpatch";
/** The most that LaunchDarkly lists at once. */
const AUDIT_PAGE = 20;
const MAX_BYTES = 4 * 1024 * 1024;

/** Each with sockets of its own: no read and no forward write can keep a rollback waiting. */
export type Lane = "read" | "forward" | "backward";

export interface ApiOptions extends Place {
  /** The access token; asked for with each call, so that a missing one is a fault of the call. */
  readonly token: () => string | undefined;
  /** What must stand in no message. */
  readonly secrets: () => readonly (string | undefined)[];
}

export interface Patch {
  readonly instructions: readonly Instruction[];
  readonly comment: string;
  /** Holds even where it makes a change fail that somebody has planned. */
  readonly ignoreConflicts?: boolean;
  /** Checked and answered, and not done. */
  readonly dryRun?: boolean;
}

/** `until`: steady ms (performance.now) by which a call has ended. All reject with an `OutsideFault`. */
export interface Api {
  readonly place: Place;
  /** Undefined: there is no such flag. */
  flag(lane: Lane, key: string, until: number): Promise<FlagShape | undefined>;
  patch(lane: Lane, key: string, patch: Patch, until: number): Promise<FlagShape>;
  /** What was done to a flag in our environment after an instant and before another (Unix ms), newest first; one page. */
  audit(
    key: string,
    range: { readonly after?: number; readonly before?: number; readonly limit?: number },
    until: number,
  ): Promise<readonly AuditItem[]>;
  /** The id of our own token; undefined where LaunchDarkly does not say. */
  ownTokenId(until: number): Promise<string | undefined>;
  token(id: string, until: number): Promise<TokenShape>;
  /** Keys of the project's environments; undefined: there is no such project, or not for this token. */
  environments(until: number): Promise<readonly string[] | undefined>;
  /** How the value of our token ends. */
  isOwnEnding(ending: string): boolean;
  close(): void;
}

interface Call {
  readonly lane: Lane;
  readonly method: "GET" | "PATCH";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  readonly until: number;
  readonly doing: Doing;
}

const said = z.object({ message: z.string() });

export function createApi(options: ApiOptions): Api {
  const { project, environment } = options;
  const clients: Readonly<Record<Lane, HttpClient>> = {
    read: createHttpClient(),
    forward: createHttpClient(),
    // However many OFFs hang, the next one is sent at once.
    backward: createHttpClient({ maxSockets: Number.POSITIVE_INFINITY }),
  };
  const flagPath = (key: string): string => `flags/${encodeURIComponent(project)}/${encodeURIComponent(key)}`;
  const call = (wanted: Call): Promise<HttpReply> => send(clients[wanted.lane], options, wanted);

  function shapeOf(reply: HttpReply, doing: Doing): FlagShape {
    const parsed = parseFlag(jsonOf(reply, doing), environment);
    if (parsed.kind === "flag") return parsed.flag;
    if (parsed.kind === "unreadable") throw strange(doing, `cannot be read at ${parsed.where || "its top"}`);
    const there = parsed.there.length === 0 ? "" : `; there are ${parsed.there.join(", ")}`;
    throw new OutsideFault(
      `the project ${project} of LaunchDarkly has no environment ${environment}${there}: check environment in the provider of the flags file`,
      { recoverable: false },
    );
  }

  async function parsed<T>(schema: z.ZodType<T>, wanted: Call): Promise<T> {
    const reply = ok(await call(wanted), options, wanted.doing);
    const result = schema.safeParse(jsonOf(reply, wanted.doing));
    if (result.success) return result.data;
    throw strange(wanted.doing, `cannot be read at ${result.error.issues[0]?.path.join(".") || "its top"}`);
  }

  return {
    place: options,
    async flag(lane, key, until) {
      const doing = { what: `reading ${key}`, key };
      const reply = await call({
        lane,
        method: "GET",
        path: flagPath(key),
        query: { env: environment },
        until,
        doing,
      });
      return reply.status === 404 ? undefined : shapeOf(ok(reply, options, doing), doing);
    },
    async patch(lane, key, { instructions, comment, ignoreConflicts, dryRun }, until) {
      const doing = { what: `changing ${key}`, key };
      const query = {
        ignoreConflicts: ignoreConflicts === true ? "true" : undefined,
        dryRun: dryRun === true ? "true" : undefined,
      };
      const body = { comment, environmentKey: environment, instructions };
      const reply = await call({ lane, method: "PATCH", path: flagPath(key), query, body, until, doing });
      return shapeOf(ok(reply, options, doing), doing);
    },
    async audit(key, { after, before, limit = AUDIT_PAGE }, until) {
      const query = { spec: resourceOf(options, key), after, before, limit };
      const doing = { what: `reading the history of ${key}`, key };
      return (
        await parsed(auditSchema, { lane: "read", method: "GET", path: "auditlog", query, until, doing })
      ).items;
    },
    async ownTokenId(until) {
      const doing = { what: "asking whose token this is" };
      const asked: Call = { lane: "read", method: "GET", path: "caller-identity", until, doing };
      return (await parsed(identitySchema, asked)).tokenId;
    },
    token(id, until) {
      const doing = { what: "asking what the token may do" };
      const path = `tokens/${encodeURIComponent(id)}`;
      return parsed(tokenSchema, { lane: "read", method: "GET", path, until, doing });
    },
    async environments(until) {
      const doing = { what: `reading the project ${project}` };
      const path = `projects/${encodeURIComponent(project)}`;
      const query = { expand: "environments" };
      const reply = await call({ lane: "read", method: "GET", path, query, until, doing });
      if (reply.status === 404) return undefined;
      const found = projectSchema.safeParse(jsonOf(ok(reply, options, doing), doing));
      return found.success ? (found.data.environments?.items ?? []).map(({ key }) => key) : [];
    },
    isOwnEnding: (ending) => ending.length >= 4 && options.token()?.endsWith(ending) === true,
    close() {
      for (const client of Object.values(clients)) client.close();
    },
  };
}

async function send(client: HttpClient, options: ApiOptions, wanted: Call): Promise<HttpReply> {
  const { method, path, query = {}, body, until, lane, doing } = wanted;
  const token = options.token();
  if (token === undefined)
    throw new OutsideFault(
      `there is no token for LaunchDarkly, so ${doing.what} cannot be tried: set BELAY_LAUNCHDARKLY_TOKEN (or BELAY_LAUNCHDARKLY_TOKEN_${suffixOf(options.environment)}) and restart Belay`,
      { recoverable: false },
    );
  const timeoutMs = Math.floor(until - performance.now());
  if (timeoutMs <= 0)
    throw new OutsideFault(`LaunchDarkly took too long before ${doing.what}`, { recoverable: true });
  const address = new URL(`${options.url}/api/v2/${path}`);
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) address.searchParams.set(name, String(value));
  try {
    return await client.request({
      method,
      url: address.href,
      // The token as it is, without the word Bearer: that is how LaunchDarkly reads it.
      headers: {
        Authorization: token,
        Accept: "application/json",
        "LD-API-Version": API_VERSION,
        ...(body === undefined ? {} : { "Content-Type": SEMANTIC_PATCH }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      timeoutMs,
      maxBytes: MAX_BYTES,
      // An absolute write may arrive twice; but a forward one was decided on a version, and is decided anew.
      repeatable: method === "GET" || lane === "backward",
    });
  } catch (error) {
    throw networkFault(error);
  }
}

function suffixOf(environment: string): string {
  return environment.toUpperCase().replace(/[^A-Z0-9]/g, "_");
}

/** The reply when it is a success; throws its fault otherwise. */
function ok(reply: HttpReply, options: ApiOptions, doing: Doing): HttpReply {
  if (reply.status === 200) return reply;
  const message = said.safeParse(parse(reply.text));
  const words = saidOf(message.success ? message.data.message : undefined, options.secrets());
  throw refusalFault(reply, words, options, doing);
}

function jsonOf(reply: HttpReply, doing: Doing): unknown {
  const body = parse(reply.text);
  if (body !== undefined) return body;
  throw strange(doing, `is not JSON (${reply.text.length} characters)`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Something in between answered, or LaunchDarkly is not what it was: nobody knows whether the request was taken. */
function strange(doing: Doing, how: string): OutsideFault {
  return new OutsideFault(`the answer of LaunchDarkly to ${doing.what} ${how}`, { recoverable: true });
}
