/** The part of the REST API v2 that Belay uses: incidents, their log, escalating them, the policy, and who is on call. */
import { isObject, type JsonObject, objectAt, stringAt } from "../slack/json.ts";
import type { Incidents, Policy } from "./incidents.ts";
import type { Answer, Heard, Incident, OnCall, Person } from "./model.ts";
import { incidentJson, logEntryJson, onCallJson, POLICY_ID, policyJson } from "./shapes.ts";

const ACCEPT = "application/vnd.pagerduty+json;version=2";
const LIMIT_DEFAULT = 25;
const LIMIT_MOST = 100;

const INCIDENT_QUERY = [
  "incident_key",
  "limit",
  "offset",
  "total",
  "date_range",
  "sort_by",
  "statuses[]",
  "since",
  "until",
];
const LOG_QUERY = ["limit", "offset", "total", "is_overview", "include[]", "since", "until", "time_zone"];
const ON_CALL_QUERY = [
  "limit",
  "offset",
  "total",
  "include[]",
  "escalation_policy_ids[]",
  "earliest",
  "since",
  "until",
  "user_ids[]",
  "schedule_ids[]",
];

export interface RestApiOptions {
  readonly token: string;
  readonly incidents: Incidents;
  readonly policy: Policy;
  readonly onCalls: readonly OnCall[];
  /** Whose e-mail addresses `From` may hold. */
  readonly users: readonly Person[];
  /** Incidents have alerts of their own, and so no key. */
  readonly withAlerts: boolean;
  readonly violate: (rule: string, detail: string) => void;
}

/** Answers requests, and tells of each that it refuses. */
export class RestApi {
  readonly #options: RestApiOptions;

  constructor(options: RestApiOptions) {
    this.#options = options;
  }

  answer(heard: Heard): Answer {
    const { authorization, accept } = heard.headers;
    if (authorization !== `Token token=${this.#options.token}`)
      return this.#refuse(401, 2006, "Authentication failed");
    if (accept !== ACCEPT)
      return this.#refuse(400, 2002, "Arguments Caused Error", [`Accept must be ${ACCEPT}`]);
    if (heard.method !== "GET" && !isObject(heard.body))
      return this.#refuse(400, 2001, "Invalid Input Provided");
    const [, folder, id, rest] = heard.path.split("/").map(decodeURIComponent);
    if (folder === "incidents" && id !== undefined) return this.#ofIncident(heard, id, rest);
    if (heard.method !== "GET") return this.#refuse(405, 2015, "Invalid operation");
    if (folder === "incidents") return this.#listIncidents(heard);
    if (folder === "oncalls" && id === undefined) return this.#listOnCalls(heard);
    if (folder !== "escalation_policies" || id !== POLICY_ID) return this.#refuse(404, 2100, "Not Found");
    const { levels, escalateAfterMs } = this.#options.policy;
    return { status: 200, body: { escalation_policy: policyJson(levels, escalateAfterMs) } };
  }

  #refuse(status: number, code: number, message: string, errors: readonly string[] = []): Answer {
    this.#options.violate("rest_refused", [`HTTP ${status} ${message}`, ...errors].join("; "));
    return { status, body: { error: { message, code, ...(errors.length === 0 ? {} : { errors }) } } };
  }

  #known(heard: Heard, names: readonly string[]): void {
    for (const name of heard.query.keys())
      if (!names.includes(name)) this.#options.violate("rest_query", `${heard.path} knows no ${name}`);
  }

  /** One page of a list, under its name. */
  #page(heard: Heard, name: string, items: readonly JsonObject[]): Answer {
    const limit = Number(heard.query.get("limit") ?? LIMIT_DEFAULT);
    const offset = Number(heard.query.get("offset") ?? 0);
    if (!(limit >= 1 && limit <= LIMIT_MOST) || !(offset >= 0))
      return this.#refuse(400, 2001, "Invalid Input Provided", [`limit ${limit}, offset ${offset}`]);
    const more = offset + limit < items.length;
    const shown = items.slice(offset, offset + limit);
    return { status: 200, body: { [name]: shown, limit, offset, more, total: null } };
  }

  #listIncidents(heard: Heard): Answer {
    this.#known(heard, INCIDENT_QUERY);
    const key = heard.query.get("incident_key");
    const statuses = heard.query.getAll("statuses[]");
    const found = this.#options.incidents
      .all()
      .filter(({ dedupKey }) => key === null || dedupKey === key)
      .filter(({ status }) => statuses.length === 0 || statuses.includes(status));
    const sorted = heard.query.get("sort_by") === "created_at:desc" ? found.toReversed() : found;
    return this.#page(
      heard,
      "incidents",
      sorted.map((incident) => incidentJson(incident, this.#options.withAlerts)),
    );
  }

  #ofIncident(heard: Heard, id: string, rest: string | undefined): Answer {
    const incident = this.#options.incidents.all().find((each) => each.id === id);
    if (incident === undefined) return this.#refuse(404, 2100, "Not Found");
    if (rest === "log_entries" && heard.method === "GET") {
      this.#known(heard, LOG_QUERY);
      const entries = incident.log.toReversed().map((entry) => logEntryJson(entry, incident));
      return this.#page(heard, "log_entries", entries);
    }
    if (rest !== undefined) return this.#refuse(404, 2100, "Not Found");
    if (heard.method === "GET") return this.#shown(incident);
    return heard.method === "PUT"
      ? this.#update(heard, incident)
      : this.#refuse(405, 2015, "Invalid operation");
  }

  #update(heard: Heard, incident: Incident): Answer {
    const { incidents, policy, users } = this.#options;
    const from = String(heard.headers["from"] ?? "");
    const by = users.find(({ email }) => email === from);
    if (by === undefined) return this.#refuse(400, 1008, "Requester User Not Found", [`From: ${from}`]);
    const wanted = objectAt(heard.body, "incident");
    const type = stringAt(wanted, "type");
    if (wanted === undefined || (type !== "incident_reference" && type !== "incident"))
      return this.#refuse(400, 2001, "Invalid Input Provided", ["incident.type must be incident_reference"]);
    const odd = Object.keys(wanted).filter((name) => !["type", "status", "escalation_level"].includes(name));
    if (odd.length > 0) this.#options.violate("rest_body", `unknown: ${odd.join(", ")}`);
    const { status, escalation_level: level } = wanted;
    if (incident.status === "resolved") return this.#refuse(400, 1001, "Incident Already Resolved");
    if (status === "acknowledged") return this.#shown(incidents.acknowledge(incident.id, by));
    if (status === "resolved") return this.#shown(incidents.resolve(incident.id, by));
    if (status !== undefined) return this.#refuse(400, 1003, "Invalid Status Provided");
    if (typeof level !== "number" || policy.levels[level - 1] === undefined)
      return this.#refuse(400, 1006, "Cannot Escalate", [`there is no level ${String(level)}`]);
    return this.#shown(incidents.escalate(incident.id, level, by));
  }

  #shown(incident: Incident): Answer {
    return { status: 200, body: { incident: incidentJson(incident, this.#options.withAlerts) } };
  }

  #listOnCalls(heard: Heard): Answer {
    this.#known(heard, ON_CALL_QUERY);
    const full = heard.query.getAll("include[]").includes("users");
    const policies = heard.query.getAll("escalation_policy_ids[]");
    const shown = policies.length === 0 || policies.includes(POLICY_ID) ? this.#options.onCalls : [];
    return this.#page(
      heard,
      "oncalls",
      shown.map((onCall) => onCallJson(onCall, full)),
    );
  }
}
