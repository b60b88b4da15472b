/** Private notes to one person: by the address that came with their command, else as an ephemeral message. */
import type { KnownBlock } from "@slack/types";
import type { WebClient } from "@slack/web-api";
import { HttpFault, request } from "../http-client.ts";
import type { Calls } from "./calls.ts";
import { isBadContent, SlackFault } from "./faults.ts";
import type { Places } from "./places.ts";
import type { Rendered } from "./render-text.ts";

export interface RespondDeps {
  readonly urgent: WebClient;
  readonly calls: Calls;
  readonly places: Places;
  readonly apiUrl: string | undefined;
}

/** Where a note is shown, and to whom; ids are Slack's. */
export interface Whom {
  readonly channel: string;
  readonly user: string;
  readonly thread?: string | undefined;
}

const TIMEOUT_MS = 2_000;
const REPLY_BYTES_MOST = 64 * 1024;

/** Only Slack may be spoken to through an address that came from outside: its own hosts, or the one configured. */
function isSlackAddress(responseUrl: string, apiUrl: string | undefined): boolean {
  const url = URL.parse(responseUrl);
  if (url === null) return false;
  if (apiUrl !== undefined && URL.parse(apiUrl)?.origin === url.origin) return true;
  return url.protocol === "https:" && /(^|\.)slack(-gov)?\.com$/.test(url.hostname);
}

/**
 * Posts through a response_url. Rejects with a `SlackFault`: `gone` as its code when the address is expired, used up or not Slack's, and
 * another way has to be taken.
 */
export async function respond(responseUrl: string, message: Rendered, deps: RespondDeps): Promise<void> {
  if (!isSlackAddress(responseUrl, deps.apiUrl)) throw gone("the answer's address is not one of Slack's");
  await deps.calls.run({ method: "response_url", lane: "urgent", per: responseUrl }, async () => {
    const reply = await post(responseUrl, message);
    if (reply.status === 200) return;
    if (reply.status === 404 || reply.status === 410)
      throw gone("the answer's address is used up or expired");
    const waitS = Number(reply.headers["retry-after"]);
    throw new SlackFault(`Slack refused a private answer with HTTP ${reply.status}`, {
      recoverable: reply.status === 429 || reply.status >= 500,
      unsure: reply.status >= 500,
      ...(reply.status === 429 && waitS > 0 ? { retryAfterMs: waitS * 1_000, code: "ratelimited" } : {}),
      ...(reply.status === 400 ? { code: "invalid_blocks" } : {}),
    });
  });
}

function gone(why: string): SlackFault {
  return new SlackFault(why, { recoverable: false, code: "gone" });
}

/** Whether a response_url can no longer be used. */
export function isGone(error: unknown): boolean {
  return error instanceof SlackFault && error.code === "gone";
}

async function post(responseUrl: string, { text, blocks }: Rendered) {
  try {
    return await request({
      method: "POST",
      url: responseUrl,
      headers: { "content-type": "application/json; charset=utf-8" },
      body: JSON.stringify({
        response_type: "ephemeral",
        // Without it, a press would have its message replaced by the private answer.
        replace_original: false,
        text,
        ...(blocks.length === 0 ? {} : { blocks }),
      }),
      timeoutMs: TIMEOUT_MS,
      maxBytes: REPLY_BYTES_MOST,
    });
  } catch (error) {
    const kind = error instanceof HttpFault ? error.kind : "network";
    throw new SlackFault(`a private answer could not be sent (${kind})`, {
      recoverable: true,
      unsure: kind !== "refused",
    });
  }
}

/** Shows a note to one person in a channel or thread; in the channel when the thread is gone. Rejects with a `SlackFault`. */
export async function whisper(whom: Whom, message: Rendered, deps: RespondDeps): Promise<void> {
  try {
    await ephemeral(whom, message, deps);
  } catch (error) {
    const code = error instanceof SlackFault ? error.code : undefined;
    const threadGone = code === "thread_not_found" || code === "cannot_reply_to_message";
    if (threadGone && whom.thread !== undefined)
      await ephemeral({ channel: whom.channel, user: whom.user }, message, deps);
    else if (isBadContent(error) && message.blocks.length > 0)
      await ephemeral(whom, { text: message.text, blocks: [] }, deps);
    else throw error;
  }
}

async function ephemeral({ channel, user, thread }: Whom, message: Rendered, deps: RespondDeps) {
  const { urgent, calls, places } = deps;
  const blocks: KnownBlock[] = [...message.blocks];
  await calls.run({ method: "chat.postEphemeral", lane: "urgent", channel: places.nameOf(channel) }, () =>
    urgent.chat.postEphemeral({
      channel,
      user,
      text: message.text,
      ...(blocks.length === 0 ? {} : { blocks }),
      ...(thread === undefined ? {} : { thread_ts: thread }),
    }),
  );
}
