/** Incidents as PagerDuty keeps them: opened and joined by key, walked up their escalation policy, acknowledged, resolved, and logged. */
import type { JsonObject } from "../slack/json.ts";
import type { Agent, Incident, LogEntryType, Person } from "./model.ts";

/** Time for the stand-in; the machine's unless given. */
export interface PagerClock {
  /** Wall ms. */
  now(): number;
  after(ms: number, act: () => void): () => void;
}

export interface Policy {
  /** Who is asked at each level, the first one first. */
  readonly levels: readonly (readonly Person[])[];
  /** ms without an acknowledgement after which an incident moves up by itself; never when not given. */
  readonly escalateAfterMs?: number;
}

export interface Trigger {
  /** The integration it came by: keys of different integrations never meet. */
  readonly routingKey: string;
  readonly dedupKey: string;
  readonly title: string;
  readonly details: JsonObject;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type Kept = Omit<Writable<Incident>, "log"> & {
  readonly routingKey: string;
  readonly log: Incident["log"][number][];
  cancel: () => void;
};

/** All incidents of the account. */
export class Incidents {
  readonly #policy: Policy;
  readonly #clock: PagerClock;
  readonly #kept: Kept[] = [];
  #entries = 0;

  constructor(policy: Policy, clock: PagerClock) {
    this.#policy = policy;
    this.#clock = clock;
  }

  /** Oldest first. */
  all(): readonly Incident[] {
    return this.#kept.map(seen);
  }

  /** Opens an incident, or joins the open one of the same key. */
  trigger(trigger: Trigger): Incident {
    const incident = this.#openOne(trigger.routingKey, trigger.dedupKey) ?? this.#open(trigger);
    incident.triggers += 1;
    this.#note(incident, "trigger_log_entry", "service");
    return seen(incident);
  }

  /** By an event: undefined when no open incident of that integration has the key, and then nothing happens. */
  settle(routingKey: string, dedupKey: string, status: "acknowledged" | "resolved"): Incident | undefined {
    const incident = this.#openOne(routingKey, dedupKey);
    return incident === undefined ? undefined : this.#become(incident, status, "service");
  }

  /** By a person or by the REST API. @throws Error when there is none, or it is resolved. */
  acknowledge(id: string, by: Agent): Incident {
    return this.#become(this.#byId(id), "acknowledged", by);
  }

  /** By a person or by the REST API. @throws Error when there is none, or it is resolved. */
  resolve(id: string, by: Agent): Incident {
    return this.#become(this.#byId(id), "resolved", by);
  }

  /** Moves to a level. @throws Error when there is no such level, or the incident is resolved. */
  escalate(id: string, level: number, by: Agent): Incident {
    const incident = this.#byId(id);
    if (incident.status === "resolved") throw new Error(`${id} is resolved already`);
    if (this.#policy.levels[level - 1] === undefined) throw new Error(`the policy has no level ${level}`);
    this.#move(incident, level, by);
    return seen(incident);
  }

  /** Ends the timers. */
  stop(): void {
    for (const incident of this.#kept) incident.cancel();
  }

  #note(incident: Kept, type: LogEntryType, agent: Agent): void {
    this.#entries += 1;
    const id = `R${String(this.#entries).padStart(13, "0")}`;
    incident.log.push({ id, type, agent, at: this.#clock.now() });
  }

  #byId(id: string): Kept {
    const found = this.#kept.find((incident) => incident.id === id);
    if (found === undefined) throw new Error(`there is no incident ${id}`);
    return found;
  }

  #openOne(routingKey: string, dedupKey: string): Kept | undefined {
    return this.#kept.find(
      (incident) =>
        incident.routingKey === routingKey &&
        incident.dedupKey === dedupKey &&
        incident.status !== "resolved",
    );
  }

  #open({ routingKey, dedupKey, title, details }: Trigger): Kept {
    const number = this.#kept.length + 1;
    const incident: Kept = {
      id: `Q${String(number).padStart(13, "0")}`,
      number,
      routingKey,
      dedupKey,
      title,
      status: "triggered",
      level: 1,
      assigned: this.#policy.levels[0] ?? [],
      createdAt: this.#clock.now(),
      triggers: 0,
      details,
      log: [],
      cancel: () => undefined,
    };
    this.#kept.push(incident);
    this.#note(incident, "assign_log_entry", "service");
    this.#watch(incident);
    return incident;
  }

  /** The policy's own clock: up one level for as long as nobody has acknowledged and there is one. */
  #watch(incident: Kept): void {
    incident.cancel();
    const { escalateAfterMs, levels } = this.#policy;
    if (escalateAfterMs === undefined) return;
    incident.cancel = this.#clock.after(escalateAfterMs, () => {
      if (incident.status !== "triggered") return;
      if (incident.level < levels.length) this.#move(incident, incident.level + 1, "service");
      else this.#note(incident, "exhaust_escalation_path_log_entry", "service");
    });
  }

  #move(incident: Kept, level: number, by: Agent): void {
    incident.level = level;
    incident.assigned = this.#policy.levels[level - 1] ?? [];
    this.#note(incident, "escalate_log_entry", by);
    // Whoever is asked next has not acknowledged anything yet.
    incident.status = "triggered";
    this.#watch(incident);
  }

  #become(incident: Kept, status: "acknowledged" | "resolved", by: Agent): Incident {
    if (incident.status === "resolved") throw new Error(`${incident.id} is resolved already`);
    incident.status = status;
    incident.cancel();
    this.#note(incident, status === "resolved" ? "resolve_log_entry" : "acknowledge_log_entry", by);
    return seen(incident);
  }
}

/** A copy, so that what a test holds does not change under it. */
function seen({ routingKey: _routingKey, cancel: _cancel, ...incident }: Kept): Incident {
  return { ...incident, log: [...incident.log] };
}
