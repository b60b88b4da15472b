/** The simulated outside: a flag store that loses replies and is edited by people, a service with a truth of its own, a Prometheus that lies. */
import type { Answer } from "../../src/core/measurement.ts";
import type { FlagDef } from "../../src/core/plan.ts";
import type { Reading } from "../../src/core/rollout/desired.ts";
import { OFF, ON, type Setting, sameSetting, toWire } from "../../src/core/setting.ts";
import {
  type FlagStore,
  type FlagWrite,
  type Metrics,
  OutsideFault,
  type ServiceViewPort,
  type WriteResult,
} from "../../src/engine/ports.ts";
import { type Lie, type Scenario, WINDOW_MS } from "./scenario.ts";
import type { Random, Timeline } from "./timeline.ts";

/** One change of a flag as the store saw it. `by` tells a late duplicate of a write from the write itself. */
export interface Change {
  readonly at: number;
  readonly flag: string;
  readonly setting: Setting;
  readonly intent: string | undefined;
  readonly by: "belay" | "duplicate" | "person";
}

interface Stored {
  setting: Setting;
  rev: number;
  intent: string | undefined;
}

/** Answers served for one query, so that an invariant can ask what Belay had seen. */
export interface Served {
  readonly at: number;
  readonly query: string;
  readonly passing: boolean;
}

export interface Outside {
  readonly changes: readonly Change[];
  readonly served: readonly Served[];
  setting(flag: string): Setting;
  edit(flag: string, on: boolean): void;
  /** Whether the service is really in breach now (errors over the limit or dead). */
  isBad(): boolean;
  /** Advances the truth by one second. */
  second(): void;
  everBad(): boolean;
  /** Whether any of the last seconds was bad. */
  badWithin(seconds: number): boolean;
  storeUp(): boolean;
  lying(): Lie | undefined;
  store(alive: () => boolean): FlagStore;
  view(alive: () => boolean): ServiceViewPort;
  metrics(alive: () => boolean): Metrics;
}

export function createOutside(scenario: Scenario, timeline: Timeline, random: Random): Outside {
  const flags = new Map<string, Stored>(
    Object.keys(scenario.plan.flags).map((flag) => [flag, { setting: OFF, rev: 1, intent: undefined }]),
  );
  const changes: Change[] = [];
  const served: Served[] = [];
  /** Share of bad seconds, newest last: one entry a second. */
  const badness: number[] = [];
  const restarts = scenario.plan.provider.restartMs > 0;
  /** An env-file takes effect after a restart, and the service is away meanwhile. */
  let restartingUntil = 0;
  let culpritSince: number | undefined;
  let bad = false;
  let dead = false;
  let ever = false;

  const inside = (windows: readonly { from: number; to: number }[]): boolean =>
    windows.some((one) => timeline.now() >= one.from && timeline.now() < one.to);
  const lying = (): Lie | undefined =>
    scenario.lies.find((one) => timeline.now() >= one.from && timeline.now() < one.to)?.lie;
  const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

  function apply(flag: string, setting: Setting, intent: string | undefined, by: Change["by"]): void {
    const stored = flags.get(flag);
    if (stored === undefined) return;
    stored.setting = setting;
    stored.rev += 1;
    stored.intent = intent;
    if (restarts && by === "belay") restartingUntil = timeline.now() + random.between(300, 4_000);
    changes.push({ at: timeline.now(), flag, setting, intent, by });
  }

  /** Resolves or rejects after some virtual time, unless the caller has died meanwhile. */
  function later<T>(alive: () => boolean, ms: number, act: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      timeline.after(ms, () => {
        try {
          const result = act();
          if (alive()) resolve(result);
        } catch (error) {
          if (alive()) reject(error);
        }
      });
    });
  }

  function writeAll(writes: readonly FlagWrite[]): Readonly<Record<string, WriteResult>> {
    const results: Record<string, WriteResult> = {};
    const [first] = writes;
    if (
      first !== undefined &&
      !sameSetting(first.setting, OFF) &&
      timeline.now() < scenario.calmAt &&
      random.chance(scenario.races)
    )
      apply(first.flag.name, OFF, undefined, "person");
    for (const { flag, setting, intent, ifVersion } of writes) {
      const stored = flags.get(flag.name);
      const conflict = stored === undefined || (ifVersion !== undefined && ifVersion !== String(stored.rev));
      results[flag.name] = conflict ? "conflict" : "written";
      const underWay =
        restarts &&
        timeline.now() < restartingUntil &&
        stored !== undefined &&
        sameSetting(stored.setting, setting);
      if (!conflict && !underWay) apply(flag.name, setting, intent, "belay");
      const echo =
        !conflict &&
        !sameSetting(setting, OFF) &&
        timeline.now() < scenario.calmAt &&
        random.chance(scenario.echoes);
      if (echo)
        timeline.after(random.between(300, 9_000), () => apply(flag.name, setting, intent, "duplicate"));
    }
    return results;
  }

  const unreachable = (): OutsideFault =>
    new OutsideFault("flag store: connection refused", { recoverable: true });
  const noReply = (): OutsideFault =>
    new OutsideFault("flag store: no answer in 5000 ms", { recoverable: true });

  function faultyWrite(
    alive: () => boolean,
    writes: readonly FlagWrite[],
  ): Promise<Readonly<Record<string, WriteResult>>> {
    const kind = random.pick([
      ...(writes.some((one) => one.ifVersion !== undefined) ? (["forbidden"] as const) : []),
      "refused",
      "lost_reply",
      "hang_applied",
      "hang",
      "late",
      "accepted_lost",
      "duplicate",
    ] as const);
    switch (kind) {
      case "forbidden":
        return later(alive, random.between(1, 30), () => {
          throw new OutsideFault("flag store: 403 approval required", { recoverable: false });
        });
      case "refused":
        return later(alive, random.between(1, 30), () => {
          throw unreachable();
        });
      case "lost_reply":
        return later(alive, random.between(1, 30), () => {
          writeAll(writes);
          throw noReply();
        });
      case "hang":
      case "hang_applied":
        if (kind === "hang_applied") timeline.after(random.between(1, 3_000), () => writeAll(writes));
        return later(alive, 5_000, () => {
          throw noReply();
        });
      case "accepted_lost":
        return later(alive, random.between(1, 30), () =>
          Object.fromEntries(writes.map((one) => [one.flag.name, "written" as const])),
        );
      case "late": {
        timeline.after(random.between(500, 4_000), () => writeAll(writes));
        return later(alive, random.between(1, 30), () =>
          Object.fromEntries(writes.map((one) => [one.flag.name, "written" as const])),
        );
      }
      case "duplicate": {
        const delay = random.between(500, 9_000);
        return later(alive, random.between(1, 30), () => {
          const results = writeAll(writes);
          timeline.after(delay, () => {
            for (const one of writes)
              if (results[one.flag.name] === "written")
                apply(one.flag.name, one.setting, one.intent, "duplicate");
          });
          return results;
        });
      }
    }
  }

  function readAll(defs: readonly FlagDef[]): Readonly<Record<string, Omit<Reading, "at">>> {
    return Object.fromEntries(
      defs.flatMap((def) => {
        const stored = flags.get(def.name);
        if (stored === undefined) return [];
        const { setting, rev, intent } = stored;
        return [
          [
            def.name,
            {
              setting,
              version: String(rev),
              effective: timeline.now() >= restartingUntil,
              ...(intent === undefined ? {} : { intent }),
            },
          ],
        ];
      }),
    );
  }

  function second(): void {
    const { culprit, external } = scenario.truth;
    const on = culprit !== undefined && !sameSetting(flags.get(culprit.flag)?.setting ?? OFF, OFF);
    if (!on) culpritSince = undefined;
    else culpritSince ??= timeline.now();
    const struck =
      culprit !== undefined && culpritSince !== undefined && timeline.now() - culpritSince >= culprit.after;
    const outer = external !== undefined && timeline.now() >= external.from && timeline.now() < external.to;
    dead = struck && culprit?.effect === "dead";
    bad = (struck && culprit?.effect === "errors") || outer;
    ever ||= bad || dead;
    badness.push(dead || timeline.now() < restartingUntil ? 2 : bad ? 1 : 0);
  }

  /** The body Prometheus would return for a query at a second of the past or now; undefined series when the service is dead. */
  function truthAt(query: string, atSecond: number): { readonly body: unknown; readonly passing: boolean } {
    const upto = Math.max(0, Math.min(badness.length, atSecond));
    const window = badness.slice(Math.max(0, upto - WINDOW_MS / 1000), upto);
    const isDead = badness[upto - 1] === 2;
    const stamp = atSecond;
    const vector = (value: string | undefined): unknown => ({
      status: "success",
      data: {
        resultType: "vector",
        result: value === undefined ? [] : [{ metric: {}, value: [stamp, value] }],
      },
    });
    if (query === "up") return { body: vector(isDead ? "0" : "1"), passing: !isDead };
    if (query === "others") return { body: vector("1"), passing: true };
    if (query === "fresh:up") return { body: vector(String(stamp)), passing: true };
    if (query.startsWith("fresh:"))
      return { body: vector(isDead ? undefined : String(stamp)), passing: !isDead };
    const share = window.length === 0 ? 0 : window.filter((one) => one === 1).length / window.length;
    return { body: vector(String(0.001 + 0.2 * share)), passing: !isDead && 0.001 + 0.2 * share <= 0.02 };
  }

  function lieAbout(lie: Lie, query: string): Answer {
    const vector = (result: unknown, more: object = {}): Answer => ({
      kind: "body",
      body: { status: "success", ...more, data: { resultType: "vector", result } },
    });
    const now = timeline.now() / 1000;
    const fresh = query.startsWith("fresh:");
    switch (lie) {
      case "down":
        return { kind: "down", reason: "refused", detail: "connection refused" };
      case "timeout":
        return { kind: "down", reason: "timeout", detail: "no answer in 5 s" };
      case "limited":
        return { kind: "down", reason: "rate_limited", detail: "429" };
      case "html":
        return { kind: "down", reason: "not_json", detail: "<html>" };
      case "nan":
        return vector([{ metric: {}, value: [now, fresh ? String(now) : "NaN"] }]);
      case "empty":
        return vector(fresh ? [{ metric: {}, value: [now, String(now)] }] : []);
      case "many":
        if (fresh) return vector([{ metric: {}, value: [now, String(now)] }]);
        return vector([
          { metric: { pod: "a" }, value: [now, "0.5"] },
          { metric: { pod: "b" }, value: [now, "0.001"] },
        ]);
      case "stale":
        return vector([
          { metric: {}, value: [now, fresh ? String(now - 60) : query === "up" ? "0" : "0.9"] },
        ]);
      case "partial":
        return vector([{ metric: {}, value: [now, fresh ? String(now) : query === "up" ? "0" : "0.9"] }], {
          warnings: ["remote read failed"],
        });
    }
  }

  return {
    changes,
    served,
    setting: (flag) => flags.get(flag)?.setting ?? OFF,
    edit: (flag, on) => apply(flag, on ? ON : OFF, undefined, "person"),
    isBad: () => bad || dead,
    everBad: () => ever,
    badWithin: (seconds) => badness.slice(-seconds).some((one) => one > 0),
    second,
    storeUp: () => !inside(scenario.storeOutages),
    lying,
    store: (alive) => ({
      read(defs) {
        if (!alive()) return never();
        if (inside(scenario.storeOutages)) {
          return later(alive, random.between(1, 5_000), () => {
            throw unreachable();
          });
        }
        if (timeline.now() < scenario.calmAt && random.chance(scenario.storeFaults / 2)) {
          return later(alive, random.chance(0.5) ? 5_000 : 20, () => {
            throw noReply();
          });
        }
        return later(alive, random.between(1, 25), () => readAll(defs));
      },
      write(writes) {
        if (!alive()) return never();
        if (inside(scenario.storeOutages)) {
          return later(alive, random.between(1, 5_000), () => {
            throw unreachable();
          });
        }
        if (timeline.now() < scenario.calmAt && random.chance(scenario.storeFaults))
          return faultyWrite(alive, writes);
        return later(alive, random.between(1, 30), () => writeAll(writes)).then((results) =>
          later(alive, Math.max(0, restartingUntil - timeline.now()), () => results),
        );
      },
    }),
    view: (alive) => ({
      read(defs) {
        if (!alive()) return never();
        if (dead || timeline.now() < restartingUntil) {
          return later(alive, 5, () => {
            throw new OutsideFault("service: connection refused", { recoverable: true });
          });
        }
        return later(alive, random.between(1, 200), () =>
          Object.fromEntries(
            defs.map((def) => [def.name, toWire(def, flags.get(def.name)?.setting ?? OFF).value]),
          ),
        );
      },
    }),
    metrics: (alive) => ({
      query(query) {
        if (!alive()) return never();
        const lie = lying();
        const askedAt = timeline.now();
        if (lie !== undefined)
          return later(alive, lie === "timeout" ? 5_000 : random.between(1, 40), () => lieAbout(lie, query));
        return later(alive, random.between(1, 60), () => {
          const { body, passing } = truthAt(query, Math.floor(askedAt / 1000));
          served.push({ at: askedAt, query, passing });
          return { kind: "body" as const, body };
        });
      },
      queryRange(query, fromWall, toWall, stepMs) {
        if (!alive()) return never();
        if (lying() !== undefined)
          return later(alive, 30, () => ({
            kind: "down" as const,
            reason: "refused" as const,
            detail: "connection refused",
          }));
        return later(alive, random.between(5, 120), () => {
          const points = [];
          for (let wall = fromWall; wall <= toWall; wall += stepMs) {
            served.push({ at: wall, query, passing: truthAt(query, Math.floor(wall / 1000)).passing });
            points.push({
              wall,
              answer: { kind: "body" as const, body: truthAt(query, Math.floor(wall / 1000)).body },
            });
          }
          return { kind: "points" as const, points };
        });
      },
    }),
  };
}
