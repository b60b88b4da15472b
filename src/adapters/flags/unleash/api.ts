/** Unleash's Admin API as Belay uses it: features past any cache, the event log, who the token is, and the four calls that change a flag. */
import { randomUUID } from "node:crypto";
import { OutsideFault } from "../../../engine/ports.ts";
import { isNotFound, jsonOf, refusalOf, UNCHANGED } from "./faults.ts";
import { eventsShape, type Feature, featureShape, type Me, meShape, type UnleashEvent } from "./shapes.ts";
import type { Call } from "./target.ts";
import {
  type ApiOptions,
  createTransport,
  type Deadline,
  type Lane,
  parsed,
  type Wanted,
} from "./transport.ts";

export interface EventsQuery {
  readonly keys: readonly string[];
  /** Only what happened in this environment. */
  readonly environment?: string;
  /** Only from this day on (UTC), `2026-11-22`. */
  readonly fromDay?: string;
  readonly limit: number;
  readonly offset?: number;
}

export interface CallOptions {
  readonly deadline: Deadline;
  readonly lane: Lane;
  /** How things stand when Unleash refuses, as a sentence; `Nothing was changed` when not given. */
  readonly outcome?: string | undefined;
}

/** Every method rejects with an `OutsideFault`. */
export interface UnleashApi {
  /** Undefined when the flag is archived, deleted or was never there. */
  feature(key: string, deadline: Deadline, lane?: Lane): Promise<Feature | undefined>;
  /** Newest first. */
  events(query: EventsQuery, deadline: Deadline, lane?: Lane): Promise<readonly UnleashEvent[]>;
  me(deadline: Deadline): Promise<Me>;
  /** One change of one flag. */
  call(key: string, call: Call, options: CallOptions): Promise<void>;
  /** Whether such a call would be let through: sends it for a flag that does not exist, so that nothing can change; rejects when it would not be. */
  probe(key: string, call: Call, deadline: Deadline): Promise<void>;
  close(): void;
}

export function createUnleashApi(options: ApiOptions): UnleashApi {
  const { project, environment } = options;
  const { url, ask, get, close } = createTransport(options);
  const features = `${url}/api/admin/projects/${encodeURIComponent(project)}/features`;
  const pathOf = (key: string): string => `${features}/${encodeURIComponent(key)}`;
  const placeOf = (key: string): string => `${pathOf(key)}/environments/${encodeURIComponent(environment)}`;

  return {
    async feature(key, deadline, lane = "read") {
      const about = { doing: `read ${key}`, key };
      const { reply, asked } = await ask(lane, about, { method: "GET", url: pathOf(key) }, deadline);
      if (reply.status === 200) {
        const feature = parsed(reply, featureShape, asked);
        return feature.archived ? undefined : feature;
      }
      // Only Unleash's own words say that there is no such flag; a page of something in between does not.
      if (reply.status === 404 && isNotFound(reply)) return undefined;
      throw refusalOf(reply, asked);
    },
    async events({ keys, environment: only, fromDay, limit, offset = 0 }, deadline, lane = "read") {
      const query = new URLSearchParams({ feature: `IS_ANY_OF:${keys.join(",")}`, limit: String(limit) });
      if (only !== undefined) query.set("environment", `IS:${only}`);
      if (fromDay !== undefined) query.set("from", `IS:${fromDay}`);
      if (offset > 0) query.set("offset", String(offset));
      const about = { doing: `read the event log of ${keys.join(", ")}` };
      const address = `${url}/api/admin/search/events?${query.toString()}`;
      return (await get(about, address, eventsShape, deadline, lane)).events;
    },
    me: (deadline) =>
      get({ doing: "see who the token is" }, `${url}/api/admin/user`, meShape, deadline, "read"),
    async call(key, call, { deadline, lane, outcome = UNCHANGED }) {
      // Going back may be sent twice; going forward must not, over what somebody may have done between.
      const wanted = {
        ...requestOf(placeOf(key), call),
        repeatable: lane === "backward" && call.kind !== "create",
      };
      const about = { doing: `${wordsFor(call, key)} in ${environment}`, key };
      const { reply, asked } = await ask(lane, about, wanted, deadline);
      if (reply.status < 200 || reply.status > 299) throw refusalOf(reply, { ...asked, outcome });
      // A page for people with status 200 is somebody else's answer.
      if (reply.text.trim() !== "" && jsonOf(reply.text) === undefined)
        throw new OutsideFault(
          `cannot ${about.doing}: ${asked.host} answered something that is not Unleash's`,
          {
            recoverable: true,
          },
        );
    },
    async probe(key, call, deadline) {
      const nobody = `belay-rehearsal-${randomUUID()}`;
      const wanted = requestOf(placeOf(nobody), call);
      const about = { doing: `${wordsFor(call, key)} in ${environment}`, key };
      const { reply, asked } = await ask("backward", about, wanted, deadline);
      // Rights and approvals are looked at before the flag itself.
      if (reply.status !== 404 || !isNotFound(reply)) throw refusalOf(reply, asked);
    },
    close,
  };
}

function requestOf(place: string, call: Call): Wanted {
  switch (call.kind) {
    case "off":
      return { method: "POST", url: `${place}/off` };
    case "on":
      return { method: "POST", url: `${place}/on` };
    case "create":
      return { method: "POST", url: `${place}/strategies`, body: JSON.stringify(call.body) };
    case "update":
      return {
        method: "PUT",
        url: `${place}/strategies/${encodeURIComponent(call.id)}`,
        body: JSON.stringify(call.body),
      };
  }
}

function wordsFor(call: Call, key: string): string {
  switch (call.kind) {
    case "off":
    case "on":
      return `turn ${key} ${call.kind}`;
    case "create":
    case "update":
      return `set the strategy of ${key}`;
  }
}
