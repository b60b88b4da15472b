/** Quantities with their units, settings with their literals in a flag store, and a rollout that raises a value. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tellingOf } from "../../src/core/event.ts";
import { decideStart } from "../../src/core/gate.ts";
import type { Plan, Stage } from "../../src/core/plan.ts";
import { formatCount, formatQuantity, parseQuantity, type Unit } from "../../src/core/quantity.ts";
import { cardOf } from "../../src/core/report/card.ts";
import { cardLines } from "../../src/core/report/lines.ts";
import { rollbackAlert } from "../../src/core/report/rollback-alert.ts";
import type { Told } from "../../src/core/report/told.ts";
import type { Reading } from "../../src/core/rollout/desired.ts";
import {
  formatSetting,
  fromWire,
  OFF,
  ON,
  percentSetting,
  type Setting,
  sameSetting,
  toWire,
  typedSetting,
  type Wire,
} from "../../src/core/setting.ts";
import { MINUTE } from "../../src/core/time.ts";
import { ANA, flag, flags, planOf, set, stage, step } from "../support/plans.ts";
import { Walk } from "./walk.ts";

describe("parseQuantity", () => {
  it.each<[string | number, number, Unit]>([
    ["2%", 0.02, "percent"],
    ["0.1 %", 0.001, "percent"],
    ["250ms", 0.25, "seconds"],
    ["1.5s", 1.5, "seconds"],
    ["2m", 120, "seconds"],
    ["1h", 3600, "seconds"],
    ["512B", 512, "bytes"],
    ["1KB", 1000, "bytes"],
    ["2MB", 2e6, "bytes"],
    ["3GB", 3e9, "bytes"],
    ["1KiB", 1024, "bytes"],
    ["1MiB", 1_048_576, "bytes"],
    ["1GiB", 1_073_741_824, "bytes"],
    ["20", 20, "none"],
    ["-5", -5, "none"],
    [0.5, 0.5, "none"],
    [-0, -0, "none"],
    ["  20  ", 20, "none"],
  ])("%j is %d %s", (text, value, unit) => {
    const found = parseQuantity(text);
    expect(found?.unit).toBe(unit);
    expect(found?.value).toBeCloseTo(value, 12);
  });

  it.each([
    "",
    "%",
    "ms",
    "2 parsecs",
    "1e3",
    "0x10",
    ".5",
    "5.",
    "--5",
    "+5",
    "1,000",
    "2%%",
    "NaN",
    "Infinity",
    "1gib",
    "1Gib",
    "1234567890123456",
    "0.1234567890",
    "２%",
    "constructor",
    Number.NaN,
    Number.POSITIVE_INFINITY,
  ])("%j is no quantity", (text) => {
    expect(parseQuantity(text)).toBeUndefined();
  });
});

describe("formatQuantity", () => {
  it.each<[number, Unit, string]>([
    [0.02, "percent", "2 %"],
    [0.0235, "percent", "2.35 %"],
    [0.5, "percent", "50 %"],
    [1.5, "percent", "150 %"],
    [0.00001, "percent", "0.001 %"],
    [0, "percent", "0 %"],
    [0.188, "seconds", "188 ms"],
    [0.0021, "seconds", "2.1 ms"],
    [1, "seconds", "1 s"],
    [12.345, "seconds", "12.3 s"],
    [512, "bytes", "512 B"],
    [1_536, "bytes", "1.5 KiB"],
    [536_870_912, "bytes", "512 MiB"],
    [1_073_741_824, "bytes", "1 GiB"],
    [-2_097_152, "bytes", "-2 MiB"],
    [0.35, "none", "0.35"],
    [-0.5, "none", "-0.5"],
    [123_456, "none", "123456"],
    [Number.NaN, "none", "NaN"],
    [Number.POSITIVE_INFINITY, "seconds", "Infinity s"],
  ])("%d as %s reads %s", (value, unit, text) => {
    expect(formatQuantity(value, unit)).toBe(text);
  });
});

describe("settings", () => {
  it.each<[number, string]>([
    [-5, "OFF"],
    [0, "OFF"],
    [0.5, "0.5 %"],
    [25, "25 %"],
    [99.99, "99.99 %"],
    [100, "ON"],
    [150, "ON"],
  ])("%d percent is %s", (percent, text) => {
    expect(formatSetting(percentSetting(percent))).toBe(text);
  });

  it("of different kinds or values differ", () => {
    const all: readonly Setting[] = [
      ON,
      OFF,
      percentSetting(5),
      percentSetting(25),
      { kind: "value", value: "5" },
      { kind: "value", value: "on" },
    ];
    for (const [i, a] of all.entries())
      for (const [j, b] of all.entries()) expect(sameSetting(a, b)).toBe(i === j);
  });

  const literals = { on: "enabled", off: "disabled" };

  it.each<[Setting, Wire]>([
    [ON, { value: "enabled" }],
    [OFF, { value: "disabled" }],
    [percentSetting(25), { value: "enabled", percent: 25 }],
    [{ kind: "value", value: "1000" }, { value: "1000" }],
  ])("%j is stored as %j and read back the same", (setting, wire) => {
    expect(toWire(literals, setting)).toEqual(wire);
    expect(fromWire(literals, wire)).toEqual(setting);
  });

  it.each<[Wire, Setting]>([
    [{ value: "enabled", percent: 0 }, OFF],
    [{ value: "enabled", percent: 100 }, ON],
    [{ value: "disabled", percent: 50 }, OFF],
    [
      { value: "1000", percent: 50 },
      { kind: "value", value: "1000" },
    ],
    [{ value: "true" }, { kind: "value", value: "true" }],
    [{ value: "" }, { kind: "value", value: "" }],
  ])("%j in a store means %j", (wire, setting) => {
    expect(fromWire(literals, wire)).toEqual(setting);
  });

  it("every setting survives the store, whatever the two literals", () => {
    const setting: fc.Arbitrary<Setting> = fc.oneof(
      fc.constantFrom(ON, OFF),
      fc.integer({ min: 1, max: 99 }).map(percentSetting),
      fc.string().map((value): Setting => ({ kind: "value", value })),
    );
    fc.assert(
      fc.property(setting, fc.string(), fc.string(), (one, on, off) => {
        fc.pre(on !== off && !(one.kind === "value" && (one.value === on || one.value === off)));
        expect(fromWire({ on, off }, toWire({ on, off }, one))).toEqual(one);
      }),
    );
  });
});

describe("numbers for people", () => {
  const limit = { on: "500000", off: "10" };

  it.each<[Setting, { on: string; off: string } | undefined, string, string]>([
    [{ kind: "value", value: "1000" }, undefined, "1,000", "1000"],
    [{ kind: "value", value: "999" }, undefined, "999", "999"],
    [{ kind: "value", value: "1234567.5" }, undefined, "1,234,567.5", "1234567.5"],
    [{ kind: "value", value: "-20000" }, undefined, "-20,000", "-20000"],
    [{ kind: "value", value: "v1000" }, undefined, "v1000", "v1000"],
    [ON, limit, "500,000", "500000"],
    [OFF, limit, "10", "10"],
    [ON, { on: "true", off: "false" }, "ON", "ON"],
    [OFF, { on: "1", off: "off" }, "OFF", "OFF"],
    [OFF, undefined, "OFF", "OFF"],
    [percentSetting(25), limit, "25 %", "25 %"],
  ])("%j of %j is shown as %s and typed as %s", (setting, literals, words, typed) => {
    expect(formatSetting(setting, literals)).toBe(words);
    expect(typedSetting(setting, literals)).toBe(typed);
  });

  it.each([
    [0, "0"],
    [999.6, "1,000"],
    [41_200, "41,200"],
    [1_234_567, "1,234,567"],
  ])("%d is %s", (value, text) => {
    expect(formatCount(value)).toBe(text);
  });
});

const LIMIT = "batch-limit";

function value(text: string): Setting {
  return { kind: "value", value: text };
}

/** 10 as the baseline, then 100, 1,000 and 500,000, a stage each; it counts records. */
function limits(extra: Partial<Plan> = {}): Plan {
  const raise = (name: string, atMs: number, setting: Setting): Stage =>
    stage(name, atMs, { substages: [step(10 * MINUTE, set(LIMIT, setting))] });
  return planOf({
    flags: flags(flag(LIMIT, { key: "LIMIT", on: "500000", off: "10" })),
    stages: [
      stage("limit-10", 0, { baseline: true, substages: [step(10 * MINUTE, set(LIMIT, OFF))] }),
      raise("limit-100", 10 * MINUTE, value("100")),
      raise("limit-1000", 20 * MINUTE, value("1000")),
      raise("limit-500000", 30 * MINUTE, ON),
    ],
    progress: { query: "records", unit: "records", of: 500_000 },
    ...extra,
  });
}

/** Walks until this stage is on. */
function at(stageIndex: number, plan: Plan = limits()): Walk {
  const walk = new Walk(plan);
  walk.progress = 40;
  walk.start();
  while (walk.until("stage_enabled").event.kind === "stage_enabled") {
    if (walk.state.stages[stageIndex]?.status === "soaking") break;
    walk.progress = 1_000;
  }
  return walk;
}

function told(walk: Walk): Told {
  const { plan, state } = walk;
  return { plan, state, world: walk.world(), figures: {}, now: walk.now(), events: walk.log };
}

/** The message of the newest rollback, as texts. */
function rollbackMessage(walk: Walk): { readonly title: string; readonly lines: readonly string[] } {
  const started = walk.log.findLast(({ event }) => event.kind === "rollback_started");
  const alert = started === undefined ? undefined : rollbackAlert(told(walk), tellingOf(started));
  if (alert === undefined) throw new Error("no rollback");
  return {
    title: alert.title,
    lines: alert.lines.map(
      ({ label, parts }) =>
        `${label}: ${parts.map((part) => (typeof part === "string" ? part : "TIME")).join("")}`,
    ),
  };
}

describe("a rollout of values", () => {
  it("raises the value stage by stage and writes that of the stage before when it goes back", () => {
    const walk = at(2);
    expect(walk.setting(LIMIT)).toEqual(value("1000"));
    walk.says.set("failures", 0.5);
    walk.until("rollback_off");
    expect(walk.setting(LIMIT)).toEqual(value("100"));
    expect(walk.state.stages.map(({ status }) => status)).toEqual(["passed", "passed", "undone", "pending"]);
    expect(walk.log.filter(({ event }) => event.kind === "rollback_started")).toHaveLength(1);
  });

  it("that does not arrive is to be typed by hand as the service reads it", () => {
    const walk = at(3);
    walk.shop.takes = false;
    walk.says.set("failures", 0.5);
    walk.until("rollback_started");
    const pages = (): readonly string[] =>
      walk.log.flatMap(({ event }) => (event.kind === "paged" ? [event.summary] : []));
    walk.pass(2 * MINUTE);
    expect(pages().join("\n")).toContain("set LIMIT to 1000.");
  });

  it("goes back to the safe value when everything goes back", () => {
    const walk = at(2);
    walk.ask({ kind: "rollback", to: -1 });
    walk.until("rollback_off");
    expect(walk.setting(LIMIT)).toEqual(OFF);
    expect(rollbackMessage(walk).title).toMatch(/^ROLLED BACK demo: batch-limit 10 · /);
  });

  it("goes on from the value that is on, unlocked and enabled again", () => {
    const walk = at(2);
    walk.says.set("failures", 0.5);
    walk.until("rollback_off");
    walk.says.set("failures", 0.001);
    walk.until("recovered");
    walk.pass(MINUTE);
    expect(walk.setting(LIMIT)).toEqual(value("100"));
    const written = walk.log.length;
    walk.ask({ kind: "unlock", flags: [LIMIT], because: "mended" });
    walk.ask({ kind: "set_end", end: 3 });
    walk.until("completed");
    const raised = walk.log
      .slice(written)
      .flatMap(({ event }) => (event.kind === "stage_started" ? event.flips : []))
      .map(({ to }) => to);
    expect(raised).toEqual([value("1000"), ON]);
  });

  it("says what of the stage remains, from what was journaled", () => {
    const walk = at(2);
    walk.progress = 9_942;
    walk.says.set("failures", 0.5);
    walk.until("rollback_off");
    expect(rollbackMessage(walk).lines).toContain(
      "Remains: batch-limit back to 100; 8,942 records of this stage remain; going back removed none of them.",
    );
    walk.says.set("failures", 0.001);
    walk.progress = 10_001;
    walk.until("recovered");
    // Only what stands in the journal counts: not what is measured later, nor whether anything is.
    walk.progress = undefined;
    const { title, lines } = rollbackMessage(walk);
    expect(title).toMatch(/^ROLLED BACK demo: batch-limit 100 · /);
    expect(lines).toContain(
      "Remains: batch-limit back to 100; 9,001 records of this stage remain; going back removed none of them.",
    );
    expect(lines.find((line) => line.startsWith("When"))).toContain(" → back TIME");
  });

  it("says so for several stages at once, and for none", () => {
    const all = at(2);
    all.progress = 1_240;
    all.ask({ kind: "rollback", to: 0 });
    all.until("rollback_off");
    expect(rollbackMessage(all).lines.join()).toMatch(/; \d[\d,]* records of these stages remain;/);
    const none = at(2);
    none.says.set("failures", 0.5);
    none.until("rollback_off");
    expect(rollbackMessage(none).lines.join()).toContain("; no records of this stage remain.");
  });

  const { progress: _counted, ...uncounted } = limits();
  it.each<[string, Plan, number | undefined]>([
    ["when nothing was measured", limits(), undefined],
    ["when the plan counts nothing", uncounted, 500],
  ])("says nothing of it %s", (_name, plan, progress) => {
    const walk = new Walk(plan);
    walk.progress = progress;
    walk.start();
    walk.until("stage_enabled");
    walk.until("stage_enabled");
    walk.says.set("failures", 0.5);
    walk.until("rollback_off");
    expect(rollbackMessage(walk).lines.some((line) => line.startsWith("Remains"))).toBe(false);
    expect(cardOf(told(walk)).work).toBeUndefined();
  });

  it("shows values and how far the work is on the card, and where it went back to", () => {
    const walk = at(2);
    walk.progress = 41_200;
    const card = cardOf(told(walk));
    expect(card.work).toBe("41,200 of 500,000 records (8 %)");
    expect(card.rows.map(({ what }) => what)).toEqual([
      "batch-limit 10",
      "batch-limit 100",
      "batch-limit 1,000",
      "batch-limit 500,000",
    ]);
    expect(cardLines(card, "UTC")).toContain("41,200 of 500,000 records (8 %)");
    walk.says.set("failures", 0.5);
    walk.until("rollback_confirmed");
    expect(cardOf(told(walk))).toMatchObject({
      status: "BACK, LOOKING",
      says: "batch-limit back at 100; looking whether production recovers",
    });
  });

  it("is never judged: a progress that falls or is gone changes nothing", () => {
    const walk = at(2);
    walk.progress = 3;
    walk.pass(MINUTE);
    walk.progress = undefined;
    walk.until("completed");
    expect(walk.log.some(({ event }) => event.kind === "held" || event.kind === "rollback_started")).toBe(
      false,
    );
  });

  it.each([
    ["10", 3, 0, /^limit-500000 comes after batch-limit 1,000, and it is 10 now\. First: limit-10, /],
    ["1000", 3, 3, /^limit-500000 starts alone, now\.$/],
    ["10", 1, 1, /^limit-100 starts alone, now\.$/],
  ])("at %s, enabling stage %d without a live rollout begins at %d", (now, wanted, first, note) => {
    const plan = limits();
    const setting = now === "10" ? OFF : value(now);
    const reading: Reading = { setting, version: "1", effective: true, at: 0 };
    const ask = { run: "r-1", planHash: "h", by: ANA, delayMs: 0, stage: wanted };
    const start = decideStart(plan, ask, { [LIMIT]: reading }, [], { steady: 0, wall: 0 });
    if (start.kind !== "started") throw new Error(start.message);
    expect([start.event.first, start.event.end]).toEqual([first, wanted]);
    expect(start.note).toMatch(note);
  });
});
