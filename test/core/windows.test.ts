/** Hours of one stage: past midnight, together with those of the rollout, waited for by the next value only, shown in their zone; and mistakes in them. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cardOf } from "../../src/core/report/card.ts";
import { planLines } from "../../src/core/report/lines.ts";
import { nextForward } from "../../src/core/rollout/forward.ts";
import { OFF } from "../../src/core/setting.ts";
import {
  allOpenAt,
  DAY,
  type ForwardWindow,
  formatDay,
  HOUR,
  isOpen,
  MINUTE,
  opensAt,
  parseForwardWindow,
  SECOND,
} from "../../src/core/time.ts";
import { planOf, set, stage, step } from "../support/plans.ts";
import { Walk } from "./walk.ts";

function hours(text: string, zone = "UTC"): ForwardWindow {
  const window = parseForwardWindow(text, zone);
  if (window === undefined) throw new Error(`bad window ${text}`);
  return window;
}

/** In 2026 the 9th of January is a Friday. */
const at = (text: string): number => Date.parse(text);

describe("hours past midnight", () => {
  it.each([
    ["Sat 22:00-02:00", "UTC", "2026-01-10T21:59:59.999Z", false, "2026-01-10T22:00:00.000Z"],
    ["Sat 22:00-02:00", "UTC", "2026-01-10T22:00:00.000Z", true, "2026-01-10T22:00:00.000Z"],
    ["Sat 22:00-02:00", "UTC", "2026-01-11T00:00:00.000Z", true, "2026-01-11T00:00:00.000Z"],
    ["Sat 22:00-02:00", "UTC", "2026-01-11T01:59:59.999Z", true, "2026-01-11T01:59:59.999Z"],
    ["Sat 22:00-02:00", "UTC", "2026-01-11T02:00:00.000Z", false, "2026-01-17T22:00:00.000Z"],
    // The night before a day that is named is not its night.
    ["Sat 22:00-02:00", "UTC", "2026-01-10T01:00:00.000Z", false, "2026-01-10T22:00:00.000Z"],
    ["Sun 22:00-02:00", "UTC", "2026-01-12T01:00:00.000Z", true, "2026-01-12T01:00:00.000Z"],
    ["Sat,Sun 22:00-05:00", "UTC", "2026-01-11T06:00:00.000Z", false, "2026-01-11T22:00:00.000Z"],
    ["Mon-Sun 23:00-01:00", "UTC", "2026-01-07T00:30:00.000Z", true, "2026-01-07T00:30:00.000Z"],
    ["Sat 22:00-00:00", "UTC", "2026-01-11T00:00:00.000Z", false, "2026-01-17T22:00:00.000Z"],
    ["Sat 22:00-02:00", "Europe/Helsinki", "2026-01-10T20:30:00.000Z", true, "2026-01-10T20:30:00.000Z"],
    ["Sat 22:00-02:00", "Europe/Helsinki", "2026-01-11T00:00:00.000Z", false, "2026-01-17T20:00:00.000Z"],
    // The night in which Berlin's clocks go from 02:00 to 03:00, and the one in which they show 02:00 to 03:00 twice.
    ["Sat 22:00-02:30", "Europe/Berlin", "2026-03-29T00:59:59.000Z", true, "2026-03-29T00:59:59.000Z"],
    ["Sat 22:00-02:30", "Europe/Berlin", "2026-03-29T01:00:00.000Z", false, "2026-04-04T20:00:00.000Z"],
    ["Sat 22:00-02:30", "Europe/Berlin", "2026-10-25T01:15:00.000Z", true, "2026-10-25T01:15:00.000Z"],
  ])("%s %s at %s: %s, opens %s", (text, zone, wall, open, opens) => {
    const window = hours(text, zone);
    expect(isOpen(window, at(wall))).toBe(open);
    expect(new Date(opensAt(window, at(wall))).toISOString()).toBe(opens);
  });

  it.each(["Sat 22:00-22:00", "Sat 24:00-02:00", "Sat 22:00-24:30", "22:00-02:00"])(
    "%j is not understood",
    (text) => {
      expect(parseForwardWindow(text, "UTC")).toBeUndefined();
    },
  );

  it("open at the first instant and no earlier one, in any zone and season", () => {
    const zones = fc.constantFrom("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe");
    const texts = fc.constantFrom("Sat 22:00-02:00", "Sun 23:30-00:15", "Fri,Sun 20:00-02:30");
    const walls = fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2026, 11, 31) });
    fc.assert(
      fc.property(zones, texts, walls, (zone, text, wall) => {
        const window = hours(text, zone);
        const opens = opensAt(window, wall);
        expect(isOpen(window, opens)).toBe(true);
        if (opens > wall) expect(isOpen(window, opens - 1)).toBe(false);
        for (let one = wall; one < opens; one += 7 * MINUTE) expect(isOpen(window, one)).toBe(false);
      }),
      { numRuns: 60 },
    );
  });
});

describe("hours of a rollout and of a stage together", () => {
  it.each([
    [["Sat 22:00-02:00", "Sun 00:00-06:00"], "2026-01-10T12:00:00Z", "2026-01-11T00:00:00.000Z"],
    [["Mon-Fri 09:00-16:00", "Wed 15:00-20:00"], "2026-01-05T10:00:00Z", "2026-01-07T15:00:00.000Z"],
    [["Mon-Fri 09:00-16:00"], "2026-01-05T10:00:00Z", "2026-01-05T10:00:00.000Z"],
    [[], "2026-01-05T10:00:00Z", "2026-01-05T10:00:00.000Z"],
    [["Mon-Fri 09:00-16:00", "Sat 09:00-16:00"], "2026-01-05T10:00:00Z", undefined],
    [["Mon 09:00-12:00", "Mon 12:00-16:00"], "2026-01-05T10:00:00Z", undefined],
  ])("%j at %s: open at %s", (texts, wall, opens) => {
    const found = allOpenAt(
      texts.map((text) => hours(text)),
      at(wall),
    );
    expect(found === undefined ? undefined : new Date(found).toISOString()).toBe(opens);
  });

  it("are told with their day", () => {
    expect(formatDay(at("2026-11-28T20:00:00Z"), "Europe/Helsinki")).toBe("Sat 28 Nov 22:00");
  });
});

/** On the walk's Monday 09:00 UTC: `a` at once, `b` and `c` only on Monday afternoons in Helsinki, from 11:00 to 13:30 UTC. */
function afternoons(): Walk {
  const window = hours("Mon 13:00-15:30", "Europe/Helsinki");
  return new Walk(
    planOf({
      stages: [
        stage("a", 0),
        stage("b", HOUR, { window }, 20 * MINUTE),
        stage("c", HOUR + 30 * MINUTE, {
          window,
          substages: [
            step(3 * HOUR, set("c", { kind: "percent", percent: 50 })),
            step(20 * MINUTE, set("c")),
          ],
        }),
      ],
    }),
  ).start();
}

function waits(walk: Walk): string {
  const next = nextForward(walk.plan, walk.state, walk.world(), walk.now());
  if (next.kind !== "wait") return next.kind;
  const until = next.until === undefined ? "" : new Date(walk.wall + next.until - walk.steady).toISOString();
  return `${next.code} ${until}: ${next.detail}`;
}

describe("a stage with a window", () => {
  it("waits for it, says when it opens in its zone, and begins then", () => {
    const walk = afternoons();
    walk.pass(90 * MINUTE, 10 * SECOND);
    const says = "b waits for its window: only Mon 13:00-15:30 Europe/Helsinki, next Mon 5 Jan 13:00";
    expect(waits(walk)).toBe(`window 2026-01-05T11:00:00.000Z: ${says}`);
    const { plan, state } = walk;
    const card = cardOf({ plan, state, world: walk.world(), figures: {}, now: walk.now() });
    expect(card).toMatchObject({ status: "WAITS", says, nextWall: at("2026-01-05T11:00:00Z") });
    expect(card.rows[1]).toMatchObject({
      mark: "next",
      wall: at("2026-01-05T11:00:00Z"),
      detail: "only Mon 13:00-15:30 Europe/Helsinki",
    });
    expect(planLines(plan)[2]).toBe("Hour 1   b: b ON, soak 20 min, only Mon 13:00-15:30 Europe/Helsinki");
    walk.until("stage_started", DAY, 10 * SECOND);
    expect(new Date(walk.wall).toISOString()).toMatch(/^2026-01-05T11:00:0/);
  });

  it("is not cut when the window closes: what is on stays on and soaks, only the next step waits for the next window", () => {
    const walk = afternoons();
    walk.until("stage_started", DAY, 10 * SECOND);
    walk.until("stage_started", DAY, 10 * SECOND);
    // `c` begins at 13:20 there and soaks three hours at 50 %: until after the window is closed.
    expect(walk.setting("c")).toEqual({ kind: "percent", percent: 50 });
    const passed = walk.until("soak_passed", DAY, 10 * SECOND);
    expect(new Date(passed.wall).toISOString() > "2026-01-05T13:30:00.000Z").toBe(true);
    walk.pass(HOUR, 10 * SECOND);
    expect(walk.setting("c")).toEqual({ kind: "percent", percent: 50 });
    expect(walk.state.holds).toEqual([]);
    expect(waits(walk)).toMatch(/^window 2026-01-12T11:00:00\.000Z: c waits for its window/);
  });

  it("goes back at any hour", () => {
    const walk = afternoons();
    walk.until("stage_started", DAY, 10 * SECOND);
    walk.until("stage_started", DAY, 10 * SECOND);
    walk.pass(3 * HOUR, 10 * SECOND);
    walk.says.set("failures", 0.5);
    walk.until("rollback_off", MINUTE);
    expect(walk.setting("c")).toEqual(OFF);
  });

  it("is obeyed by an early advance and by enabling the stage alone", () => {
    const walk = afternoons();
    walk.until("soak_passed", HOUR, 10 * SECOND);
    walk.ask({ kind: "advance" });
    walk.pass(HOUR, 10 * SECOND);
    expect(walk.setting("b")).toEqual(OFF);
    const alone = new Walk(afternoons().plan, { a: { kind: "on" } });
    alone.start({ stage: 1 });
    alone.pass(HOUR, 10 * SECOND);
    expect(alone.setting("b")).toEqual(OFF);
    expect(waits(alone)).toMatch(/^window /);
  });

  it("waits for the rollout's own hours, too", () => {
    const plan = planOf({
      forward: hours("Mon-Fri 09:00-16:00"),
      stages: [stage("a", 0, { window: hours("Tue 14:00-20:00") })],
    });
    const walk = new Walk(plan).start();
    walk.pass(MINUTE);
    expect(waits(walk)).toMatch(
      /^window 2026-01-06T14:00:00\.000Z: a waits for its window: only Mon-Fri 09:00-16:00 UTC and Tue 14:00-20:00 UTC, next Tue 6 Jan 14:00$/,
    );
  });
});
