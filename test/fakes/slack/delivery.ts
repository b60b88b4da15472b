/** How something that happened in the workspace reaches the bot: one delivery, and the retries of events. */

import type { Context } from "./context.ts";
import type { JsonObject } from "./json.ts";
import type { EnvelopeType } from "./model.ts";

/** The bot has this long to acknowledge. */
export const ACK_LIMIT_MS = 3_000;
/** After a failed delivery an event comes again: at once, then 1 and 5 minutes later. */
export const EVENT_RETRIES_MS: readonly number[] = [0, 60_000, 300_000];

/** One thing to tell the bot. */
export interface Envelope {
  readonly type: EnvelopeType;
  /** The command, action_id, callback_id or event type. */
  readonly what: string;
  readonly payload: JsonObject;
  /** Whether the acknowledgement may carry an answer. */
  readonly acceptsBody: boolean;
  /** 0 for a first delivery. */
  readonly retryAttempt: number;
  readonly retryReason: string;
}

/** What came of one delivery. */
export type Delivery =
  | { readonly kind: "acked"; readonly ackMs: number; readonly body: unknown }
  | { readonly kind: "timeout" }
  | { readonly kind: "refused"; readonly status: number; readonly noRetry: boolean }
  | { readonly kind: "undeliverable"; readonly why: string };

/** A way to the bot: Socket Mode or signed HTTP. */
export interface Transport {
  deliver(envelope: Envelope): Promise<Delivery>;
}

/**
 * Delivers an event, again by Slack's timetable until a delivery is acknowledged.
 * @returns what came of the first delivery; the later ones happen by themselves.
 */
export async function deliverEvent(
  context: Context,
  transport: Transport,
  event: JsonObject,
): Promise<Delivery> {
  const envelope: Envelope = {
    type: "events_api",
    what: typeof event.type === "string" ? event.type : "event",
    payload: eventPayload(context, event),
    acceptsBody: false,
    retryAttempt: 0,
    retryReason: "",
  };
  const first = await transport.deliver(envelope);
  retryLater(context, transport, envelope, first);
  return first;
}

function retryLater(context: Context, transport: Transport, failed: Envelope, delivery: Delivery): void {
  const waitMs = EVENT_RETRIES_MS[failed.retryAttempt];
  if (delivery.kind === "acked" || waitMs === undefined) return;
  if (delivery.kind === "refused" && delivery.noRetry) return;
  const retryReason = delivery.kind === "timeout" ? "timeout" : "http_error";
  const again: Envelope = { ...failed, retryAttempt: failed.retryAttempt + 1, retryReason };
  context.clock.after(waitMs, () => {
    void transport.deliver(again).then((next) => retryLater(context, transport, again, next));
  });
}

function eventPayload(context: Context, event: JsonObject): JsonObject {
  const { workspace, tokens, clock } = context;
  return {
    token: tokens.verification,
    team_id: workspace.team.id,
    context_team_id: workspace.team.id,
    context_enterprise_id: null,
    api_app_id: workspace.appId,
    type: "event_callback",
    event,
    event_id: `Ev${String(event.event_ts).replace(".", "")}`,
    event_time: Math.floor(clock.now() / 1000),
    authorizations: [
      {
        enterprise_id: null,
        team_id: workspace.team.id,
        user_id: workspace.bot.id,
        is_bot: true,
        is_enterprise_install: false,
      },
    ],
    is_ext_shared_channel: false,
    event_context: `4-${String(event.event_ts)}`,
  };
}
