/** Incidents, people and log entries as PagerDuty writes them, in its REST answers and in its webhooks. */
import { createHash } from "node:crypto";
import type { JsonObject } from "../slack/json.ts";
import type { Agent, Incident, LogEntry, OnCall, Person } from "./model.ts";

const API = "https://api.pagerduty.com";
const PAGES = "https://belay-test.pagerduty.com";

export const SERVICE_ID = "PSERVICE01";
export const POLICY_ID = "PPOLICY001";

/** A reference to a resource, as it stands in place of the resource. */
export function reference(type: string, folder: string, id: string, summary: string): JsonObject {
  return {
    id,
    type: `${type}_reference`,
    summary,
    self: `${API}/${folder}/${id}`,
    html_url: `${PAGES}/${folder}/${id}`,
  };
}

/** A stable id of a person. */
export function userId(person: Person): string {
  return `PU${createHash("sha256").update(person.email).digest("hex").slice(0, 8).toUpperCase()}`;
}

export function userReference(person: Person): JsonObject {
  return reference("user", "users", userId(person), person.name);
}

export const serviceReference = reference("service", "services", SERVICE_ID, "Belay");
export const policyReference = reference("escalation_policy", "escalation_policies", POLICY_ID, "Operations");

export function agentReference(agent: Agent): JsonObject {
  return agent === "service" ? serviceReference : userReference(agent);
}

/** Where people look at the incident. */
export function incidentUrl(incident: Incident): string {
  return `${PAGES}/incidents/${incident.id}`;
}

/** An incident that has alerts of its own has no key, in REST and in webhooks alike. */
export function keyShown(incident: Incident, withAlerts: boolean): string | null {
  return withAlerts ? null : incident.dedupKey;
}

export function incidentJson(incident: Incident, withAlerts: boolean): JsonObject {
  const at = iso(incident.createdAt);
  return {
    id: incident.id,
    type: "incident",
    summary: `[#${incident.number}] ${incident.title}`,
    self: `${API}/incidents/${incident.id}`,
    html_url: incidentUrl(incident),
    incident_number: incident.number,
    title: incident.title,
    created_at: at,
    status: incident.status,
    incident_key: keyShown(incident, withAlerts),
    service: serviceReference,
    assignments:
      incident.status === "resolved"
        ? []
        : incident.assigned.map((person) => ({ at, assignee: userReference(person) })),
    assigned_via: "escalation_policy",
    escalation_policy: policyReference,
    teams: [],
    pending_actions: [],
    acknowledgements: incident.log
      .filter(({ type }) => type === "acknowledge_log_entry")
      .map((entry) => ({ at: iso(entry.at), acknowledger: agentReference(entry.agent) })),
    urgency: "high",
    priority: null,
    resolve_reason: null,
  };
}

export function logEntryJson(entry: LogEntry, incident: Incident): JsonObject {
  return {
    id: entry.id,
    type: entry.type,
    summary: entry.type.replaceAll("_", " "),
    self: `${API}/log_entries/${entry.id}?incident_id=${incident.id}`,
    html_url: `${incidentUrl(incident)}/log_entries/${entry.id}`,
    created_at: iso(entry.at),
    agent: agentReference(entry.agent),
    channel: { type: entry.agent === "service" ? "auto" : "website" },
    incident: reference("incident", "incidents", incident.id, incident.title),
    service: serviceReference,
    teams: [],
    contexts: [],
  };
}

/** `full`: with the person as a resource, as `include[]=users` asks for. */
export function onCallJson(onCall: OnCall, full: boolean): JsonObject {
  const { person, level, until } = onCall;
  const user = { ...userReference(person), type: "user", name: person.name, email: person.email };
  return {
    user: full ? user : userReference(person),
    schedule: null,
    escalation_policy: policyReference,
    escalation_level: level,
    start: null,
    end: until === undefined ? null : iso(until),
  };
}

export function policyJson(levels: readonly (readonly Person[])[], delayMs: number | undefined): JsonObject {
  return {
    ...policyReference,
    type: "escalation_policy",
    name: "Operations",
    num_loops: 0,
    escalation_rules: levels.map((people, index) => ({
      id: `PRULE${String(index + 1).padStart(5, "0")}`,
      escalation_delay_in_minutes: Math.max(1, Math.round((delayMs ?? 30 * 60_000) / 60_000)),
      targets: people.map(userReference),
    })),
    services: [serviceReference],
    teams: [],
  };
}

/** As PagerDuty writes an instant. */
export function iso(wall: number): string {
  return new Date(wall).toISOString();
}
