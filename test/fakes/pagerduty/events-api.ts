/** The Events API v2: what an event may look like, and what one does. */
import { isList, isObject, type JsonObject, objectAt, objectsAt, stringAt } from "../slack/json.ts";
import type { Incidents } from "./incidents.ts";
import type { Answer, Change } from "./model.ts";

const SUMMARY_CHARS = 1_024;
const DEDUP_KEY_CHARS = 255;
const ROUTING_KEY_CHARS = 32;
const SEVERITIES = ["critical", "error", "warning", "info"];
const ACTIONS = ["trigger", "acknowledge", "resolve"];
const LONE_SURROGATE = /\p{Surrogate}/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to find.
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;

const EVENT_FIELDS = [
  "routing_key",
  "event_action",
  "dedup_key",
  "payload",
  "images",
  "links",
  "client",
  "client_url",
];
const PAYLOAD_FIELDS = [
  "summary",
  "source",
  "severity",
  "timestamp",
  "component",
  "group",
  "class",
  "custom_details",
];
const CHANGE_FIELDS = ["routing_key", "payload", "links", "images"];
const CHANGE_PAYLOAD_FIELDS = ["summary", "source", "timestamp", "custom_details"];

export interface EventsApi {
  /** `POST /v2/enqueue` */
  enqueue(body: unknown): Answer;
  /** `POST /v2/change/enqueue` */
  change(body: unknown): Answer;
  changes(): readonly Change[];
}

/** `violate` hears of what is refused, and of what is taken but careless. */
export function createEventsApi(
  incidents: Incidents,
  routingKeys: readonly string[],
  violate: (rule: string, detail: string) => void,
): EventsApi {
  const changes: Change[] = [];

  function refuse(rule: string, errors: readonly string[]): Answer {
    violate(rule, errors.join("; "));
    return { status: 400, body: { status: "invalid event", message: "Event object is invalid", errors } };
  }

  function careless(body: JsonObject, fields: readonly string[], payloadFields: readonly string[]): void {
    const payload = objectAt(body, "payload") ?? {};
    const unknown = [
      ...Object.keys(body).filter((name) => !fields.includes(name)),
      ...Object.keys(payload)
        .filter((name) => !payloadFields.includes(name))
        .map((name) => `payload.${name}`),
    ];
    if (unknown.length > 0) violate("event_field", `unknown: ${unknown.join(", ")}`);
    for (const text of textsOf(body)) {
      if (LONE_SURROGATE.test(text)) violate("event_text", "half a character");
      if (CONTROL.test(text)) violate("event_text", "a control character");
    }
  }

  return {
    enqueue(body) {
      if (!isObject(body)) return refuse("event_json", ["JSON is invalid"]);
      const errors = [...routingErrors(body, routingKeys), ...eventErrors(body)];
      if (errors.length > 0) return refuse("event_invalid", errors);
      careless(body, EVENT_FIELDS, PAYLOAD_FIELDS);
      const routingKey = stringAt(body, "routing_key") ?? "";
      const action = stringAt(body, "event_action");
      const given = stringAt(body, "dedup_key");
      if (given === undefined)
        violate("event_dedup", "a trigger without a dedup_key can never be found again");
      const dedupKey = given ?? crypto.randomUUID();
      if (action === "acknowledge") incidents.settle(routingKey, dedupKey, "acknowledged");
      else if (action === "resolve") incidents.settle(routingKey, dedupKey, "resolved");
      else {
        const title = stringAt(objectAt(body, "payload"), "summary") ?? "";
        const details = objectAt(objectAt(body, "payload"), "custom_details") ?? {};
        incidents.trigger({ routingKey, dedupKey, title, details });
      }
      return { status: 202, body: { status: "success", message: "Event processed", dedup_key: dedupKey } };
    },
    change(body) {
      if (!isObject(body)) return refuse("event_json", ["JSON is invalid"]);
      const errors = [...routingErrors(body, routingKeys), ...summaryErrors(body), ...linkErrors(body)];
      if (errors.length > 0) return refuse("change_invalid", errors);
      careless(body, CHANGE_FIELDS, CHANGE_PAYLOAD_FIELDS);
      const payload = objectAt(body, "payload");
      changes.push({
        summary: stringAt(payload, "summary") ?? "",
        source: stringAt(payload, "source"),
        details: objectAt(payload, "custom_details") ?? {},
      });
      return { status: 202, body: { status: "success", message: "Change event processed" } };
    },
    changes: () => [...changes],
  };
}

function routingErrors(body: JsonObject, routingKeys: readonly string[]): readonly string[] {
  const key = stringAt(body, "routing_key");
  if (key === undefined) return ["'routing_key' is missing or blank"];
  if (key.length !== ROUTING_KEY_CHARS)
    return [`Length of 'routing_key' is incorrect (should be ${ROUTING_KEY_CHARS} characters)`];
  // Told back, as a service might: what the client makes of it must not show it.
  return routingKeys.includes(key) ? [] : [`Invalid routing key ${key}`];
}

function eventErrors(body: JsonObject): readonly string[] {
  const errors: string[] = [];
  const action = stringAt(body, "event_action") ?? "";
  if (!ACTIONS.includes(action)) errors.push("'event_action' must be trigger, acknowledge or resolve");
  const dedupKey = body["dedup_key"];
  if (dedupKey === undefined && action !== "trigger") errors.push("'dedup_key' is missing or blank");
  if (dedupKey !== undefined && typeof dedupKey !== "string") errors.push("'dedup_key' is not a string");
  if (dedupKey === "") errors.push("'dedup_key' is missing or blank");
  if (typeof dedupKey === "string" && dedupKey.length > DEDUP_KEY_CHARS)
    errors.push(`'dedup_key' is too long (${dedupKey.length} > ${DEDUP_KEY_CHARS})`);
  if (action !== "trigger") return errors;
  const payload = objectAt(body, "payload");
  if (payload === undefined) return [...errors, "'payload' is missing"];
  if ((stringAt(payload, "source") ?? "").trim() === "") errors.push("'payload.source' is missing or blank");
  const severity = stringAt(payload, "severity") ?? "";
  if (!SEVERITIES.includes(severity)) errors.push("'payload.severity' is invalid (must be one of the four)");
  return [...errors, ...summaryErrors(body), ...linkErrors(body)];
}

function summaryErrors(body: JsonObject): readonly string[] {
  const errors: string[] = [];
  const payload = objectAt(body, "payload");
  if (payload === undefined) return ["'payload' is missing"];
  const summary = stringAt(payload, "summary") ?? "";
  if (summary.trim() === "") errors.push("'payload.summary' is missing or blank");
  if ([...summary].length > SUMMARY_CHARS) errors.push(`'payload.summary' is longer than ${SUMMARY_CHARS}`);
  const timestamp = payload["timestamp"];
  if (timestamp !== undefined && !(typeof timestamp === "string" && Number.isFinite(Date.parse(timestamp))))
    errors.push("'payload.timestamp' is no ISO 8601 timestamp");
  const details = payload["custom_details"];
  if (details !== undefined && !isObject(details)) errors.push("'payload.custom_details' is not an object");
  return errors;
}

function linkErrors(body: JsonObject): readonly string[] {
  const links = body["links"];
  if (links === undefined) return [];
  if (!isList(links)) return ["'links' is not a list"];
  const isRight = (link: JsonObject): boolean => URL.canParse(stringAt(link, "href") ?? "");
  return objectsAt(body, "links").filter(isRight).length === links.length ? [] : ["'links.href' is no URL"];
}

/** All texts of a value, names included. */
function* textsOf(value: unknown): Generator<string> {
  if (typeof value === "string") yield value;
  else if (isList(value)) for (const item of value) yield* textsOf(item);
  else if (isObject(value))
    for (const [name, item] of Object.entries(value)) {
      yield name;
      yield* textsOf(item);
    }
}
