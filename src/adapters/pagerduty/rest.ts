/** The PagerRest port: what of PagerDuty's REST API Belay needs to confirm an incident, to escalate it, and to say who is on call. */
import type { z } from "zod";
import { type Log, OutsideFault } from "../../engine/ports.ts";
import type { PagerIncident, PagerRest } from "../../engine/watch-ports.ts";
import { createHttpClient, type HttpClient, HttpFault, type HttpReply } from "../http-client.ts";
import { refusedFault } from "./refusals.ts";
import {
  type IncidentShape,
  incidentsShape,
  logEntriesShape,
  nameOf,
  onCallsShape,
  policyShape,
} from "./rest-shapes.ts";
import { dedupKeyOf, fitted } from "./texts.ts";

const DEFAULT_URL = "https://api.pagerduty.com";
const REQUEST_MS = 5_000;
/** Deadline for all requests of one question, ms. */
const QUESTION_MS = 15_000;
const PAGE = 100;
const PAGES_MOST = 10;
const NAME_POINTS = 200;

export interface PagerRestOptions {
  /** A REST API key, read-write for escalating. */
  readonly token: string;
  /** E-mail address of a user of the account, in whose name Belay escalates. */
  readonly fromEmail: string;
  /** `https://api.pagerduty.com` when not given (`https://api.eu.pagerduty.com` for the European region). */
  readonly url?: string | undefined;
  /** Only these escalation policies are shown as on call; all of the account when not given. */
  readonly policies?: readonly string[] | undefined;
  /** A private certificate authority as PEM, and for tests. */
  readonly ca?: string | undefined;
  /** Deadline of one request in ms; 5 s when not given. */
  readonly timeoutMs?: number | undefined;
  readonly log: Log;
}

interface Question {
  readonly method: "GET" | "PUT";
  /** With its query; each part is encoded. */
  readonly path: string;
  readonly body?: unknown;
}

/** Asks one request in the name of one question, whose deadline goes on. */
type Ask = (question: Question) => Promise<HttpReply>;

type OnCall = Awaited<ReturnType<PagerRest["onCalls"]>>[number];

/** Every method rejects with an `OutsideFault`. */
export function createPagerRest(options: PagerRestOptions): PagerRest & { close(): void } {
  const http = createHttpClient({ ca: options.ca });
  const asking = (): Ask => {
    const until = performance.now() + QUESTION_MS;
    return (question) => ask(http, options, question, until - performance.now());
  };

  async function incidentByKey(dedupKey: string): Promise<PagerIncident | undefined> {
    const asked = asking();
    const query = new URLSearchParams({
      incident_key: dedupKeyOf(dedupKey),
      date_range: "all",
      sort_by: "created_at:desc",
      limit: "5",
    });
    const found = await asked({ method: "GET", path: `/incidents?${query}` });
    // After a resolve the same key makes a new incident: the newest is meant.
    const [newest] = read(incidentsShape, found, "the incidents").incidents.toSorted(
      (a, b) => createdAt(b) - createdAt(a),
    );
    if (newest === undefined) return undefined;
    return {
      id: newest.id,
      url: newest.html_url,
      status: newest.status,
      assigned: newest.assignments.map(({ assignee }) => fitted(nameOf(assignee), NAME_POINTS)),
      escalations: await escalationsOf(asked, newest.id),
      levels: await levelsOf(asked, newest.escalation_policy?.id),
    };
  }

  async function escalate(pagerId: string, level: number): Promise<void> {
    const body = { incident: { type: "incident_reference", escalation_level: level } };
    await asking()({ method: "PUT", path: `/incidents/${encodeURIComponent(pagerId)}`, body });
  }

  async function onCalls(): Promise<readonly OnCall[]> {
    const asked = asking();
    const found = new Map<string, OnCall>();
    const isWhole = await eachPage(async (offset) => {
      const query = new URLSearchParams({ earliest: "true", limit: String(PAGE), offset: String(offset) });
      query.append("include[]", "users");
      for (const id of options.policies ?? []) query.append("escalation_policy_ids[]", id);
      const reply = await asked({ method: "GET", path: `/oncalls?${query}` });
      const { oncalls, more } = read(onCallsShape, reply, "who is on call");
      for (const shape of oncalls) {
        const person = onCallOf(shape);
        found.set(JSON.stringify(person), person);
      }
      return more && oncalls.length > 0;
    });
    if (!isWhole) options.log.warn("more people are on call than are read", { read: found.size });
    return [...found.values()].toSorted((a, b) => a.level - b.level || a.name.localeCompare(b.name));
  }

  return { incidentByKey, escalate, onCalls, close: () => http.close() };
}

async function ask(
  http: HttpClient,
  options: PagerRestOptions,
  { method, path, body }: Question,
  leftMs: number,
): Promise<HttpReply> {
  const what = `${method} ${path.split("?")[0] ?? ""}`;
  if (leftMs <= 0)
    throw new OutsideFault(`PagerDuty answered too slowly; ${what} was not asked`, { recoverable: true });
  const base = (options.url ?? DEFAULT_URL).replace(/\/+$/, "");
  const reply = await http
    .request({
      method,
      url: `${base}${path}`,
      headers: {
        Accept: "application/vnd.pagerduty+json;version=2",
        Authorization: `Token token=${options.token}`,
        ...(method === "PUT" ? { From: options.fromEmail, "Content-Type": "application/json" } : {}),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      timeoutMs: Math.min(options.timeoutMs ?? REQUEST_MS, leftMs),
    })
    .catch((error: unknown) => {
      if (!(error instanceof HttpFault)) throw error;
      const message = `PagerDuty did not answer ${what}: ${error.detail}`;
      throw new OutsideFault(message, { recoverable: error.kind !== "too_large" });
    });
  if (reply.status === 200) return reply;
  const wait = reply.headers["retry-after"] ?? reply.headers["ratelimit-reset"];
  throw refusedFault({
    what,
    status: reply.status,
    body: decoded(reply.text),
    wait: reply.status === 429 ? wait : reply.headers["retry-after"],
    secrets: [options.token],
  });
}

/** Calls `page` with each offset until it says that there is no more; false when there was more than is read. */
async function eachPage(page: (offset: number) => Promise<boolean>): Promise<boolean> {
  for (let count = 0; count < PAGES_MOST; count += 1) if (!(await page(count * PAGE))) return true;
  return false;
}

async function escalationsOf(asked: Ask, incident: string): Promise<number> {
  const ids = new Set<string>();
  await eachPage(async (offset) => {
    const query = new URLSearchParams({ limit: String(PAGE), offset: String(offset) });
    const path = `/incidents/${encodeURIComponent(incident)}/log_entries?${query}`;
    const { log_entries: entries, more } = read(
      logEntriesShape,
      await asked({ method: "GET", path }),
      "its log",
    );
    for (const { id, type } of entries) if (type.startsWith("escalate_log_entry")) ids.add(id);
    return more && entries.length > 0;
  });
  return ids.size;
}

async function levelsOf(asked: Ask, policy: string | undefined): Promise<number> {
  if (policy === undefined) return 1;
  const reply = await asked({ method: "GET", path: `/escalation_policies/${encodeURIComponent(policy)}` });
  const shape = read(policyShape, reply, "its escalation policy");
  return Math.max(1, shape.escalation_policy.escalation_rules.length);
}

function onCallOf(shape: z.infer<typeof onCallsShape>["oncalls"][number]): OnCall {
  const until = Date.parse(shape.end ?? "");
  return {
    name: fitted(nameOf(shape.user), NAME_POINTS),
    ...(typeof shape.user.email === "string" ? { email: fitted(shape.user.email, NAME_POINTS) } : {}),
    level: shape.escalation_level,
    ...(Number.isNaN(until) ? {} : { until }),
  };
}

function createdAt(incident: IncidentShape): number {
  const at = Date.parse(incident.created_at ?? "");
  return Number.isNaN(at) ? 0 : at;
}

function read<T>(shape: z.ZodType<T>, reply: HttpReply, what: string): T {
  const parsed = shape.safeParse(decoded(reply.text));
  if (parsed.success) return parsed.data;
  const at = parsed.error.issues[0]?.path.join(".") ?? "";
  throw new OutsideFault(
    `PagerDuty told ${what} in a form that is not known (at ${at === "" ? "the top" : at})`,
    {
      recoverable: true,
    },
  );
}

function decoded(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
