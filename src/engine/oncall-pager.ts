/** One incident's dealings with the pager service: each event sent until it is taken, the incident looked for, and moved to the next person in time. */
import type { Actor } from "../core/event.ts";
import { movedTo, notAcknowledged, owedToPager, remindedBy, wordOf } from "../core/oncall/decide.ts";
import type { Incident, IncidentEvent, PagerAction } from "../core/oncall/incident.ts";
import { type PagerEvent, pagerKeyOf, pagerSeverity } from "../core/oncall/page.ts";
import { sentence, withStop } from "../core/report/sentence.ts";
import { SECOND } from "../core/time.ts";
import { backoffMs } from "./concurrency.ts";
import { type Clock, type Log, messageOfFault, OutsideFault } from "./ports.ts";
import type { Pager, PagerIncident, PagerRest, SecondChannel } from "./watch-ports.ts";

const RETRY_FIRST_MS = 500;
const RETRY_MOST_MS = 15 * SECOND;
/** The longest wait that the pager service may ask for. */
const WAIT_MOST_MS = 30 * SECOND;
/** An incident that was taken is looked for this often until it is seen, and then this often for words that did not arrive. */
const SEEK_MS = 5 * SECOND;
const LOOK_MS = 30 * SECOND;

export interface IncidentPagerDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly pager: Pager | undefined;
  readonly second: SecondChannel | undefined;
  /** Part of every key that the pager service sees; empty: none. */
  readonly installation: string;
}

/** Records what a decision on the newest state makes of an answer. */
export type Settle = (decide: (incident: Incident) => readonly IncidentEvent[]) => Promise<unknown>;

/** When a kind of call may be made next, and how often it failed in a row. */
class Tries {
  failed = 0;
  notBefore = Number.NEGATIVE_INFINITY;
  busy = false;
}

export class IncidentPager {
  readonly #deps: IncidentPagerDeps;
  readonly #sending = new Tries();
  readonly #looking = new Tries();
  readonly #telling = new Tries();
  #fault: string | undefined;

  constructor(deps: IncidentPagerDeps) {
    this.#deps = deps;
  }

  /** The newest words with which the pager service failed; undefined while it works. */
  fault(): string | undefined {
    return this.#fault;
  }

  /** The incident is looked at with the next step. */
  lookSoon(): void {
    this.#looking.notBefore = Number.NEGATIVE_INFINITY;
  }

  /** Whatever is owed to the outside and may be tried now. Never rejects for a fault of the outside. */
  async step(incident: Incident, settle: Settle): Promise<void> {
    const { pager, second } = this.#deps;
    const jobs: Promise<void>[] = [];
    const owed = pager === undefined ? undefined : owedToPager(incident);
    if (pager !== undefined && owed !== undefined)
      jobs.push(this.#try(this.#sending, 0, () => this.#send(pager, incident, owed, settle)));
    if (
      pager?.rest !== undefined &&
      incident.phase !== "resolved" &&
      incident.accepted.trigger !== undefined
    ) {
      const { rest } = pager;
      const isLate = incident.ackBy !== undefined && this.#deps.clock.now().steady >= incident.ackBy;
      if (isLate && this.#looking.failed === 0) this.lookSoon();
      const everyMs = incident.pager === undefined ? SEEK_MS : LOOK_MS;
      jobs.push(this.#try(this.#looking, everyMs, () => this.#look(rest, incident, settle)));
    }
    if (incident.secondOwed !== undefined) {
      const why = incident.secondOwed;
      jobs.push(this.#try(this.#telling, 0, () => this.#tell(second, incident, why, settle)));
    }
    await Promise.all(jobs);
  }

  /** Moves it to the next person because somebody asks; by the second channel when the pager service cannot. */
  async escalated(
    incident: Incident,
    why: string,
    by: Actor,
  ): Promise<Extract<IncidentEvent, { kind: "escalated" }>> {
    const { clock, pager } = this.#deps;
    const rest = pager?.rest;
    if (rest !== undefined && incident.pager !== undefined) {
      try {
        const seen = await rest.incidentByKey(this.#keyOf(incident));
        const levels = seen?.levels ?? 1;
        if (incident.level < levels) {
          // It may have moved already: by its policy, or by this same command before a restart.
          if ((seen?.escalations ?? 0) < incident.level)
            await rest.escalate(incident.pager.id, incident.level + 1);
          const moved = await rest.incidentByKey(this.#keyOf(incident)).catch(() => undefined);
          return {
            ...movedTo(incident, "rest", moved?.assigned ?? [], { now: clock.now(), levels }, by),
            why,
          };
        }
      } catch (error) {
        this.#fault = messageOfFault(error);
      }
    }
    return remindedBy(incident, clock.now(), why, by);
  }

  #keyOf({ id }: Incident): string {
    return pagerKeyOf(this.#deps.installation, id);
  }

  async #send(pager: Pager, incident: Incident, action: PagerAction, settle: Settle): Promise<void> {
    await pager.send(eventOf(incident, action, this.#keyOf(incident)));
    this.#fault = undefined;
    await settle((now) => (now.accepted[action] === undefined ? [{ kind: "accepted", action }] : []));
  }

  async #look(rest: PagerRest, incident: Incident, settle: Settle): Promise<void> {
    const seen = await rest.incidentByKey(this.#keyOf(incident));
    this.#fault = undefined;
    if (seen === undefined) return;
    const { wall } = this.#deps.clock.now();
    await settle((now) => this.#learnt(now, incident, seen, wall));
    const now = this.#deps.clock.now();
    const isLate = incident.ackBy !== undefined && now.steady >= incident.ackBy;
    if (!isLate || seen.status !== "triggered" || seen.escalations >= incident.level) return;
    if (incident.level >= seen.levels) {
      await settle((one) =>
        isStill(one, incident)
          ? [
              remindedBy(
                one,
                now,
                `${notAcknowledged(one, now)}; nobody is left in PagerDuty's escalation policy`,
              ),
            ]
          : [],
      );
      return;
    }
    // Somebody may have acknowledged while PagerDuty was asked: nobody else is woken then.
    let waits = false;
    await settle((one) => {
      waits = isStill(one, incident);
      return [];
    });
    if (!waits) return;
    await rest.escalate(seen.id, incident.level + 1);
    const moved = await rest.incidentByKey(this.#keyOf(incident)).catch(() => undefined);
    const next = { now, levels: seen.levels };
    await settle((one) =>
      isStill(one, incident) ? [movedTo(one, "rest", moved?.assigned ?? [], next)] : [],
    );
  }

  /** What the pager service shows and we did not know; what it said before somebody else was asked is no word of theirs. */
  #learnt(now: Incident, asked: Incident, seen: PagerIncident, wall: number): readonly IncidentEvent[] {
    const events: IncidentEvent[] = [];
    if (now.pager === undefined)
      events.push({ kind: "confirmed", pagerId: seen.id, url: seen.url, assigned: seen.assigned });
    const by = { kind: "pagerduty" as const, name: seen.assigned[0] ?? "somebody" };
    if (seen.status === "acknowledged" && now.level === asked.level)
      events.push(...wordOf(now, "acknowledged", by, "pagerduty", wall));
    if (seen.status === "resolved") events.push(...wordOf(now, "resolved", by, "pagerduty", wall));
    if (
      seen.status === "triggered" &&
      now.phase === "open" &&
      now.level === asked.level &&
      seen.escalations >= now.level
    ) {
      const next = { now: this.#deps.clock.now(), levels: seen.levels };
      events.push(movedTo(now, "policy", seen.assigned, next));
    }
    return events;
  }

  async #tell(
    second: SecondChannel | undefined,
    incident: Incident,
    why: string,
    settle: Settle,
  ): Promise<void> {
    const text = secondText(incident, why);
    if (second === undefined)
      this.#deps.log.error("no second channel is configured; only the chat can tell this", { text });
    else await second.tell(text, `${incident.id}:${incident.revision}`);
    const to = second === undefined ? "nobody" : "channel";
    await settle((now) => (now.secondOwed === why ? [{ kind: "second_told", why, to }] : []));
  }

  /** One call at a time of each kind, and none before it may be tried again. */
  async #try(tries: Tries, everyMs: number, call: () => Promise<void>): Promise<void> {
    const { clock, log } = this.#deps;
    if (tries.busy || clock.now().steady < tries.notBefore) return;
    tries.busy = true;
    try {
      await call();
      tries.failed = 0;
      tries.notBefore = clock.now().steady + everyMs;
    } catch (error) {
      if (tries !== this.#telling) this.#fault = messageOfFault(error);
      const asked = error instanceof OutsideFault ? error.retryAfterMs : undefined;
      const wait = asked ?? backoffMs(clock, tries.failed, RETRY_FIRST_MS, RETRY_MOST_MS);
      tries.failed += 1;
      tries.notBefore = clock.now().steady + Math.min(wait, WAIT_MOST_MS);
      log.warn("on-call could not be reached", { tries: tries.failed, error: messageOfFault(error) });
    } finally {
      tries.busy = false;
    }
  }
}

function isStill(now: Incident, before: Incident): boolean {
  return now.phase === "open" && now.level === before.level && now.ackBy === before.ackBy;
}

function secondText({ page, name, phase, acknowledged }: Incident, why: string): string {
  const head = `${page.severity} ${page.service} (${page.environment}): ${withStop(page.summary)}`;
  const next =
    phase === "open"
      ? `Acknowledge with \`/belay oncall ack ${name}\`.`
      : `It is acknowledged by ${acknowledged?.by ?? "somebody"}.`;
  return `${head} ${sentence(why)} Incident ${name}. ${next}`;
}

function eventOf(incident: Incident, action: PagerAction, dedupKey: string): PagerEvent {
  const { page, name } = incident;
  if (action !== "trigger") return { kind: action, dedupKey };
  return {
    kind: "trigger",
    dedupKey,
    severity: page.source === "drill" ? "info" : pagerSeverity(page.severity),
    summary: `${page.severity} ${page.service}: ${page.summary}`,
    source: `${page.service}/${page.environment}`,
    component: page.service,
    details: {
      incident: name,
      severity: page.severity,
      ...(page.run === undefined ? {} : { run: page.run }),
      ...(page.stage === undefined ? {} : { stage: page.stage }),
      ...(page.runbook === undefined ? {} : { runbook: page.runbook }),
    },
    links: [],
    wall: page.wall,
  };
}
