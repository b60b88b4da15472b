/** What people ask of the health desk, and its answers. */
import { formatActor } from "../core/event.ts";
import type { Offer } from "../core/refusal.ts";
import { probeEventInWords, statusLine } from "../core/report/health-words.ts";
import type { Asker } from "../core/rollout/ask.ts";
import { formatClock, formatDuration, HOUR, MINUTE } from "../core/time.ts";
import type { WatchPlan } from "../core/watch/plan.ts";
import type { Health } from "./health.ts";
import type { ProbeDesk } from "./health-probe.ts";
import { type Clock, type CommandAnswer, messageOfFault } from "./ports.ts";
import type { SubjectJournal } from "./watch-ports.ts";

const LONGEST_MUTE_MS = 24 * HOUR;
const SHORTEST_MUTE_MS = MINUTE;
const MOST_HISTORY = 20;
const MOST_OFFERS = 5;

export interface HealthCommandsDeps {
  readonly clock: Clock;
  readonly journal: SubjectJournal;
  readonly health: Health;
}

/** Each method answers; none rejects. A name is `WATCH/PROBE`, or the probe's alone where only one watch has it. */
export class HealthCommands {
  readonly #deps: HealthCommandsDeps;

  constructor(deps: HealthCommandsDeps) {
    this.#deps = deps;
  }

  /** One line for each probe: how it is, since when, its last figure and the restarts left; the trouble first. */
  status(watch?: string): CommandAnswer {
    const { clock, health } = this.#deps;
    if (watch !== undefined && !health.plans().has(watch))
      return refused(
        "unknown_watch",
        `No watch is named ${watch}. There is: ${[...health.plans().keys()].join(", ") || "none"}.`,
      );
    const desks = health.desks().filter((desk) => watch === undefined || desk.plan().watch === watch);
    const now = clock.now();
    const isTrouble = (desk: ProbeDesk): boolean =>
      desk.state().phase === "failing" || desk.state().unknown !== undefined;
    const troubled = desks.filter(isTrouble);
    const rest = desks.filter((desk) => !isTrouble(desk));
    const lines = [...troubled, ...rest].map((desk) =>
      statusLine(
        { plan: desk.plan(), probe: desk.probe(), state: desk.state() },
        desk.last(),
        restartsOf(health, desk),
        now,
      ),
    );
    const unchecked = rest.filter((desk) => desk.last() === undefined).length;
    const count = desks.length === 1 ? "1 probe" : `${desks.length} probes`;
    const text =
      desks.length === 0
        ? "No probe is loaded."
        : troubled.length === 0 && unchecked === 0
          ? `${count}: all well.`
          : `${count}: ${rest.length - unchecked} well, ${troubled.length} not${unchecked === 0 ? "" : `, ${unchecked} not checked yet`}.`;
    return answered("shown", text, lines);
  }

  /** The newest events of a probe, oldest first. */
  async history(name: string): Promise<CommandAnswer> {
    const desk = this.#find(name);
    if (!("id" in desk)) return desk;
    try {
      const events = await this.#deps.journal.subjectEvents("probe", desk.id);
      const { zone } = desk.plan();
      const lines = events
        .slice(-MOST_HISTORY)
        .map(
          ({ wall, event }) => `${dayOf(wall, zone)} ${formatClock(wall, zone)} ${probeEventInWords(event)}`,
        );
      return answered(
        "shown",
        lines.length === 0 ? `${desk.id} has always been well.` : `${desk.id}, ${zone}:`,
        lines,
      );
    } catch (error) {
      return refused("journal_unavailable", `The journal cannot be read: ${messageOfFault(error)}.`);
    }
  }

  /** Nobody is paged or told, and nothing is restarted, for `ms`; at most a day. For operators, since it keeps trouble from being heard. */
  async mute(name: string, ms: number, asker: Asker, because?: string): Promise<CommandAnswer> {
    const desk = this.#find(name);
    if (!("id" in desk)) return desk;
    if (!asker.operator) return notAuthorised("mute a probe");
    if (!(ms >= SHORTEST_MUTE_MS && ms <= LONGEST_MUTE_MS))
      return refused("bad_value", "A probe is muted for a time from 1m to 24h. Nothing changed.");
    const until = this.#deps.clock.now().steady + ms;
    const reason = because === undefined ? {} : { because };
    await desk.record([{ kind: "muted", until, by: asker.actor, ...reason }]);
    return answered(
      "done",
      `${formatActor(asker.actor)} muted ${desk.id} for ${formatDuration(ms)}: it is still checked; nobody is paged and nothing is restarted meanwhile.`,
      [],
      [{ label: "Unmute", command: `health unmute ${desk.id}` }],
    );
  }

  async unmute(name: string, asker: Asker): Promise<CommandAnswer> {
    const desk = this.#find(name);
    if (!("id" in desk)) return desk;
    if (desk.state().mutedUntil === undefined) return answered("already", `${desk.id} is not muted.`);
    await desk.record([{ kind: "unmuted", by: asker.actor }]);
    desk.decide();
    return answered("done", `${formatActor(asker.actor)} unmuted ${desk.id}.`);
  }

  /** Restarts a target, by its name or by that of a probe that restarts it; answers when it is done. It also closes an open circuit, and the budget begins anew. */
  async restart(name: string, asker: Asker): Promise<CommandAnswer> {
    const { health } = this.#deps;
    const found = this.#target(name);
    if (!("target" in found)) return found;
    if (!asker.operator) return notAuthorised("restart a target");
    const { plan, target } = found;
    const by = asker.actor;
    const { ok, detail, tookMs } = await health.restartTarget(plan.watch, target, { planned: false, by });
    const what = `${plan.watch}/${target}`;
    return ok
      ? answered("done", `${formatActor(by)} restarted ${what}: up after ${formatDuration(tookMs)}.`)
      : refused("restart_failed", `The restart of ${what} did not work: ${detail}.`);
  }

  #find(name: string): ProbeDesk | CommandAnswer {
    const { health } = this.#deps;
    const desks = health.desks();
    const exact = desks.filter((desk) => desk.id === name);
    const named = exact.length > 0 ? exact : desks.filter((desk) => desk.probe().name === name);
    const found =
      named.length > 0
        ? named
        : desks.filter((desk) => desk.id.startsWith(name) || desk.probe().name.startsWith(name));
    const [desk, ...others] = found;
    if (desk !== undefined && others.length === 0) return desk;
    if (desk === undefined)
      return refused(
        "unknown_probe",
        `No probe is named ${name}. There is: ${desks.map((one) => one.id).join(", ") || "none"}.`,
      );
    return refused(
      "ambiguous",
      `${name} may be ${found.map((one) => one.id).join(" or ")}. Nothing changed.`,
      offersFor(found),
    );
  }

  #target(name: string): { readonly plan: WatchPlan; readonly target: string } | CommandAnswer {
    const { health } = this.#deps;
    const plans = [...health.plans().values()];
    const named = plans.flatMap((plan) =>
      plan.targets
        .filter((target) => name === target.name || name === `${plan.watch}/${target.name}`)
        .map((target) => ({ plan, target: target.name })),
    );
    const [first, ...others] = named;
    if (first !== undefined && others.length === 0) return first;
    if (others.length > 0)
      return refused(
        "ambiguous",
        `${name} may be ${named.map((one) => `${one.plan.watch}/${one.target}`).join(" or ")}. Nothing changed.`,
      );
    const desk = this.#find(name);
    if (!("id" in desk)) return desk;
    const { restart } = desk.probe();
    if (restart === undefined)
      return refused("not_available", `${desk.id} names no target to restart. Nothing changed.`);
    return { plan: desk.plan(), target: restart };
  }
}

function sharingOf(health: Health, plan: WatchPlan, target: string): readonly ProbeDesk[] {
  return health.desks().filter((desk) => desk.plan().watch === plan.watch && desk.probe().restart === target);
}

function restartsOf(health: Health, desk: ProbeDesk): readonly number[] {
  const { restart } = desk.probe();
  if (restart === undefined) return [];
  return sharingOf(health, desk.plan(), restart).flatMap((one) => one.state().restarts);
}

function offersFor(desks: readonly ProbeDesk[]): readonly Offer[] {
  return desks
    .slice(0, MOST_OFFERS)
    .map((desk) => ({ label: desk.id, command: `health history ${desk.id}` }));
}

const days = new Map<string, Intl.DateTimeFormat>();

/** `2026-11-23`, in a zone. */
function dayOf(wall: number, zone: string): string {
  const known = days.get(zone) ?? new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short" });
  days.set(zone, known);
  return known.format(wall);
}

function answered(
  code: string,
  text: string,
  lines: readonly string[] = [],
  offers: readonly Offer[] = [],
): CommandAnswer {
  return { ok: true, code, text, lines, offers };
}

function refused(code: string, text: string, offers: readonly Offer[] = []): CommandAnswer {
  return { ok: false, code, text, lines: [], offers };
}

function notAuthorised(what: string): CommandAnswer {
  return refused("not_authorised", `Only an operator may ${what}. Nothing changed.`);
}
