/** What the bot may do with a response_url: answer, replace or delete, five times in half an hour. */

import { readContent } from "./content.ts";
import type { Context } from "./context.ts";
import { isObject, type JsonObject, parseJson, stringAt } from "./json.ts";
import type { ResponseTarget } from "./triggers.ts";

/** The answer over HTTP; `cut` and `hang` are injected faults. */
export type ResponseAnswer =
  | { readonly kind: "answer"; readonly status: number; readonly body: string; readonly delayMs: number }
  | { readonly kind: "hang" }
  | { readonly kind: "cut" };

/** Takes one POST to a response_url. `path` begins with a slash. */
export function useResponseUrl(context: Context, path: string, body: string): ResponseAnswer {
  const { record } = context;
  const message = parseJson(body);
  const args = isObject(message) ? message : {};
  const fault = context.faults.take("response_url");
  const answer = (status: number, text: string, delayMs = 0): ResponseAnswer => {
    record.call("response_url", args, status === 200 ? "ok" : text);
    return { kind: "answer", status, body: text, delayMs };
  };
  if (fault?.kind === "http500") return answer(500, "http500");
  if (fault?.kind === "ratelimited") return answer(429, "ratelimited");
  if (fault?.kind === "error") return answer(404, fault.code);
  if (fault?.kind === "hang") {
    record.call("response_url", args, "hang");
    return { kind: "hang" };
  }
  const use = context.triggers.useResponsePath(path);
  switch (use.kind) {
    case "unknown":
      record.violate("response_url_unknown", "a response_url that was never given out");
      return answer(404, "no_service");
    case "expired":
      record.violate("response_url_expired", "a response_url works for 30 minutes");
      return answer(404, "expired_url");
    case "used_up":
      record.violate("response_url_overused", "a response_url works five times");
      return answer(404, "used_url");
    case "ok":
      break;
  }
  if (!isObject(message)) {
    record.violate("invalid_payload", "response_url: the body is not a JSON object");
    return answer(400, "invalid_payload");
  }
  const error = apply(context, use.target, message);
  if (error?.code === "message_not_found") return answer(404, error.code);
  if (error !== undefined) {
    record.violate(error.code, ["response_url", ...error.problems].join(": "));
    return answer(400, error.code);
  }
  if (fault?.kind === "applied_reply_lost") {
    record.call("response_url", args, "reply_lost");
    return { kind: "cut" };
  }
  return answer(200, "ok", fault?.kind === "slow" ? fault.ms : 0);
}

interface Refusal {
  readonly code: string;
  readonly problems: readonly string[];
}

function apply(context: Context, target: ResponseTarget, message: JsonObject): Refusal | undefined {
  if (target.message === undefined) {
    const wants = message.replace_original === true || message.delete_original === true;
    if (wants) {
      context.record.violate(
        "replace_original_on_slash",
        "response_url: a slash command's response_url cannot replace or delete what was said before",
      );
    }
    return post(context, target, message);
  }
  if (message.delete_original === true) return remove(context, target, target.message.ts);
  if (message.replace_original === false) return post(context, target, message);
  if (message.replace_original === undefined) {
    const detail = "response_url: say replace_original true or false; the default replaces the message";
    context.record.violate("replace_original_unstated", detail);
  }
  return replace(context, target, target.message.ts, message);
}

function post(context: Context, target: ResponseTarget, message: JsonObject): Refusal | undefined {
  const content = readContent(context, "response_url", {
    text: stringAt(message, "text"),
    blocks: message.blocks,
  });
  if (content.kind === "refused") return { code: content.error, problems: content.problems };
  context.messages.post({
    channel: target.channel,
    author: context.workspace.bot.id,
    byBot: true,
    via: "response_url",
    text: content.text,
    blocks: content.blocks,
    threadTs: stringAt(message, "thread_ts"),
    onlyFor: message.response_type === "in_channel" ? undefined : target.user,
  });
  return undefined;
}

function replace(
  context: Context,
  target: ResponseTarget,
  ts: string,
  message: JsonObject,
): Refusal | undefined {
  if (context.messages.find(target.channel, ts) === undefined)
    return { code: "message_not_found", problems: [] };
  const content = readContent(context, "response_url", {
    text: stringAt(message, "text"),
    blocks: message.blocks,
  });
  if (content.kind === "refused") return { code: content.error, problems: content.problems };
  context.messages.edit(target.channel, ts, {
    via: "response_url",
    text: content.text,
    blocks: content.blocks,
  });
  return undefined;
}

function remove(context: Context, target: ResponseTarget, ts: string): Refusal | undefined {
  if (context.messages.find(target.channel, ts) === undefined)
    return { code: "message_not_found", problems: [] };
  context.messages.remove(target.channel, ts, "response_url");
  return undefined;
}
