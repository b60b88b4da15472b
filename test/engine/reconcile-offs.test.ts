/** What the reconciler tells of failing OFFs, and whom it does not ask meanwhile. */
import { expect, it } from "vitest";
import type { Reading } from "../../src/core/rollout/desired.ts";
import type { State } from "../../src/core/rollout/state.ts";
import { OFF, ON, type Setting } from "../../src/core/setting.ts";
import { SECOND } from "../../src/core/time.ts";
import {
  type Flags,
  type FlagWrite,
  type Log,
  OutsideFault,
  type WriteResult,
} from "../../src/engine/ports.ts";
import { Reconcile } from "../../src/engine/reconcile.ts";
import { MONDAY, Walk } from "../core/walk.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { plainFlags } from "../support/plain-flags.ts";
import { planOf } from "../support/plans.ts";

const SILENT: Log = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** A flag system that refuses OFFs while told to, and counts who asks for its history. */
class System {
  readonly now: Record<string, Setting> = { a: ON, b: ON, c: ON };
  versions = 1;
  refuses = false;
  asked = 0;
  readonly flags: Flags;

  constructor() {
    const plain = plainFlags({
      read: async () => this.#readings(),
      write: async (writes) => this.#write(writes),
    });
    this.flags = {
      ...plain,
      can: { ...plain.can, history: true, keepsIntent: false },
      history: async () => {
        this.asked++;
        return [];
      },
    };
  }

  #readings(): Record<string, Omit<Reading, "at">> {
    return Object.fromEntries(
      Object.entries(this.now).map(([flag, setting]) => [
        flag,
        { setting, version: String(this.versions), effective: true },
      ]),
    );
  }

  #write(writes: readonly FlagWrite[]): Record<string, WriteResult> {
    const fault = new OutsideFault("403: the token may not change production", { recoverable: false });
    return Object.fromEntries(
      writes.map(({ flag, setting }): [string, WriteResult] => {
        if (this.refuses) return [flag.name, fault];
        this.now[flag.name] = setting;
        this.versions++;
        return [flag.name, "written"];
      }),
    );
  }
}

function allOn(): Walk {
  const walk = new Walk(planOf()).start();
  while (walk.state.stages[2]?.status !== "soaking") walk.until("stage_enabled");
  return walk;
}

function reconcile(walk: Walk, system: System): { readonly one: Reconcile; readonly clock: ManualClock } {
  const clock = new ManualClock(MONDAY);
  const one = new Reconcile({
    clock,
    service: {
      flags: system.flags,
      metrics: {
        query: async () => ({ kind: "down", reason: "refused", detail: "none" }),
        queryRange: async () => ({ kind: "down", reason: "refused", detail: "none" }),
      },
      readEveryMs: 5 * SECOND,
    },
    log: SILENT,
    plan: walk.plan,
    state: (): State => walk.state,
    readings: {},
    onSeen: () => undefined,
  });
  void one.run();
  return { one, clock };
}

it("forgets that an OFF was refused when it is owed no more: a later rollback begins afresh", async () => {
  const walk = allOn();
  const system = new System();
  const { one, clock } = reconcile(walk, system);
  system.refuses = true;
  walk.deaf.add("c");
  walk.ask({ kind: "rollback", to: "newest" });
  one.kick();
  await clock.advance(SECOND);
  expect(one.told().backwardRefused).toContain("403");
  // A person sets it by hand; then the token is mended.
  system.now["c"] = OFF;
  system.versions++;
  walk.edit("c", OFF);
  walk.until("recovered");
  system.refuses = false;
  one.kick();
  await clock.advance(10 * SECOND);
  expect(one.told()).not.toHaveProperty("backwardRefused");
  expect(one.told()).not.toHaveProperty("backwardFailingSince");
  one.stop();
});

it("does not ask the flag system's history about its own OFF that is on its way", async () => {
  const walk = allOn();
  const system = new System();
  const { one, clock } = reconcile(walk, system);
  await clock.advance(SECOND);
  expect(system.asked).toBe(0);
  system.refuses = true;
  walk.deaf.add("c");
  walk.ask({ kind: "rollback", to: "newest" });
  one.kick();
  await clock.advance(10 * SECOND);
  expect(system.asked).toBe(0);
  one.stop();
});
