/** What one simulated run is about: the plan, the truth about the service, the faults and what people do; all drawn from one seed. */
import type { Guard, Plan, Stage } from "../../src/core/plan.ts";
import { OFF, ON } from "../../src/core/setting.ts";
import { type AlertPlay, alertsFrom, listening } from "./alert-play.ts";
import { type Deploy, deploysFrom, lookingForDeploys } from "./deploy-play.ts";
import { type ObservePlay, observeFrom } from "./observe-play.ts";
import { createRandom, type Random } from "./timeline.ts";

export type Lie = "down" | "timeout" | "nan" | "empty" | "stale" | "many" | "html" | "partial" | "limited";

/** A span of virtual time, ms; `to` is just outside it. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

/** What is really wrong with the service. `flag` names the culprit; `external` is an incident that no flag causes. */
export interface Truth {
  readonly culprit?: { readonly flag: string; readonly after: number; readonly effect: "errors" | "dead" };
  readonly external?: Window;
}

export interface Deed {
  readonly at: number;
  readonly act:
    | { readonly kind: "command"; readonly text: string; readonly user: string; readonly twice: boolean }
    | { readonly kind: "edit"; readonly flag: string; readonly on: boolean };
}

/** A port call at which the process dies, by count since its start, before or after the call's effect, and for how long it is gone. */
export interface Death {
  readonly call: number;
  readonly after: boolean;
  readonly downMs: number;
}

export interface Scenario {
  readonly seed: number;
  readonly plan: Plan;
  readonly truth: Truth;
  readonly lies: readonly (Window & { readonly lie: Lie })[];
  readonly storeOutages: readonly Window[];
  readonly journalOutages: readonly Window[];
  readonly chatOutages: readonly Window[];
  /** Chance that a person changes a flag just before Belay's forward write to it arrives. */
  readonly races: number;
  /** Chance that a forward write reaches the store a second time, seconds later. */
  readonly echoes: number;
  /** Chance that a person rolls back within moments of a stage's start. */
  readonly hasty: number;
  /** Chance that one call to the flag store goes wrong, ms-scale faults included. */
  readonly storeFaults: number;
  readonly chatFaults: number;
  /** How each process dies, in their order; those after the last one live on. */
  readonly crashes: readonly Death[];
  readonly deeds: readonly Deed[];
  /** What alerting does; undefined: nobody listens for alerts. */
  readonly alerts?: AlertPlay;
  /** Deploys and restarts by others; undefined: nobody looks for them. */
  readonly deploys?: readonly Deploy[];
  /** Who flips, and what people do who are asked to; undefined: Belay flips. */
  readonly observe?: ObservePlay;
  /** From here on nothing new goes wrong, so that everything can be expected to end well, ms. */
  readonly calmAt: number;
  readonly endAt: number;
}

export function isIn(window: Window, at: number): boolean {
  return at >= window.from && at < window.to;
}

/** Whether `at` is in any of the windows. */
export function isWithin(windows: readonly Window[], at: number): boolean {
  return windows.some((one) => isIn(one, at));
}

const FLAGS = ["a", "b", "c"] as const;
export const POLL_MS = 5_000;
export const WINDOW_MS = 10_000;
/** The limit of the guard on failed work. */
export const MOST_SHARE = 0.02;
const SECOND = 1_000;

function guard(name: string, then: Guard["consequence"]): Guard {
  return {
    kind: "threshold",
    name,
    query: name,
    freshness: `fresh:${name}`,
    intervalMs: POLL_MS,
    windowMs: WINDOW_MS,
    breach: { k: 2, n: 3 },
    consequence: then,
    max: MOST_SHARE,
    unit: "percent",
  };
}

const ALIVE: Guard = {
  kind: "alive",
  name: "alive",
  query: "up",
  freshness: "fresh:up",
  others: "others",
  intervalMs: POLL_MS,
  windowMs: 0,
  breach: { k: 3, n: 3 },
  consequence: "rollback",
};

function planFrom(random: Random): Plan {
  const soak = (): number => random.int(30, 80) * SECOND;
  const stages: Stage[] = [];
  let atMs = 0;
  if (random.chance(0.6)) {
    stages.push({
      name: "baseline",
      atMs,
      substages: [{ set: FLAGS.map((flag) => ({ flag, setting: OFF })), soakMs: 30 * SECOND }],
      baseline: true,
    });
    atMs += 30 * SECOND;
  }
  for (const [index, flag] of FLAGS.entries()) {
    const soakMs = soak();
    const percent = index === 2 && random.chance(0.4);
    const substages = percent
      ? [25, 100].map((share) => ({
          set: [{ flag, setting: share === 100 ? ON : { kind: "percent" as const, percent: share } }],
          soakMs,
        }))
      : [{ set: [{ flag, setting: ON }], soakMs }];
    const approval = index === 2 && random.chance(0.3) ? { approval: { from: "approvers" } } : {};
    stages.push({ name: flag, atMs, substages, baseline: false, ...approval });
    atMs += soakMs * substages.length;
  }
  return {
    rollout: "sim",
    service: "svc",
    environment: "production",
    channel: "#sim",
    source: "sim",
    flags: Object.fromEntries(
      FLAGS.map((flag, index) => [
        flag,
        {
          name: flag,
          key: flag.toUpperCase(),
          on: "true",
          off: "false",
          requires: FLAGS.slice(0, index),
          undo: "flip" as const,
          safe: OFF,
        },
      ]),
    ),
    stages,
    guards: [guard("failures", random.chance(0.2) ? "emergency" : "rollback"), ALIVE],
    unwind: random.pick(["newest", "gradual", "all"] as const),
    onBlind: random.pick(["hold", "hold", "rollback"] as const),
    blindAfterMs: 60 * SECOND,
    scrapeMs: POLL_MS,
    queryTimeoutMs: 5_000,
    hasView: true,
    provider: { flipMs: 2_000, restartMs: random.chance(0.25) ? 10_000 : 0 },
    outside: {
      provider: { kind: "file" },
      prometheus: { url: "http://127.0.0.1:9090", scrape_interval: POLL_MS },
    },
  };
}

function windows(random: Random, calmAt: number, most: number, longest: number): readonly Window[] {
  return Array.from({ length: random.int(0, most) }, () => {
    const from = random.int(0, calmAt - 10);
    return { from, to: Math.min(calmAt, from + random.int(1, longest)) };
  });
}

function deedsFrom(random: Random, plan: Plan, calmAt: number): readonly Deed[] {
  const command = (at: number, text: string, user = random.pick(["ana", "ben", "kim"])): Deed => ({
    at,
    act: { kind: "command", text, user, twice: random.chance(0.2) },
  });
  const first = random.chance(0.7) ? "rollout start sim" : `rollout enable ${random.pick(FLAGS)}`;
  const deeds: Deed[] = [command(random.int(0, 5_000), first, "ana")];
  const texts = [
    "rollout hold",
    "rollout resume",
    "rollout resume",
    "rollout advance",
    "rollout extend 20s",
    "rollout rollback",
    "rollout rollback all",
    "rollout rollback to a",
    "rollout approve",
    "rollout approve",
    "rollout approve",
    "rollout start sim",
    "rollout enable b",
    "rollout enable c",
    "rollout stop --leave-on",
    'rollout unlock a because "fixed"',
    'rollout unlock b because "fixed"',
    'rollout unlock c because "fixed"',
    "rollout status",
    "rollout advnce",
  ];
  for (let i = random.int(0, 10); i > 0; i--)
    deeds.push(command(random.int(5_000, calmAt), random.pick(texts)));
  if (plan.stages.some((stage) => stage.approval !== undefined)) {
    for (const user of ["ana", "ben"])
      deeds.push(command(random.int(100_000, calmAt), "rollout approve", user));
  }
  for (let i = random.chance(0.35) ? random.int(1, 3) : 0; i > 0; i--) {
    deeds.push({
      at: random.int(10_000, calmAt),
      act: { kind: "edit", flag: random.pick(FLAGS), on: random.chance(0.4) },
    });
  }
  return deeds.sort((a, b) => a.at - b.at);
}

function said(observe: ObservePlay | undefined): readonly Deed[] {
  return (observe?.says ?? []).map(({ at, ...words }) => ({ at, act: { kind: "command", ...words } }));
}

/** The scenario of a seed; the same seed always gives the same one. */
export function scenarioOf(seed: number): Scenario {
  const random = createRandom(seed);
  const planned = planFrom(random);
  const calmAt = 420_000;
  const alerts = alertsFrom(seed, calmAt);
  const heard = alerts === undefined ? planned : listening(planned, alerts);
  const deploys = deploysFrom(seed, calmAt);
  const plan = deploys === undefined ? heard : lookingForDeploys(heard);
  const observe = observeFrom(seed, calmAt);
  const culprit = random.chance(0.6)
    ? {
        culprit: {
          flag: random.pick(FLAGS),
          after: random.int(0, 60_000),
          effect: random.chance(0.75) ? ("errors" as const) : ("dead" as const),
        },
      }
    : {};
  const external = random.chance(0.15)
    ? { external: { from: random.int(20_000, 300_000), to: random.int(300_000, calmAt) } }
    : {};
  const rough = random.chance(0.7);
  const lies: readonly Lie[] = [
    "down",
    "timeout",
    "nan",
    "empty",
    "stale",
    "many",
    "html",
    "partial",
    "limited",
  ];
  return {
    seed,
    plan,
    truth: { ...culprit, ...external },
    lies: windows(random, calmAt, 3, 90_000).map((window) => ({ ...window, lie: random.pick(lies) })),
    storeOutages: rough ? [...windows(random, calmAt, 2, 40_000), ...windows(random, calmAt, 4, 9_000)] : [],
    journalOutages:
      rough && random.chance(0.5) ? windows(random, calmAt, 2, random.chance(0.3) ? 120_000 : 15_000) : [],
    races: rough && random.chance(0.3) ? 0.3 : 0,
    echoes: rough && random.chance(0.25) ? 0.5 : 0,
    hasty: random.chance(0.4) ? 0.25 : 0,
    chatOutages: windows(random, calmAt, 2, 60_000),
    storeFaults: rough ? random.between(0, 0.15) : 0,
    chatFaults: random.between(0, 0.15),
    crashes: random.chance(0.6)
      ? Array.from({ length: random.int(1, 4) }, () => ({
          call: random.int(1, 900),
          after: random.chance(0.5),
          downMs: random.int(200, 40_000),
        }))
      : [],
    deeds: [...deedsFrom(random, plan, calmAt), ...said(observe)].sort((a, b) => a.at - b.at),
    ...(alerts === undefined ? {} : { alerts }),
    ...(deploys === undefined ? {} : { deploys }),
    ...(observe === undefined ? {} : { observe }),
    calmAt,
    endAt: 840_000,
  };
}
