/** The health desk on virtual time, on a world whose services are down when the test says so; it can die and start again on the same journal. */

import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import type { Probe, WatchPlan, WatchTarget } from "../../src/core/watch/plan.ts";
import type { ProbeEvent } from "../../src/core/watch/probe.ts";
import { Health } from "../../src/engine/health.ts";
import { HealthCommands } from "../../src/engine/health-commands.ts";
import type { OutboxDraft } from "../../src/engine/messages.ts";
import { OutsideFault } from "../../src/engine/ports.ts";
import type { CheckResult, Prober, Restarter, SubjectJournal } from "../../src/engine/watch-ports.ts";
import { createRandom, createTimeline } from "../simulation/timeline.ts";
import { createLives } from "./mortal-clock.ts";
import { keepLog } from "./slack-bot.ts";
import { createSubjectMemory, type SubjectMemory } from "./subject-memory.ts";

export const WALL = Date.UTC(2026, 10, 23, 12, 0, 0);

export function targetNamed(name: string, replicas = 1): WatchTarget {
  const replica = { kind: "unit", restart: `${name}.service` } as const;
  return { name, replicas: Array.from({ length: replicas }, () => replica), upWithinMs: 20 * SECOND };
}

export function probeNamed(name: string, more: Partial<Probe> = {}): Probe {
  return {
    name,
    check: { kind: "http", url: `http://127.0.0.1:1/${name}`, status: { from: 200, to: 299 } },
    intervalMs: MINUTE,
    timeoutMs: 5 * SECOND,
    fail: 3,
    ok: 2,
    restart: "ollama",
    recoverWithinMs: 5 * MINUTE,
    ...more,
  };
}

export function planOf(more: Partial<WatchPlan> = {}): WatchPlan {
  return {
    watch: "bots",
    service: "bot-platform",
    environment: "production",
    source: "bot-platform",
    zone: "UTC",
    channel: "#ops",
    usersChannel: "#users",
    prometheus: { url: "http://127.0.0.1:9090", scrape_interval: 15 * SECOND },
    probes: [probeNamed("api")],
    targets: [targetNamed("ollama")],
    budget: { most: 3, withinMs: 30 * MINUTE },
    jobs: [],
    blackouts: [],
    trends: [],
    ...more,
  };
}

interface Restart {
  readonly target: string;
  readonly replica: number;
  readonly at: number;
}

/** The world: what each probe finds (by the last part of its URL), and how restarts go. */
class World implements Prober, Restarter {
  readonly #after: (ms: number, act: () => void) => void;
  readonly #now: () => number;
  /** Probes that find their service bad, or that nobody can tell of. */
  readonly down = new Map<string, "bad" | "unknown">();
  readonly checks: { readonly name: string; readonly at: number }[] = [];
  readonly restarts: Restart[] = [];
  restarting = 0;
  mostAtOnce = 0;
  restartMs = 5_000;
  checkMs = 100;
  hangs = false;
  /** What a restart does once it is over. */
  effect: "cures" | "nothing" | "fails" = "cures";

  constructor(now: () => number, after: (ms: number, act: () => void) => void) {
    this.#now = now;
    this.#after = after;
  }

  check(check: Probe["check"]): Promise<CheckResult> {
    const name = check.kind === "http" ? (check.url.split("/").at(-1) ?? "") : check.kind;
    this.checks.push({ name, at: this.#now() });
    return new Promise((resolve) => {
      if (this.hangs) return;
      this.#after(this.checkMs, () => {
        const kind = this.down.get(name) ?? "ok";
        resolve({ kind, detail: kind === "ok" ? "200 in 100 ms" : "no answer", tookMs: this.checkMs });
      });
    });
  }

  restart(target: WatchTarget, replica: number): Promise<void> {
    this.restarts.push({ target: target.name, replica, at: this.#now() });
    this.restarting += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.restarting);
    return new Promise((resolve, reject) => {
      this.#after(this.restartMs, () => {
        this.restarting -= 1;
        if (this.effect === "cures") this.down.clear();
        if (this.effect === "fails") reject(new OutsideFault("it does not come up", { recoverable: true }));
        else resolve();
      });
    });
  }
}

/** A desk that can die and start again on the same journal. */
export async function startBench(plan: WatchPlan | readonly WatchPlan[], journal: SubjectJournal) {
  const timeline = createTimeline(0);
  const random = createRandom(3);
  const world = new World(
    () => timeline.now(),
    (ms, act) => timeline.after(ms, act),
  );
  const log = keepLog();
  const sent: OutboxDraft[] = [];
  const resolved: { readonly key: string; readonly at: number }[] = [];
  const facts: { step: boolean; live: string | undefined; isPaged: (key: string) => boolean } = {
    step: false,
    live: undefined,
    isPaged: () => false,
  };
  const lives = createLives(timeline, random, WALL);
  const plansOf = (all: readonly WatchPlan[]) => new Map(all.map((one) => [one.watch, one]));
  const begin = async (plans: readonly WatchPlan[]) => {
    const mine = lives.count();
    const clock = lives.clock();
    // What a process that died had asked for never comes back to it.
    const ofThisLife = <T>(call: Promise<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        call.then(
          (value) => mine === lives.count() && resolve(value),
          (error: unknown) => mine === lives.count() && reject(error),
        );
      });
    const health = new Health({
      clock,
      journal,
      log,
      prober: () => ({ check: (check) => ofThisLife(world.check(check)) }),
      restarter: { restart: (target, replica) => ofThisLife(world.restart(target, replica)) },
      stepUnderWay: () => facts.step,
      rolloutLive: () => facts.live,
      resolvePage: async (key) => {
        resolved.push({ key, at: timeline.now() });
      },
      pageOpen: (key) => facts.isPaged(key) && !resolved.some((one) => one.key === key),
      sendNow: (drafts) => sent.push(...drafts),
    });
    await health.setWatches(plansOf(plans));
    await health.start();
    return { health, commands: new HealthCommands({ clock, journal, health }) };
  };
  const plans = Array.isArray(plan) ? plan : [plan];
  let desk = await begin(plans);
  const pass = async (ms: number): Promise<void> => {
    let isOver = false;
    timeline.after(ms, () => {
      isOver = true;
    });
    await timeline.run(timeline.now() + ms, () => isOver);
  };
  const eventsOf = async (id: string): Promise<readonly ProbeEvent[]> =>
    (await journal.subjectEvents("probe", id)).map(({ event }) => event);
  return {
    world,
    log,
    sent,
    resolved,
    facts,
    now: () => timeline.now(),
    pass,
    eventsOf,
    health: () => desk.health,
    commands: () => desk.commands,
    reload: (next: readonly WatchPlan[]) => desk.health.setWatches(plansOf(next)),
    /** Lets time pass until the condition holds; fails after `withinMs`. */
    async until(what: string, holds: () => boolean | Promise<boolean>, withinMs = HOUR): Promise<void> {
      const giveUpAt = timeline.now() + withinMs;
      while (!(await holds())) {
        if (timeline.now() >= giveUpAt) throw new Error(`never: ${what}`);
        await pass(SECOND);
      }
    },
    kinds: async (id = "bots/api") => (await eventsOf(id)).map(({ kind }) => kind),
    /** The process dies without a word. */
    die() {
      lives.end();
    },
    async restart(next: readonly WatchPlan[] = plans) {
      lives.end();
      desk = await begin(next);
    },
  };
}

export type Bench = Awaited<ReturnType<typeof startBench>>;

export async function benchOn(
  plan: WatchPlan | readonly WatchPlan[] = planOf(),
): Promise<{ readonly bench: Bench; readonly journal: SubjectMemory }> {
  const journal = createSubjectMemory();
  const bench = await startBench(plan, journal);
  bench.facts.isPaged = (key) => pagesOf(journal).some((page) => page.endsWith(` ${key}`));
  return { bench, journal };
}

export function postsOf(
  journal: SubjectMemory,
  channel: string,
): readonly { readonly key: string; readonly title: string; readonly words: string }[] {
  return [...journal.owed.values()].flatMap(({ draft }) =>
    draft.body.kind === "post" && draft.body.channel === channel
      ? [
          {
            key: draft.key,
            title: draft.body.post.title,
            words: [
              draft.body.post.summary,
              ...draft.body.post.lines.map(
                ({ label, parts }) =>
                  `${label}: ${parts.map((part) => (typeof part === "string" ? part : new Date(part.wall).toISOString())).join("")}`,
              ),
            ].join("\n"),
          },
        ]
      : [],
  );
}

export function pagesOf(journal: SubjectMemory): readonly string[] {
  return [...journal.owed.values()].flatMap(({ draft }) =>
    draft.body.kind === "page" ? [`${draft.body.page.severity} ${draft.body.page.key}`] : [],
  );
}
