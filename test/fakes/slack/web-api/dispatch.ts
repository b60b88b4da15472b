/** Takes one Web API call: faults, token, scope, limits, arguments, then the method itself. */

import type { Context } from "../context.ts";
import type { FaultKind } from "../faults.ts";
import { isObject, type JsonObject, parseJson } from "../json.ts";
import { CHAT_METHODS } from "./chat.ts";
import { CONVERSATION_METHODS } from "./conversations.ts";
import { type Method, type Reply, readArgs } from "./method.ts";
import { peopleMethods } from "./people.ts";
import { VIEW_METHODS } from "./views.ts";

/** A call as it came over HTTP. */
export interface ApiRequest {
  readonly method: string;
  readonly contentType: string;
  readonly authorization: string;
  readonly query: URLSearchParams;
  readonly body: string;
}

/** What goes back over HTTP. */
export type ApiAnswer =
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
      /** Milliseconds (real time) to wait before answering. */
      readonly delayMs: number;
    }
  /** Leave the request without an answer. */
  | { readonly kind: "hang" }
  /** Cut the connection. */
  | { readonly kind: "cut" };

/** The Web API of one workspace. */
export interface WebApi {
  handle(request: ApiRequest): ApiAnswer;
}

/** Arguments that forms carry as JSON in a string. */
const JSON_ARGUMENTS: ReadonlySet<string> = new Set(["blocks", "metadata", "view", "attachments"]);
/** Arguments that every method takes. */
const COMMON_ARGUMENTS: readonly string[] = ["token", "team_id"];
/** Refusals that are never the bot's mistake: the workspace was like that, or someone was faster. */
const BLAMELESS: ReadonlySet<string> = new Set([
  ...[
    "not_in_channel",
    "is_archived",
    "is_inactive",
    "user_not_in_channel",
    "message_not_found",
    "not_found",
  ],
  ...["hash_conflict", "plan_upgrade_required", "no_such_subteam", "user_not_found", "internal_error"],
  ...["thread_not_found", "channel_not_found", "bot_not_found"],
]);
/** A timer of the bot may fire this much early. */
const RETRY_AFTER_TOLERANCE_MS = 50;
const LIMITED_KEPT = 1_000;

/** Makes the Web API; `ticketUrl` hands out socket addresses and is missing when Socket Mode is off. */
export function createWebApi(context: Context, ticketUrl: (() => string) | undefined): WebApi {
  const methods = new Map<string, Method>(
    Object.entries({
      ...CHAT_METHODS,
      ...CONVERSATION_METHODS,
      ...VIEW_METHODS,
      ...peopleMethods(ticketUrl),
    }),
  );
  const retryAfter = createRetryAfterWatch(context);

  function handle(request: ApiRequest): ApiAnswer {
    const args = decode(request);
    const method = methods.get(request.method);
    const fault = context.faults.take(request.method);
    retryAfter.watch(request.method, args);
    const struck = fault === undefined ? undefined : strike(fault);
    if (struck !== undefined) {
      context.record.call(request.method, args, struck.outcome);
      if (fault?.kind === "ratelimited") retryAfter.told(request.method, args, fault.retryAfterS);
      return struck.answer;
    }
    const checked = check(request, method, args);
    if (checked.kind === "limited") {
      context.record.call(request.method, args, "ratelimited");
      retryAfter.told(request.method, args, checked.retryAfterS);
      return rateLimited(checked.retryAfterS);
    }
    const reply = checked.kind === "run" ? checked.method.run(context, readArgs(args)) : checked;
    if (reply.kind === "error") blame(context, request.method, reply);
    const lost = fault?.kind === "applied_reply_lost";
    context.record.call(request.method, args, lost ? "reply_lost" : reply.kind === "ok" ? "ok" : reply.code);
    if (lost) return { kind: "cut" };
    return json(context, method, reply, fault?.kind === "slow" ? fault.ms : 0);
  }

  type Checked =
    | Extract<Reply, { kind: "error" }>
    | { readonly kind: "limited"; readonly retryAfterS: number }
    | { readonly kind: "run"; readonly method: Method };

  function check(request: ApiRequest, method: Method | undefined, args: JsonObject): Checked {
    const refused = (code: string, problems: readonly string[] = []): Checked => ({
      kind: "error",
      code,
      problems,
    });
    const token = tokenOf(context, request);
    if (token.kind === "bad") return refused(token.error);
    if (method === undefined) return refused("unknown_method");
    if (method.token !== "any" && method.token !== token.kind) return refused("not_allowed_token_type");
    if (!hasScope(context, method)) return refused("missing_scope");
    const channel = method.posts === true && typeof args.channel === "string" ? args.channel : undefined;
    const retryAfterS = context.limits.take(request.method, method.perMinute, channel);
    if (retryAfterS > 0) return { kind: "limited", retryAfterS };
    const missing = method.required.filter((name) => args[name] === undefined || args[name] === "");
    if (missing.length > 0)
      return refused(
        "invalid_arguments",
        missing.map((name) => `missing required field: ${name}`),
      );
    const known = [...COMMON_ARGUMENTS, ...method.required, ...method.optional];
    for (const name of Object.keys(args).filter((one) => !known.includes(one))) {
      context.record.violate("unknown_argument", `${request.method} does not take "${name}" here`);
    }
    return { kind: "run", method };
  }

  return { handle };
}

/** Remembers who was told to wait, and notes those who come again too early with the same call. */
function createRetryAfterWatch(context: Context): {
  watch(method: string, args: JsonObject): void;
  told(method: string, args: JsonObject, retryAfterS: number): void;
} {
  const until = new Map<string, number>();
  const key = (method: string, args: JsonObject): string => `${method} ${JSON.stringify(args)}`;
  return {
    watch(method, args) {
      const atMs = until.get(key(method, args));
      if (atMs === undefined) return;
      const earlyMs = atMs - context.clock.now() - RETRY_AFTER_TOLERANCE_MS;
      if (earlyMs > 0) {
        context.record.violate(
          "retry_after_ignored",
          `${method} came again ${Math.round(earlyMs)} ms too early`,
        );
      }
      until.delete(key(method, args));
    },
    told(method, args, retryAfterS) {
      if (until.size >= LIMITED_KEPT) until.clear();
      until.set(key(method, args), context.clock.now() + retryAfterS * 1000);
    },
  };
}

/** What a fault does by itself; undefined when the call goes on (late, or without its answer). */
function strike(fault: FaultKind): { readonly answer: ApiAnswer; readonly outcome: string } | undefined {
  switch (fault.kind) {
    case "ratelimited":
      return { answer: rateLimited(fault.retryAfterS), outcome: "ratelimited" };
    case "http500":
      return { answer: page500(), outcome: "http500" };
    case "hang":
      return { answer: { kind: "hang" }, outcome: "hang" };
    case "error":
      return { answer: plainJson(200, {}, { ok: false, error: fault.code }), outcome: fault.code };
    case "slow":
    case "applied_reply_lost":
      return undefined;
  }
}

function rateLimited(retryAfterS: number): ApiAnswer {
  return plainJson(429, { "retry-after": String(retryAfterS) }, { ok: false, error: "ratelimited" });
}

function page500(): ApiAnswer {
  const headers = { "content-type": "text/html; charset=utf-8" };
  return { kind: "answer", status: 500, headers, body: "<html><body>Server Error</body></html>", delayMs: 0 };
}

function json(context: Context, method: Method | undefined, reply: Reply, delayMs: number): ApiAnswer {
  const scopes = [...context.app.botScopes].join(",");
  const headers = { "x-oauth-scopes": scopes, "x-accepted-oauth-scopes": (method?.scopes ?? []).join(",") };
  if (reply.kind === "ok") return { ...plainJson(200, headers, { ok: true, ...reply.body }), delayMs };
  const body = {
    ok: false,
    error: reply.code,
    ...(reply.code === "missing_scope" ? { needed: (method?.scopes ?? []).join(","), provided: scopes } : {}),
    ...(reply.problems.length === 0
      ? {}
      : {
          errors: reply.problems,
          response_metadata: { messages: reply.problems.map((problem) => `[ERROR] ${problem}`) },
        }),
  };
  return { ...plainJson(200, headers, body), delayMs };
}

function plainJson(
  status: number,
  headers: Readonly<Record<string, string>>,
  body: JsonObject,
): Extract<ApiAnswer, { kind: "answer" }> {
  const type = { "content-type": "application/json; charset=utf-8" };
  return { kind: "answer", status, headers: { ...type, ...headers }, body: JSON.stringify(body), delayMs: 0 };
}

function blame(context: Context, method: string, reply: Extract<Reply, { kind: "error" }>): void {
  if (BLAMELESS.has(reply.code)) return;
  context.record.violate(reply.code, [method, ...reply.problems].join(": "));
}

function hasScope(context: Context, method: Method): boolean {
  return method.scopes.length === 0 || method.scopes.some((scope) => context.app.botScopes.has(scope));
}

function tokenOf(
  context: Context,
  request: ApiRequest,
): { readonly kind: "bot" | "app" } | { readonly kind: "bad"; readonly error: string } {
  const header = /^Bearer (.+)$/.exec(request.authorization)?.[1];
  const form = rawArguments(request).token;
  const token = header ?? (typeof form === "string" ? form : undefined);
  if (token === undefined) return { kind: "bad", error: "not_authed" };
  if (token === context.tokens.bot) return { kind: "bot" };
  // App-level tokens count only in the header.
  if (token === context.tokens.app && header !== undefined) return { kind: "app" };
  return { kind: "bad", error: "invalid_auth" };
}

function rawArguments(request: ApiRequest): JsonObject {
  const query = Object.fromEntries(request.query);
  if (request.contentType.startsWith("application/json")) {
    const body = parseJson(request.body);
    return isObject(body) ? { ...query, ...body } : query;
  }
  return { ...query, ...Object.fromEntries(new URLSearchParams(request.body)) };
}

function decode(request: ApiRequest): JsonObject {
  const { token: _token, ...rest } = rawArguments(request);
  return Object.fromEntries(
    Object.entries(rest).map(([key, value]) =>
      JSON_ARGUMENTS.has(key) && typeof value === "string" ? [key, parseJson(value) ?? value] : [key, value],
    ),
  );
}
