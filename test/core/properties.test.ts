/** Whatever happens, in whatever order: random worlds, people and times against the promises of the rollout core. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { NoEvidenceReason } from "../../src/core/measurement.ts";
import type { Plan } from "../../src/core/plan.ts";
import { peopleOn } from "../../src/core/rollout/ahead.ts";
import type { Ask, Asker } from "../../src/core/rollout/ask.ts";
import { openWould } from "../../src/core/rollout/observe.ts";
import { hasHold, isOpenRun, pendingAsked, settingUpTo } from "../../src/core/rollout/state.ts";
import { onTick } from "../../src/core/rollout/tick.ts";
import { formatSetting, OFF, ON, percentSetting, type Setting, sameSetting } from "../../src/core/setting.ts";
import { MINUTE, parseForwardWindow, SECOND } from "../../src/core/time.ts";
import {
  ANA,
  alive,
  BEN,
  baseline,
  failures,
  flag,
  flags,
  hits,
  memory,
  operator,
  percents,
  plainFlag,
  planOf,
  review,
  set,
  stage,
  step,
  viewer,
} from "../support/plans.ts";
import { flagsOn, replay } from "./promises.ts";
import { bad, good, type Says, Walk } from "./walk.ts";

const SOAK = 2 * MINUTE;
const value = (text: string): Setting => ({ kind: "value", value: text });
const forward = parseForwardWindow("Mon-Fri 08:00-10:00", "UTC");

/** Plans of every shape that files can ask for. */
const PLANS: readonly Plan[] = [
  planOf({ stages: [stage("a", 0, {}, SOAK), stage("b", SOAK, {}, SOAK), stage("c", 2 * SOAK, {}, SOAK)] }),
  planOf({
    unwind: "gradual",
    flags: flags(flag("a"), flag("b", { requires: ["a"] }), flag("c", { requires: ["a", "b"], safe: ON })),
    stages: [
      baseline(0, ["a", "b", "c"], SOAK),
      percents("a", SOAK, [25, 100], SOAK),
      stage("b", 3 * SOAK, { approval: { from: "leads" } }, SOAK),
      review(4 * SOAK),
      stage("c", 5 * SOAK, {}, SOAK),
    ],
  }),
  planOf({
    unwind: "all",
    onBlind: "rollback",
    blindAfterMs: MINUTE,
    provider: { flipMs: 2 * SECOND, restartMs: 10 * SECOND },
    guards: [
      failures({ consequence: "emergency" }),
      alive(),
      hits({ stages: ["a"], withinMs: MINUTE }),
      memory({ consequence: "hold" }),
    ],
    flags: flags(flag("a", { safe: ON }), flag("b", { undo: "data" }), flag("c")),
    stages: [stage("a", 0, {}, SOAK), stage("b", SOAK, {}, SOAK), stage("c", 2 * SOAK, {}, SOAK)],
  }),
  planOf({
    hasView: false,
    guards: [
      failures({ consequence: "hold" }),
      failures({ name: "pages", consequence: "page" }),
      failures({ name: "later", stages: ["hundred"], breach: { k: 1, n: 1 } }),
      alive(),
    ],
    flags: flags(plainFlag("a"), flag("b", { safe: value("1") }), flag("c")),
    stages: [
      stage("ten", 0, { substages: [step(SOAK, set("a", value("10")), set("b", value("2")))] }),
      stage("hundred", SOAK, { substages: [step(SOAK, set("a", value("100")))] }),
      stage("pair", 2 * SOAK, { substages: [step(SOAK, set("c"), set("b", OFF))] }),
    ],
  }),
  planOf({
    ...(forward === undefined ? {} : { forward }),
    flags: flags(flag("a", { undo: "none" }), flag("b"), plainFlag("c")),
    guards: [
      failures(),
      failures({ name: "heap", consequence: "emergency" }),
      alive({ consequence: "emergency" }),
      memory({ intervalMs: MINUTE }),
    ],
    unwind: "all",
    stages: [
      stage("a", 0, {}, SOAK),
      percents("b", SOAK, [5, 50], SOAK),
      stage("c", 3 * SOAK, {}, SOAK),
      review(4 * SOAK),
    ],
  }),
];

type Act =
  | { readonly kind: "pass"; readonly ms: number; readonly stepMs: number }
  | { readonly kind: "sleep"; readonly ms: number }
  | { readonly kind: "says"; readonly guard: number; readonly says: "good" | "bad" | Says }
  | { readonly kind: "shop"; readonly reads: boolean; readonly takes: boolean; readonly keepsIntent: boolean }
  | { readonly kind: "deaf"; readonly flag: string }
  | { readonly kind: "view"; readonly view: Walk["view"] }
  | {
      readonly kind: "edit";
      readonly flag: string;
      readonly setting: Setting;
      readonly intent?: string | undefined;
    }
  | { readonly kind: "ask"; readonly ask: Ask; readonly asker: Asker }
  | { readonly kind: "calm" }
  | { readonly kind: "help" }
  | { readonly kind: "obey" }
  | { readonly kind: "quarantine" };

const FLAG = fc.constantFrom("a", "b", "c");
const LIES: readonly (NoEvidenceReason | "down" | "silent")[] = [
  "empty",
  "nan",
  "stale",
  "partial",
  "down",
  "silent",
];
const SAYS = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("good" as const, "bad" as const) },
  { weight: 2, arbitrary: fc.constantFrom(...LIES) },
);
const SETTING: fc.Arbitrary<Setting> = fc.oneof(
  fc.constantFrom(ON, OFF, value("10"), value("7")),
  fc.integer({ min: 1, max: 99 }).map(percentSetting),
);
const BEFORE = fc.oneof({ weight: 6, arbitrary: fc.constant(OFF) }, { weight: 1, arbitrary: SETTING });
const ASKER = fc.constantFrom(
  operator(ANA, "leads"),
  operator(BEN, "leads"),
  viewer(BEN),
  viewer(BEN, "leads"),
);
const BECAUSE = fc.option(fc.constant("because"), { nil: undefined });
const ASK: fc.Arbitrary<Ask> = fc.oneof(
  fc.nat({ max: 2 }).map((end): Ask => ({ kind: "set_end", end })),
  BECAUSE.map((because): Ask => ({ kind: "hold", ...(because === undefined ? {} : { because }) })),
  fc.constantFrom<Ask>(
    { kind: "resume" },
    { kind: "resume" },
    { kind: "advance" },
    { kind: "advance" },
    { kind: "approve" },
  ),
  fc.integer({ min: 1, max: 120 }).map((s): Ask => ({ kind: "extend", ms: s * SECOND })),
  fc.constantFrom<Ask>({ kind: "stop", confirmed: false }),
  fc.constantFrom<Ask>(
    { kind: "mode", mode: "observe" },
    { kind: "mode", mode: "act", because: "trusted" },
    { kind: "release" },
    { kind: "resume", because: "false alarm" },
  ),
  fc.constantFrom("newest" as const, -1, 0, 1).map((to): Ask => ({ kind: "rollback", to })),
  fc.constantFrom("go" as const, "no-go" as const).map((decision): Ask => ({ kind: "signoff", decision })),
  fc
    .subarray(["a", "b", "c"], { minLength: 1 })
    .map((names): Ask => ({ kind: "unlock", flags: names, because: "fixed" })),
);

const ACT: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("pass" as const),
      ms: fc.oneof(fc.integer({ min: 1, max: MINUTE }), fc.integer({ min: MINUTE, max: 8 * MINUTE })),
      stepMs: fc.constantFrom(3 * SECOND, 5 * SECOND, 7 * SECOND),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 1, max: 30 * MINUTE }).map((ms): Act => ({ kind: "sleep", ms })),
  },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant("says" as const), guard: fc.nat({ max: 3 }), says: SAYS }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("shop" as const),
      reads: fc.boolean(),
      takes: fc.boolean(),
      keepsIntent: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: FLAG.map((name): Act => ({ kind: "deaf", flag: name })) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom("follows" as const, "silent" as const, "stuck" as const)
      .map((view): Act => ({ kind: "view", view })),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("edit" as const),
      flag: FLAG,
      setting: SETTING,
      intent: fc.option(fc.constantFrom("ui:kim", "r-1.3.a"), { nil: undefined }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("ask" as const), ask: ASK, asker: ASKER }) },
  { weight: 4, arbitrary: fc.constant<Act>({ kind: "calm" }) },
  { weight: 6, arbitrary: fc.constant<Act>({ kind: "help" }) },
  { weight: 4, arbitrary: fc.constant<Act>({ kind: "obey" }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Act>(
      { kind: "quarantine" },
      { kind: "ask", ask: { kind: "stop", confirmed: true }, asker: operator(ANA) },
      ...Array.from({ length: 12 }, (): Act => ({ kind: "calm" })),
    ),
  },
);

function perform(walk: Walk, act: Act): void {
  switch (act.kind) {
    case "pass":
      walk.pass(act.ms, act.stepMs);
      return;
    case "sleep":
      walk.steady += act.ms;
      walk.wall += act.ms;
      walk.step();
      return;
    case "says": {
      const guard = walk.plan.guards[act.guard % walk.plan.guards.length];
      if (guard === undefined) return;
      const says = act.says === "good" ? good(guard) : act.says === "bad" ? bad(guard) : act.says;
      walk.says.set(guard.name, says);
      return;
    }
    case "shop":
      Object.assign(walk.shop, { reads: act.reads, takes: act.takes, keepsIntent: act.keepsIntent });
      return;
    case "deaf":
      if (!walk.deaf.delete(act.flag)) walk.deaf.add(act.flag);
      return;
    case "view":
      walk.view = act.view;
      return;
    case "edit":
      walk.edit(act.flag, act.setting, act.intent);
      return;
    case "ask":
      walk.ask(act.ask, act.asker);
      return;
    case "calm":
      calm(walk);
      return;
    case "help":
      help(walk);
      return;
    case "obey":
      obey(walk);
      return;
    case "quarantine":
      if (isOpenRun(walk.state) && walk.state.phase !== "stuck")
        walk.commit([{ kind: "quarantined", error: "planted" }]);
      return;
  }
}

/** Everything tells the truth and does what it is told again. */
function calm(walk: Walk): void {
  for (const guard of walk.plan.guards) walk.says.set(guard.name, good(guard));
  Object.assign(walk.shop, { reads: true, takes: true, keepsIntent: true });
  walk.deaf.clear();
  walk.view = "follows";
}

/** What people do who were asked to flip, or told what Belay would have taken back. */
function obey(walk: Walk): void {
  for (const { flip } of pendingAsked(walk.state)) walk.edit(flip.flag, flip.to);
  for (const { flag: name, to } of openWould(walk.state)?.flips ?? []) walk.edit(name, to);
  walk.pass(10 * SECOND, 5 * SECOND);
}

/** What an operator does who wants the rollout to go on. */
function help(walk: Walk): void {
  const { state } = walk;
  if (state.review !== undefined) walk.ask({ kind: "signoff", decision: "go" });
  if (state.approval !== undefined) walk.ask({ kind: "approve" }, operator(BEN, "leads"));
  if (state.baselineAsk !== undefined) walk.ask({ kind: "advance" });
  const locked = Object.keys(state.latched);
  if (locked.length > 0) walk.ask({ kind: "unlock", flags: locked, because: "fixed" });
  if (state.holds.length > 0) walk.ask({ kind: "resume" });
}

interface Story {
  readonly plan: Plan;
  readonly before: { readonly a: Setting; readonly b: Setting; readonly c: Setting };
  readonly stage: number | undefined;
  readonly mode: "observe" | undefined;
  readonly acts: readonly Act[];
}

const story: fc.Arbitrary<Story> = fc.record({
  plan: fc.constantFrom(...PLANS),
  before: fc.record({ a: BEFORE, b: BEFORE, c: BEFORE }),
  stage: fc.oneof(
    { weight: 4, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.nat({ max: 2 }) },
  ),
  mode: fc.constantFrom(undefined, undefined, "observe" as const),
  acts: fc.array(ACT, { minLength: 25, maxLength: 60, size: "max" }),
});

function play({ plan, before, stage: only, mode, acts }: Story): Walk {
  const walk = new Walk(plan, before).start({
    ...(only === undefined ? {} : { stage: only }),
    ...(mode === undefined ? {} : { mode }),
  });
  for (const act of acts) perform(walk, act);
  return walk;
}

const RUNS = 500;

describe("any sequence of worlds, times and people", () => {
  it("keeps every promise at every event, and its journal alone gives the same state", () => {
    fc.assert(
      fc.property(story, (one) => {
        const walk = play(one);
        expect(replay(walk.plan, walk.log)).toEqual(walk.state);
        expect(replay(walk.plan, JSON.parse(JSON.stringify(walk.log)))).toEqual(walk.state);
      }),
      { numRuns: RUNS },
    );
  }, 20_000);

  it("a quiet tick returns the very same empty list", () => {
    fc.assert(
      fc.property(story, (one) => {
        const walk = play(one);
        const first = onTick(walk.plan, walk.state, walk.world(), walk.now());
        expect(first).toHaveLength(0);
        expect(onTick(walk.plan, walk.state, walk.world(), walk.now())).toBe(first);
      }),
      { numRuns: RUNS / 5 },
    );
  }, 20_000);

  it("once all is calm, rollback all ends with every flag back that nobody took over", () => {
    fc.assert(
      fc.property(story, (one) => {
        const walk = play(one);
        calm(walk);
        if (!isOpenRun(walk.state) || flagsOn(walk.plan, walk.state).length === 0) return;
        walk.ask({ kind: "rollback", to: -1 });
        walk.pass(10 * MINUTE, 5 * SECOND);
        // What people turned on meanwhile keeps the run alive.
        const isLeft = peopleOn(walk.plan, walk.state).length > 0;
        expect(walk.state.phase).toBe(isLeft ? "walking" : "rolled_back");
        if (isLeft) expect(hasHold(walk.state, "drift")).toBe(true);
        for (const name of Object.keys(walk.state.flips)) {
          if (walk.state.overridden[name] !== undefined) continue;
          const safe = settingUpTo(walk.plan, walk.state, name, walk.plan.stages.length);
          const flip = walk.state.flips[name];
          expect(flip?.direction).toBe("backward");
          if (!sameSetting(walk.setting(name), flip?.flip.to ?? safe))
            throw new Error(`${name} is ${formatSetting(walk.setting(name))}`);
        }
      }),
      { numRuns: RUNS },
    );
  }, 20_000);
});
