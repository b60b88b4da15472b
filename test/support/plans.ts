/** Builders of plans, people and readings for tests of the core: small, explicit, and changed by spreading. */
import type { Actor } from "../../src/core/event.ts";
import type {
  AliveGuard,
  ExpectGuard,
  FlagDef,
  FlagSetting,
  Guard,
  Plan,
  Stage,
  Substage,
  ThresholdGuard,
  TrendGuard,
} from "../../src/core/plan.ts";
import type { Asker } from "../../src/core/rollout/ask.ts";
import { OFF, ON, percentSetting, type Setting } from "../../src/core/setting.ts";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";

/** A person in the chat. */
export function person(id: string): Actor {
  return { kind: "person", id: `U${id.toUpperCase()}`, name: id, via: "slack" };
}

export const ANA = person("ana");
export const BEN = person("ben");

/** May do everything; approves only for the groups given. */
export function operator(actor: Actor, ...groups: readonly string[]): Asker {
  return { actor, operator: true, groups };
}

/** Somebody in the channel without a role. */
export function viewer(actor: Actor, ...groups: readonly string[]): Asker {
  return { actor, operator: false, groups };
}

export function flag(name: string, extra: Partial<FlagDef> = {}): FlagDef {
  return {
    name,
    key: `FEATURE_${name.toUpperCase().replaceAll("-", "_")}`,
    on: "true",
    off: "false",
    requires: [],
    undo: "flip",
    safe: OFF,
    ...extra,
  };
}

/** A flag whose safe value is the one recorded before the rollout. */
export function plainFlag(name: string, extra: Partial<FlagDef> = {}): FlagDef {
  const { safe: _none, ...rest } = flag(name, extra);
  return extra.safe === undefined ? rest : { ...rest, safe: extra.safe };
}

export const POLL_MS = 10 * SECOND;
export const WINDOW_MS = 30 * SECOND;
export const SCRAPE_MS = 5 * SECOND;

/** At most 2 %, 2 of 3, every 10 s over 30 s. */
export function failures(extra: Partial<ThresholdGuard> = {}): ThresholdGuard {
  return {
    kind: "threshold",
    name: "failures",
    query: "failures",
    freshness: "fresh(failures)",
    intervalMs: POLL_MS,
    windowMs: WINDOW_MS,
    breach: { k: 2, n: 3 },
    consequence: "rollback",
    max: 0.02,
    unit: "percent",
    ...extra,
  };
}

/** `up` of our target, 3 of 3, every 10 s. */
export function alive(extra: Partial<AliveGuard> = {}): AliveGuard {
  return {
    kind: "alive",
    name: "alive",
    query: "min(up)",
    freshness: "fresh(up)",
    others: "max(others)",
    intervalMs: POLL_MS,
    windowMs: 0,
    breach: { k: 3, n: 3 },
    consequence: "rollback",
    ...extra,
  };
}

/** At least 20 % within five minutes. */
export function hits(extra: Partial<ExpectGuard> = {}): ExpectGuard {
  return {
    kind: "expect",
    name: "hits",
    query: "hits",
    freshness: "fresh(hits)",
    intervalMs: POLL_MS,
    windowMs: WINDOW_MS,
    breach: { k: 1, n: 1 },
    consequence: "hold",
    min: 0.2,
    unit: "percent",
    withinMs: 5 * MINUTE,
    ...extra,
  };
}

/** Memory that must not reach 1 GiB within four hours, asked every ten minutes; pages. */
export function memory(extra: Partial<TrendGuard> = {}): TrendGuard {
  return {
    kind: "trend",
    name: "memory",
    query: "memory",
    freshness: "fresh(memory)",
    intervalMs: 10 * MINUTE,
    windowMs: 0,
    breach: { k: 1, n: 1 },
    consequence: "page",
    limit: 1024 ** 3,
    unit: "bytes",
    horizonMs: 4 * HOUR,
    ...extra,
  };
}

export const GUARDS: readonly Guard[] = [failures(), alive()];

export function set(name: string, setting: Setting = ON): FlagSetting {
  return { flag: name, setting };
}

export function step(soakMs: number, ...settings: readonly FlagSetting[]): Substage {
  return { set: settings, soakMs };
}

/** A stage that turns the flags of its name (or those given) on at once. */
export function stage(name: string, atMs: number, extra: Partial<Stage> = {}, soakMs = 10 * MINUTE): Stage {
  return { name, atMs, substages: [step(soakMs, set(name))], baseline: false, ...extra };
}

/** A stage that raises one flag by percentages. */
export function percents(name: string, atMs: number, shares: readonly number[], soakMs = 10 * MINUTE): Stage {
  return stage(name, atMs, {
    substages: shares.map((share) => step(soakMs, set(name, percentSetting(share)))),
  });
}

/** A stage that turns the flags off and verifies it. */
export function baseline(atMs: number, flags: readonly string[], soakMs = 10 * MINUTE): Stage {
  return stage("baseline", atMs, {
    baseline: true,
    substages: [step(soakMs, ...flags.map((name) => set(name, OFF)))],
  });
}

export function review(atMs: number, name = "review"): Stage {
  return stage(name, atMs, { substages: [], review: "manual" });
}

/** The flags by name, as a plan keeps them. */
export function flags(...defs: readonly FlagDef[]): Readonly<Record<string, FlagDef>> {
  return Object.fromEntries(defs.map((def) => [def.name, def]));
}

/** Three flags a, b, c, each requiring those before; one stage each, ten minutes apart. */
export function planOf(extra: Partial<Plan> = {}): Plan {
  return {
    rollout: "demo",
    service: "svc",
    environment: "production",
    source: "demo",
    flags: flags(flag("a"), flag("b", { requires: ["a"] }), flag("c", { requires: ["a", "b"] })),
    stages: [stage("a", 0), stage("b", 10 * MINUTE), stage("c", 20 * MINUTE)],
    guards: GUARDS,
    unwind: "newest",
    onBlind: "hold",
    blindAfterMs: 5 * MINUTE,
    scrapeMs: SCRAPE_MS,
    queryTimeoutMs: 5 * SECOND,
    hasView: true,
    provider: { flipMs: 2 * SECOND, restartMs: 0 },
    outside: {
      provider: { kind: "file" },
      view: { http: "http://127.0.0.1:8000/features", pointer: "/flags" },
      prometheus: { url: "http://127.0.0.1:9090", scrape_interval: SCRAPE_MS },
    },
    ...extra,
  };
}
