/** Slack's failures as faults of the port: whether trying again can help, when, and if not, what a person must do. */
import {
  WebAPIHTTPError,
  WebAPIPlatformError,
  WebAPIRateLimitedError,
  WebAPIRequestError,
} from "@slack/web-api";
import { OutsideFault } from "../../engine/ports.ts";

/** What was being done, for the sentence: a channel as people call it, and the bot's handle. */
export interface About {
  readonly method: string;
  readonly channel?: string | undefined;
  readonly botName?: string | undefined;
}

/** A fault that keeps Slack's own error code, such as `not_in_channel`; undefined when Slack gave none. */
export class SlackFault extends OutsideFault {
  readonly code: string | undefined;
  /** The call may have been applied although it failed. */
  readonly unsure: boolean;
  constructor(
    message: string,
    options: {
      readonly recoverable: boolean;
      readonly retryAfterMs?: number;
      readonly code?: string;
      readonly unsure?: boolean;
    },
  ) {
    super(message, options);
    this.name = "SlackFault";
    this.code = options.code;
    this.unsure = options.unsure ?? false;
  }
}

/** Codes after which the same call may succeed later. */
const PASSING: ReadonlySet<string> = new Set([
  "ratelimited",
  "rate_limited",
  "message_limit_exceeded",
  "internal_error",
  "fatal_error",
  "service_unavailable",
  "request_timeout",
  "team_added_to_org",
  "accesslimited",
  "external_channel_migrating",
]);

/** Codes that say that Slack does not accept the token. */
const BAD_TOKEN: ReadonlySet<string> = new Set([
  "invalid_auth",
  "not_authed",
  "token_revoked",
  "token_expired",
  "account_inactive",
  "not_allowed_token_type",
  "team_access_not_granted",
  "user_removed_from_team",
  "team_disabled",
]);

/** Codes of a message that breaks a rule of Block Kit. */
const BAD_CONTENT: ReadonlySet<string> = new Set([
  "invalid_blocks",
  "invalid_blocks_format",
  "msg_blocks_too_long",
  "msg_too_long",
  "invalid_arguments",
  "invalid_metadata_format",
  "invalid_metadata_schema",
  "metadata_too_large",
]);

/** Whether Slack refused the content, so that a plainer message may be taken. */
export function isBadContent(error: unknown): boolean {
  return error instanceof SlackFault && error.code !== undefined && BAD_CONTENT.has(error.code);
}

/** Whether the bot token itself is refused. */
export function isBadToken(error: unknown): boolean {
  return error instanceof SlackFault && error.code !== undefined && BAD_TOKEN.has(error.code);
}

/** Any failure of a Web API call as a fault. Nothing of a request is taken over, because requests hold tokens. */
export function faultOf(error: unknown, about: About): SlackFault {
  if (error instanceof SlackFault) return error;
  const { method } = about;
  if (error instanceof WebAPIRateLimitedError) {
    return new SlackFault(`Slack asks to wait ${error.retryAfter} s before the next ${method}`, {
      recoverable: true,
      retryAfterMs: error.retryAfter * 1_000,
      code: "ratelimited",
    });
  }
  if (error instanceof WebAPIPlatformError) return refusalOf(error, about);
  if (error instanceof WebAPIHTTPError) {
    const recoverable = error.statusCode >= 500 || error.statusCode === 408 || error.statusCode === 429;
    return new SlackFault(`Slack answered ${method} with HTTP ${error.statusCode}`, {
      recoverable,
      unsure: true,
    });
  }
  if (error instanceof WebAPIRequestError) {
    const reason = reasonOf(error.original);
    return new SlackFault(`Slack did not answer ${method} (${reason})`, {
      recoverable: true,
      unsure: reason !== "ECONNREFUSED" && reason !== "ENOTFOUND" && reason !== "EAI_AGAIN",
    });
  }
  return new SlackFault(`${method} failed (${error instanceof Error ? error.name : "unknown"})`, {
    recoverable: true,
    unsure: true,
  });
}

/** `ECONNREFUSED`, `TimeoutError` ...: a code, never a message. */
function reasonOf(error: unknown): string {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 4; at = at.cause, depth += 1) {
    if ("code" in at && typeof at.code === "string" && /^[A-Z][A-Z0-9_]+$/.test(at.code)) return at.code;
    if (at.name === "TimeoutError" || at.name === "AbortError") return at.name;
  }
  return "connection lost";
}

function refusalOf(error: WebAPIPlatformError, about: About): SlackFault {
  const code = error.data.error;
  const retryAfterS = error.data.response_metadata?.["retryAfter"];
  return new SlackFault(sentenceOf(code, neededOf(error.data), about), {
    recoverable: PASSING.has(code),
    code,
    ...(typeof retryAfterS === "number" ? { retryAfterMs: retryAfterS * 1_000 } : {}),
  });
}

function neededOf(data: object): string {
  const needed = "needed" in data ? data.needed : undefined;
  return typeof needed === "string" && needed !== "" ? needed : "that it needs";
}

/** What happened, and what a person must do. */
function sentenceOf(code: string, needed: string, { method, channel, botName }: About): string {
  const where = channel === undefined ? "that channel" : channel;
  const bot = botName ?? "Belay";
  switch (code) {
    case "not_in_channel":
      return `Belay is not in ${where}: type \`/invite @${bot}\` there`;
    case "channel_not_found":
      return `Slack shows Belay no channel ${where}: check the name or id, and if it is private, type \`/invite @${bot}\` there`;
    case "is_archived":
    case "is_inactive":
      return `${where} is archived: unarchive it, or name another channel in the schedule`;
    case "missing_scope":
      return `the Slack app lacks the scope ${needed} for ${method}: add it to the app's manifest and install the app again`;
    case "restricted_action":
    case "restricted_action_read_only_channel":
      return `the workspace does not let Belay post in ${where}: allow it in the channel's posting permissions`;
    case "user_not_in_channel":
      return `the person is not in ${where}, so a private note cannot be shown there`;
    case "message_not_found":
      return "the message is gone: somebody deleted it, so it cannot be edited";
    case "cant_update_message":
    case "edit_window_closed":
      return `Slack does not let Belay edit that message (${code})`;
    default:
      if (!BAD_TOKEN.has(code)) return `Slack refused ${method}: ${code}`;
      return method === "apps.connections.open"
        ? `Slack does not accept the app token (${code}): make a new one with connections:write and set it`
        : `Slack does not accept the bot token (${code}): install the app again and set its new token`;
  }
}
