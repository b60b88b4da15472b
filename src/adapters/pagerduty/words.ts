/** From a webhook's body to words about incidents of ours: the signed events of version 3, and presses of custom incident actions. */
import { z } from "zod";
import type { PagerWord } from "../../engine/watch-ports.ts";
import { fitted } from "./texts.ts";

const NAME_POINTS = 200;
const ID = z.string().min(1).max(200);
const KEY = z.string().max(1_000);

const reference = z.looseObject({ summary: z.string().nullish() });
const instant = z.string().refine((text) => !Number.isNaN(Date.parse(text)), "expected an instant");

/** A delivery of a webhook subscription (version 3) holds exactly one event. */
const anyEvent = z.looseObject({ event: z.looseObject({ event_type: z.string().min(1) }) });

const incidentEvent = z.looseObject({
  event: z.looseObject({
    id: ID,
    occurred_at: instant,
    agent: reference.nullish(),
    client: z.looseObject({ name: z.string().nullish() }).nullish(),
    data: z.looseObject({ id: ID.nullish(), incident_key: KEY.nullish() }),
  }),
});

/** A custom incident action still sends the messages of version 2. */
const actionMessages = z.looseObject({
  messages: z
    .array(
      z.looseObject({
        id: ID,
        event: z.string(),
        created_on: instant.nullish(),
        webhook: z.looseObject({ name: z.string().nullish(), summary: z.string().nullish() }).nullish(),
        incident: z.looseObject({
          id: ID.nullish(),
          incident_key: KEY.nullish(),
          alerts: z.array(z.looseObject({ alert_key: KEY.nullish() })).nullish(),
        }),
        log_entries: z.array(z.looseObject({ agent: reference.nullish() })).nullish(),
      }),
    )
    .min(1)
    .max(100),
});

const KINDS: ReadonlyMap<string, "acknowledged" | "resolved" | "escalated"> = new Map([
  ["incident.acknowledged", "acknowledged"],
  ["incident.resolved", "resolved"],
  ["incident.escalated", "escalated"],
]);

/** A word whose incident may be known by PagerDuty's id alone: an incident with alerts of its own has no key there. */
export interface Heard {
  readonly dedupKey: string | undefined;
  readonly pagerId: string | undefined;
  /** The word under the key that turns out to be meant. */
  readonly under: (dedupKey: string) => PagerWord;
}

/** What a delivery says; `nothing` is a well-formed delivery that is none of our business, such as another event type or a ping. */
export type Delivery =
  | { readonly kind: "words"; readonly words: readonly Heard[] }
  | { readonly kind: "nothing"; readonly what: string }
  | { readonly kind: "malformed"; readonly why: string };

/** Reads a body. `now` (wall ms) stands in for the instant of an action that does not tell it. */
export function readDelivery(text: string, now: number): Delivery {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { kind: "malformed", why: "the body is not JSON" };
  }
  if (typeof body === "object" && body !== null && "messages" in body) return readActions(body, now);
  const any = anyEvent.safeParse(body);
  if (!any.success) return malformed(any.error);
  const { event_type: type } = any.data.event;
  const kind = KINDS.get(type);
  if (kind === undefined) return { kind: "nothing", what: fitted(type, NAME_POINTS) };
  const parsed = incidentEvent.safeParse(body);
  if (!parsed.success) return malformed(parsed.error);
  const { event } = parsed.data;
  const by = nameOf(event.agent?.summary ?? event.client?.name);
  const occurredAt = Date.parse(event.occurred_at);
  const heard: Heard = {
    dedupKey: event.data.incident_key || undefined,
    pagerId: event.data.id ?? undefined,
    under: (dedupKey) => ({ kind, dedupKey, by, occurredAt, id: event.id }),
  };
  return { kind: "words", words: [heard] };
}

function readActions(body: object, now: number): Delivery {
  const parsed = actionMessages.safeParse(body);
  if (!parsed.success) return malformed(parsed.error);
  const words: Heard[] = [];
  for (const { id, event, created_on, webhook, incident, log_entries } of parsed.data.messages) {
    const action = fitted(webhook?.name ?? webhook?.summary ?? "", NAME_POINTS);
    if (event !== "incident.custom" || action === "") continue;
    const agent = (log_entries ?? []).map((entry) => entry.agent?.summary).find((name) => name != null);
    const occurredAt = created_on == null ? now : Date.parse(created_on);
    const keys = [incident.incident_key, ...(incident.alerts ?? []).map((alert) => alert.alert_key)];
    words.push({
      dedupKey: keys.find((key) => key != null && key !== "") ?? undefined,
      pagerId: incident.id ?? undefined,
      under: (dedupKey) => ({ kind: "action", dedupKey, action, by: nameOf(agent), occurredAt, id }),
    });
  }
  if (words.length > 0) return { kind: "words", words };
  return { kind: "nothing", what: fitted(parsed.data.messages[0]?.event ?? "", NAME_POINTS) };
}

/** PagerDuty names nobody for what its automation did. */
function nameOf(summary: string | null | undefined): string {
  return fitted(summary ?? "", NAME_POINTS) || "PagerDuty";
}

function malformed(error: z.ZodError): Delivery {
  const issue = error.issues[0];
  return { kind: "malformed", why: `not a webhook of PagerDuty (at ${issue?.path.join(".") || "the top"})` };
}
