/** What people ask of the health desk, and its answers. */
import { formatActor } from "../core/event.ts";
import type { Offer } from "../core/refusal.ts";
import { statusLine } from "../core/report/health-status.ts";
import { probeEventInWords } from "../core/report/health-words.ts";
import type { Asker } from "../core/rollout/ask.ts";
import { formatClock, formatDuration, HOUR, MINUTE } from "../core/time.ts";
import type { WatchPlan } from "../core/watch/plan.ts";
import type { RecordedProbe } from "../core/watch/probe.ts";
import type { Health } from "./health.ts";
import type { ProbeDesk } from "./health-probe.ts";
import type { CommandAnswer } from "./messages.ts";
import { type Clock, messageOfFault } from "./ports.ts";
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
        `No watch is named ${watch}; watches: ${listed([...health.plans().keys()])}. Nothing changed.`,
      );
    const desks = health.desks().filter((desk) => watch === undefined || desk.plan().watch === watch);
    const now = clock.now();
    const isWell = (desk: ProbeDesk): boolean => standingOf(desk) === "well";
    const troubledFirst = [...desks.filter((desk) => !isWell(desk)), ...desks.filter(isWell)];
    const lines = troubledFirst.map((desk) =>
      statusLine(
        { plan: desk.plan(), probe: desk.probe(), state: desk.state() },
        desk.last(),
        restartsOf(health, desk),
        now,
      ),
    );
    return answered("shown", countsInWords(desks), lines);
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
      return refused(
        "journal_unavailable",
        `The journal cannot be read: ${messageOfFault(error)}. Nothing changed.`,
      );
    }
  }

  /** Nobody is paged or told, and nothing is restarted, for `ms`; at most a day. For operators, since it keeps trouble from being heard. */
  async mute(name: string, ms: number, asker: Asker, because?: string): Promise<CommandAnswer> {
    const desk = this.#find(name);
    if (!("id" in desk)) return desk;
    if (!asker.operator) return notAuthorised("mute a probe");
    if (!(ms >= SHORTEST_MUTE_MS && ms <= LONGEST_MUTE_MS))
      return refused(
        "bad_value",
        `${ms > LONGEST_MUTE_MS ? "That is too long: a" : "A"} probe is muted for a time from 1m to 24h. Nothing changed.`,
      );
    const { steady, wall } = this.#deps.clock.now();
    const until = steady + ms;
    const reason = because === undefined ? {} : { because };
    await desk.record([{ kind: "muted", until, by: asker.actor, ...reason }]);
    return answered(
      "done",
      `${formatActor(asker.actor)} muted ${desk.id} until ${clockIn(wall + ms, desk.plan().zone)}: it is still checked; nobody is paged anew and nothing is restarted meanwhile.${openPageWords(desk)}`,
      [],
      [{ label: "Unmute", command: `health unmute ${desk.id}` }],
    );
  }

  async unmute(name: string, asker: Asker): Promise<CommandAnswer> {
    const desk = this.#find(name);
    if (!("id" in desk)) return desk;
    if (desk.state().mutedUntil === undefined)
      return answered("already", `${desk.id} is not muted. Nothing changed.`);
    await desk.record([{ kind: "unmuted", by: asker.actor }]);
    desk.decide();
    return answered("done", `${formatActor(asker.actor)} unmuted ${desk.id}.`);
  }

  /**
   * Restarts a target, by its name or by that of a probe that restarts it; answers when it is done. It also closes an open circuit, and the budget
   * begins anew. `key` names the command: under one that was begun before it only answers what is known of that. `again`: the command is carried out
   * for a second time, after an end of Belay.
   */
  async restart(name: string, asker: Asker, key: string, again = false): Promise<CommandAnswer> {
    const { health } = this.#deps;
    const found = this.#target(name);
    if (!("target" in found)) return found;
    if (!asker.operator) return notAuthorised("restart a target");
    const { plan, target } = found;
    const known = await this.#begunBefore(plan, target, key, again);
    if (known !== undefined) return known;
    const by = asker.actor;
    const how = { planned: false, by, key };
    const { ok, detail, tookMs } = await health.restartTarget(plan.watch, target, how);
    const what = `${plan.watch}/${target}`;
    return ok
      ? answered(
          "done",
          `${formatActor(by)} restarted ${what}: it runs again after ${formatDuration(tookMs)}; its probes decide whether it is well.`,
        )
      : refused("restart_failed", `The restart of ${what} did not work: ${detail}.`);
  }

  /** What is known of the restart that this command began before an end of Belay; undefined when it began none. */
  async #begunBefore(
    plan: WatchPlan,
    target: string,
    key: string,
    again: boolean,
  ): Promise<CommandAnswer | undefined> {
    const { health, journal } = this.#deps;
    const what = `${plan.watch}/${target}`;
    const sharing = sharingOf(health, plan, target);
    if (sharing.length === 0 && again)
      return refused(
        "outcome_unknown",
        `Belay stopped meanwhile; whether ${what} was restarted is not known, because no probe names it. Look, and ask again if it is still wanted.`,
      );
    try {
      for (const { id } of sharing) {
        const known = restartOfKey(await journal.subjectEvents("probe", id), key, what, plan.zone);
        if (known !== undefined) return known;
      }
      return undefined;
    } catch (error) {
      return refused(
        "journal_unavailable",
        `${what} was not restarted: the journal cannot be read: ${messageOfFault(error)}.`,
      );
    }
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
        `No probe is named ${name}; probes: ${listed(desks.map((one) => one.id))}. Nothing changed.`,
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
    if (!("id" in desk)) {
      if (desk.code !== "unknown_probe") return desk;
      const all = plans.flatMap((plan) => plan.targets.map((target) => `${plan.watch}/${target.name}`));
      return refused(
        "unknown_target",
        `No target is named ${name}; targets: ${listed(all)}. Nothing changed.`,
      );
    }
    const { restart } = desk.probe();
    if (restart === undefined)
      return refused("not_available", `${desk.id} names no target to restart. Nothing changed.`);
    return { plan: desk.plan(), target: restart };
  }
}

/** The answer to a command whose restart stands in these events of a probe; undefined when none of them is of this command. */
function restartOfKey(
  events: readonly RecordedProbe[],
  key: string,
  what: string,
  zone: string,
): CommandAnswer | undefined {
  const begun = events.flatMap(({ seq, wall, event }) =>
    event.kind === "restart_started" && event.key === key ? [{ seq, wall, event }] : [],
  );
  const [first] = begun;
  const newest = begun.at(-1);
  if (first === undefined || newest === undefined) return undefined;
  const { replica, of, by } = newest.event;
  const at = clockIn(first.wall, zone);
  const ended = events.find(
    ({ seq, event }) =>
      seq > newest.seq && (event.kind === "restart_done" || event.kind === "restart_failed"),
  );
  if (ended?.event.kind === "restart_failed")
    return refused(
      "restart_failed",
      `The restart of ${what}, begun ${at} by ${formatActor(by)}, did not work: ${ended.event.detail}.`,
    );
  if (ended?.event.kind === "restart_done" && replica + 1 === of)
    return answered(
      "already",
      `${formatActor(by)} restarted ${what} at ${at} already: it ran again after ${formatDuration(ended.wall - first.wall)}.`,
    );
  const cameTo = of > 1 ? ` and came to replica ${replica + 1} of ${of}` : "";
  return refused(
    "outcome_unknown",
    `Belay stopped meanwhile; the restart of ${what} was begun ${at} by ${formatActor(by)}${cameTo}; look whether it is well.`,
  );
}

type Standing = "well" | "failing" | "doubtful" | "unknown" | "flapping" | "muted" | "unchecked";

/** What is counted of a probe, the worst first; one that is muted is counted by that beside all else but a failure. */
function standingOf(desk: ProbeDesk): Standing {
  const state = desk.state();
  const last = desk.last();
  if (state.phase === "failing") return "failing";
  if (state.mutedUntil !== undefined) return "muted";
  if (state.unknown !== undefined || last?.kind === "unknown") return "unknown";
  if (state.flapping) return "flapping";
  if (last?.kind === "bad") return "doubtful";
  return last === undefined ? "unchecked" : "well";
}

/** `3 well, 2 unknown: Prometheus did not answer, 1 muted`. */
function countsInWords(desks: readonly ProbeDesk[]): string {
  if (desks.length === 0) return "No probe is loaded.";
  const count = desks.length === 1 ? "1 probe" : `${desks.length} probes`;
  const of = (standing: Standing): readonly ProbeDesk[] =>
    desks.filter((desk) => standingOf(desk) === standing);
  if (of("well").length === desks.length) return `${count}: all well.`;
  const [blind] = of("unknown");
  const why = blind?.state().unknown?.detail ?? blind?.last()?.detail;
  const parts: readonly (readonly [Standing, string])[] = [
    ["well", "well"],
    ["failing", "failing"],
    ["doubtful", "with a bad last check"],
    ["flapping", "flapping"],
    ["unknown", why === undefined ? "unknown" : `unknown: ${why}`],
    ["muted", "muted"],
    ["unchecked", "not checked yet"],
  ];
  const words = parts.flatMap(([standing, said]) => {
    const { length } = of(standing);
    return length === 0 && standing !== "well" ? [] : [`${length} ${said}`];
  });
  return `${count}: ${words.join(", ")}.`;
}

/** A page that is out cannot be taken back by a mute. */
function openPageWords(desk: ProbeDesk): string {
  const { phase, flapping } = desk.state();
  return phase === "failing" || flapping ? " A page of it that is open already stays open." : "";
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.join(", ");
}

/** `12:07:00 (Europe/Helsinki)`. */
function clockIn(wall: number, zone: string): string {
  return `${formatClock(wall, zone)} (${zone})`;
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
