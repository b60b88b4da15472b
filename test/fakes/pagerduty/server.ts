/** A strict PagerDuty on loopback over TLS, for tests and demos: its Events API, the REST calls that Belay makes, and webhooks out. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, Agent as HttpsAgent, type Server } from "node:https";
import type { JsonObject } from "../slack/json.ts";
import { CERTIFICATE, PRIVATE_KEY } from "./certificate.ts";
import { createEventsApi } from "./events-api.ts";
import { createFaults, type Fault } from "./faults.ts";
import { Incidents, type PagerClock, type Policy } from "./incidents.ts";
import type { Agent, Change, Heard, Incident, OnCall, Person, Violation } from "./model.ts";
import { RestApi } from "./rest-api.ts";
import { type Inside, serve } from "./serve.ts";
import {
  actionMessage,
  customFieldEvent,
  deliver,
  type IncidentEventType,
  incidentEvent,
  type Occasion,
  pingEvent,
  type Sending,
} from "./webhooks.ts";

export const ANA: Person = { name: "Ana Lima", email: "ana@example.com" };
export const BEN: Person = { name: "Ben Okoro", email: "ben@example.com" };
const BELAY: Person = { name: "Belay", email: "belay@example.com" };

export interface FakePagerDutyOptions {
  /** Port on 127.0.0.1; 0, the default, takes a free one. */
  readonly port?: number;
  /** Ana at the first level and Ben at the second, without a clock of its own, unless said otherwise. */
  readonly policy?: Policy;
  /** Everybody of the policy unless said otherwise. */
  readonly onCalls?: readonly OnCall[];
  /** Integrations; one unless said otherwise. */
  readonly routingKeys?: readonly string[];
  /** Incidents have alerts of their own, as new services do, and so show no key. */
  readonly withAlerts?: boolean;
  readonly clock?: PagerClock;
}

export interface FakePagerDuty {
  /** `127.0.0.1:PORT`, pdjs's `server`. */
  readonly server: string;
  /** `https://127.0.0.1:PORT`, the base of the REST API. */
  readonly url: string;
  /** The certificate to trust, as PEM. */
  readonly ca: string;
  /** An agent that trusts it. */
  readonly agent: HttpsAgent;
  /** The first integration's key. */
  readonly routingKey: string;
  readonly token: string;
  readonly fromEmail: string;
  readonly webhookSecret: string;

  /** The requests heard, or those to one path, oldest first. */
  requests(path?: string): readonly Heard[];
  violations(): readonly Violation[];
  /** Takes the violations of a rule out of the record, for tests that break it on purpose. */
  forgive(rule: string): readonly Violation[];
  /** All incidents, or those of one key, oldest first. */
  incidents(dedupKey?: string): readonly Incident[];
  changes(): readonly Change[];

  inject(fault: Fault): void;
  clearFaults(): void;

  /** What people and the policy do to the newest incident of a key. @throws Error when that is not possible. */
  acknowledge(dedupKey: string, by: Person): Incident;
  resolve(dedupKey: string, by: Person): Incident;
  /** One level up, or to the level. */
  escalate(dedupKey: string, by?: Agent, level?: number): Incident;

  /** Bodies of webhooks about the newest incident of a key, as it is now. */
  event(type: IncidentEventType, dedupKey: string, occasion?: Occasion): JsonObject;
  customFieldEvent(dedupKey: string, occasion?: Occasion): JsonObject;
  actionEvent(label: string, dedupKey: string, occasion?: Occasion): JsonObject;
  pingEvent(): JsonObject;
  /** Delivers a body, signed with the subscription's secret unless said otherwise; the status of the answer. */
  sendWebhook(url: string, body: JsonObject | string, sending?: Sending): Promise<number>;

  close(): Promise<void>;
}

const machineClock: PagerClock = {
  now: () => Date.now(),
  after(ms, act) {
    const timer = setTimeout(act, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Starts one. */
export async function startFakePagerDuty(options: FakePagerDutyOptions = {}): Promise<FakePagerDuty> {
  const policy = options.policy ?? { levels: [[ANA], [BEN]] };
  const routingKeys = options.routingKeys ?? [randomBytes(16).toString("hex")];
  const withAlerts = options.withAlerts ?? false;
  const clock = options.clock ?? machineClock;
  const token = `u+${randomBytes(9).toString("hex")}`;
  const webhookSecret = randomBytes(24).toString("base64url");
  let violations: Violation[] = [];
  const violate = (rule: string, detail: string): void => void violations.push({ rule, detail });
  const faults = createFaults();
  const incidents = new Incidents(policy, clock);
  const onCalls = options.onCalls ?? everybody(policy);
  const users = [BELAY, ...policy.levels.flat()];
  const inside: Inside = {
    api: createEventsApi(incidents, routingKeys, violate),
    rest: new RestApi({ token, incidents, policy, onCalls, users, withAlerts, violate }),
    heard: [],
    violate,
    takeFault: faults.take,
    clock,
    secrets: [token, webhookSecret],
    routingKeys,
  };
  const server = createServer({ key: PRIVATE_KEY, cert: CERTIFICATE }, (request, response) => {
    response.on("error", () => undefined);
    serve(inside, request, response).catch(() => request.socket.destroy());
  });
  // A client that does not trust the certificate, or goes away, is none of our trouble.
  server.on("tlsClientError", () => undefined);
  const host = await listening(server, options.port ?? 0);
  const agent = new HttpsAgent({ ca: CERTIFICATE });

  const newest = (dedupKey: string): Incident => {
    const found = incidents.all().findLast((incident) => incident.dedupKey === dedupKey);
    if (found === undefined) throw new Error(`there is no incident of the key ${dedupKey}`);
    return found;
  };

  return {
    server: host,
    url: `https://${host}`,
    ca: CERTIFICATE,
    agent,
    routingKey: routingKeys[0] ?? "",
    token,
    fromEmail: BELAY.email,
    webhookSecret,
    requests: (path) => inside.heard.filter((each) => path === undefined || each.path === path),
    violations: () => [...violations],
    forgive(rule) {
      const forgiven = violations.filter((violation) => violation.rule === rule);
      violations = violations.filter((violation) => violation.rule !== rule);
      return forgiven;
    },
    incidents: (key) => incidents.all().filter(({ dedupKey }) => key === undefined || dedupKey === key),
    changes: inside.api.changes,
    inject: faults.inject,
    clearFaults: faults.clear,
    acknowledge: (key, by) => incidents.acknowledge(newest(key).id, by),
    resolve: (key, by) => incidents.resolve(newest(key).id, by),
    escalate: (key, by = "service", level = newest(key).level + 1) =>
      incidents.escalate(newest(key).id, level, by),
    event: (type, key, occasion = {}) => incidentEvent(type, newest(key), withAlerts, occasion),
    customFieldEvent: (key, occasion = {}) => customFieldEvent(newest(key), occasion),
    actionEvent: (label, key, occasion = {}) => actionMessage(label, newest(key), withAlerts, occasion),
    pingEvent,
    sendWebhook: (url, body, sending = {}) => deliver(url, body, { secrets: [webhookSecret], ...sending }),
    async close() {
      incidents.stop();
      agent.destroy();
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

/** `127.0.0.1:PORT` once it listens. */
async function listening(server: Server, port: number): Promise<string> {
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
}

function everybody(policy: Policy): readonly OnCall[] {
  return policy.levels.flatMap((people, index) => people.map((person) => ({ person, level: index + 1 })));
}
