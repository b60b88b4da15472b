/** Webhooks as PagerDuty sends them: the events of version 3, signed, and the messages of custom incident actions. */
import { createHmac, randomUUID } from "node:crypto";
import type { JsonObject } from "../slack/json.ts";
import type { Agent, Incident } from "./model.ts";
import {
  agentReference,
  incidentJson,
  incidentUrl,
  iso,
  keyShown,
  policyReference,
  reference,
  serviceReference,
  userReference,
} from "./shapes.ts";

const ANSWER_WITHIN_MS = 5_000;

export type IncidentEventType =
  | "incident.acknowledged"
  | "incident.escalated"
  | "incident.reopened"
  | "incident.resolved"
  | "incident.triggered"
  | "incident.unacknowledged";

/** Who did it and when (wall ms); `id` to tell the same event again. */
export interface Occasion {
  readonly by?: Agent;
  readonly at?: number;
  readonly id?: string;
}

export interface Sending {
  /** Secrets to sign with, in place of the subscription's own; several while one is being replaced, none for an unsigned delivery. */
  readonly secrets?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** The body of an event about an incident as it is now. */
export function incidentEvent(
  type: IncidentEventType,
  incident: Incident,
  withAlerts: boolean,
  { by = "service", at = Date.now(), id = randomUUID() }: Occasion,
): JsonObject {
  return envelope(
    type,
    { by, at, id },
    {
      id: incident.id,
      type: "incident",
      self: `https://api.pagerduty.com/incidents/${incident.id}`,
      html_url: incidentUrl(incident),
      number: incident.number,
      status: incident.status,
      incident_key: keyShown(incident, withAlerts),
      created_at: iso(incident.createdAt),
      title: incident.title,
      incident_type: { name: "incident_default" },
      service: serviceReference,
      assignees: incident.assigned.map(userReference),
      escalation_policy: policyReference,
      teams: [],
      priority: null,
      urgency: "high",
      conference_bridge: null,
      resolve_reason: null,
    },
  );
}

/** An event that Belay has no use for: somebody changed a custom field. */
export function customFieldEvent(
  incident: Incident,
  { by = "service", at = Date.now(), id = randomUUID() }: Occasion,
): JsonObject {
  return envelope(
    "incident.custom_field_values.updated",
    { by, at, id },
    {
      incident: reference("incident", "incidents", incident.id, incident.title),
      custom_fields: [],
      changed_custom_fields: [],
      type: "incident_field_values",
    },
  );
}

/** What the button `Send test event` of a subscription sends. */
export function pingEvent(): JsonObject {
  const data = { message: "Hello from your friend Pagey!", type: "ping" };
  return envelope("pagey.ping", { by: "service", at: Date.now(), id: randomUUID() }, data, "pagey");
}

/** What the button of a custom incident action sends: still the messages of version 2. `label` is the button's. */
export function actionMessage(
  label: string,
  incident: Incident,
  withAlerts: boolean,
  { by = "service", at = Date.now(), id = randomUUID() }: Occasion,
): JsonObject {
  return {
    messages: [
      {
        id,
        event: "incident.custom",
        created_on: iso(at),
        log_entries: [
          {
            id: `R${id}`,
            type: "custom_log_entry",
            summary: `${label} was pressed`,
            created_at: iso(at),
            agent: agentReference(by),
            channel: { type: "website" },
          },
        ],
        webhook: {
          id: "PACTION001",
          type: "webhook",
          name: label,
          summary: label,
          description: null,
          endpoint_url: null,
          webhook_object: serviceReference,
          config: {},
        },
        incident: {
          ...incidentJson(incident, withAlerts),
          alerts: withAlerts ? [{ alert_key: incident.dedupKey }] : [],
        },
      },
    ],
  };
}

/** `X-PagerDuty-Signature` of a body. */
export function signatureOf(body: string, secrets: readonly string[]): string {
  return secrets.map((secret) => `v1=${createHmac("sha256", secret).update(body).digest("hex")}`).join(",");
}

/** Delivers a body once; the status of the answer. @throws when there is none within 5 s. */
export async function deliver(url: string, body: JsonObject | string, sending: Sending): Promise<number> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const secrets = sending.secrets ?? [];
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "user-agent": "PagerDuty-Webhook/V3.0",
      "x-webhook-id": randomUUID(),
      ...(secrets.length === 0 ? {} : { "x-pagerduty-signature": signatureOf(text, secrets) }),
      ...sending.headers,
    },
    body: text,
    redirect: "manual",
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  await response.arrayBuffer();
  return response.status;
}

function envelope(
  type: string,
  occasion: Required<Occasion>,
  data: JsonObject,
  resource = "incident",
): JsonObject {
  const { by, at, id } = occasion;
  return {
    event: {
      id,
      event_type: type,
      resource_type: resource,
      occurred_at: iso(at),
      // Nobody is named for what the service did by itself.
      agent: by === "service" ? null : agentReference(by),
      client: by === "service" ? null : { name: "PagerDuty" },
      data,
    },
  };
}
