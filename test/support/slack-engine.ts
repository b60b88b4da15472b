/** The real engine behind the Slack adapter, on real time: a journal in memory, a flag store that obeys, and one guard whose figure the test turns. */

import { createClock } from "../../src/adapters/clock.ts";
import { createIds } from "../../src/adapters/ids.ts";
import type { Plan } from "../../src/core/plan.ts";
import { OFF, ON, type Setting } from "../../src/core/setting.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { Chat, Log, Service } from "../../src/engine/ports.ts";
import { type Disk, journalOn } from "../simulation/journal.ts";
import { plainFlags } from "./plain-flags.ts";

const POLL_MS = 100;
const WINDOW_MS = 200;

/** Two flags, each with a stage of its own, watched by one guard that is asked ten times a second. */
export const SMALL_PLAN: Plan = {
  rollout: "parser",
  service: "parser",
  environment: "production",
  channel: "#ingestion-ops",
  source: "parser",
  flags: Object.fromEntries(
    ["cache", "parallel"].map((name) => [
      name,
      {
        name,
        key: name.toUpperCase(),
        on: "true",
        off: "false",
        requires: [],
        undo: "flip" as const,
        safe: OFF,
      },
    ]),
  ),
  stages: ["cache", "parallel"].map((flag, index) => ({
    name: flag,
    atMs: index * 1_000,
    substages: [{ set: [{ flag, setting: ON }], soakMs: index === 0 ? 1_000 : 600_000 }],
    baseline: false,
  })),
  guards: [
    {
      kind: "threshold",
      name: "failures",
      query: "failures",
      freshness: "fresh",
      intervalMs: POLL_MS,
      windowMs: WINDOW_MS,
      breach: { k: 2, n: 3 },
      consequence: "rollback",
      max: 0.02,
      unit: "percent",
    },
  ],
  unwind: "newest",
  onBlind: "hold",
  blindAfterMs: 60_000,
  scrapeMs: POLL_MS,
  queryTimeoutMs: 1_000,
  hasView: false,
  provider: { flipMs: 1_000, restartMs: 0 },
  outside: {
    provider: { kind: "file" },
    prometheus: { url: "http://127.0.0.1:9090", scrape_interval: POLL_MS },
  },
};

/** What the engine sees of the outside; `failures` is what the guard measures. */
export class SmallWorld {
  failures = 0.001;
  readonly #flags = new Map<string, { setting: Setting; version: number; intent: string | undefined }>(
    Object.keys(SMALL_PLAN.flags).map((flag) => [flag, { setting: OFF, version: 1, intent: undefined }]),
  );

  isOn(flag: string): boolean {
    return this.#flags.get(flag)?.setting.kind === "on";
  }

  readonly service: Service = {
    readEveryMs: 500,
    flags: plainFlags({
      read: async (flags) =>
        Object.fromEntries(
          flags.flatMap(({ name }) => {
            const stored = this.#flags.get(name);
            if (stored === undefined) return [];
            const { setting, version, intent } = stored;
            const reading = { setting, version: String(version), effective: true };
            return [[name, intent === undefined ? reading : { ...reading, intent }]];
          }),
        ),
      write: async (writes) =>
        Object.fromEntries(
          writes.map(({ flag, setting, intent }) => {
            const version = (this.#flags.get(flag.name)?.version ?? 0) + 1;
            this.#flags.set(flag.name, { setting, version, intent });
            return [flag.name, "written" as const];
          }),
        ),
    }),
    metrics: {
      query: async (query, atWall) => ({ kind: "body", body: this.#answer(query, atWall) }),
      queryRange: async (query, fromWall, toWall, stepMs) => ({
        kind: "points",
        points: Array.from({ length: Math.floor((toWall - fromWall) / stepMs) + 1 }, (_, index) => {
          const wall = fromWall + index * stepMs;
          return { wall, answer: { kind: "body" as const, body: this.#answer(query, wall) } };
        }),
      }),
    },
  };

  #answer(query: string, atWall: number): unknown {
    const value = query === "fresh" ? atWall / 1_000 : this.failures;
    const result = [{ metric: {}, value: [atWall / 1_000, String(value)] }];
    return { status: "success", data: { resultType: "vector", result } };
  }
}

/** An engine on a disk that may outlive it. */
export function engineOn(disk: Disk, world: Pick<SmallWorld, "service">, chat: Chat, log: Log): Engine {
  return new Engine({
    clock: createClock({ notBefore: 1 }),
    ids: createIds(),
    log,
    journal: journalOn(disk, async (_name, transaction) => transaction()),
    spool: { append: () => undefined, read: () => [], clear: () => undefined },
    chat,
    plans: () => new Map([[SMALL_PLAN.rollout, SMALL_PLAN]]),
    connect: () => world.service,
    mayOf: () => ({ operator: true, groups: [] }),
    defaultChannel: undefined,
    refreshMs: 1_000,
    zone: "UTC",
  });
}
