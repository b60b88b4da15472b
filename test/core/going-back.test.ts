/** What people read while OFFs are owed: what is still on and why, who took it back and how far, and what holds it off meanwhile. */
import { describe, expect, it } from "vitest";
import type { Plan } from "../../src/core/plan.ts";
import { alertOf } from "../../src/core/report/alert.ts";
import { cardOf } from "../../src/core/report/card.ts";
import { eventInWords } from "../../src/core/report/words.ts";
import { OFF, ON } from "../../src/core/setting.ts";
import { SECOND } from "../../src/core/time.ts";
import { announce } from "../../src/engine/announce.ts";
import { planOf } from "../support/plans.ts";
import { replay } from "./promises.ts";
import { allOn, Walk } from "./walk.ts";

const BASE = planOf();
const PLACE = { kind: "file", path: "/etc/svc/flags.json" };
const LEVER: Partial<Plan> = {
  outside: { ...BASE.outside, provider: PLACE, lever: { kind: "file", path: "/etc/kill-switch.json" } },
};

const PLACED: Partial<Plan> = { outside: { ...BASE.outside, provider: PLACE } };

function told(walk: Walk) {
  return {
    plan: walk.plan,
    state: walk.state,
    world: walk.world(),
    figures: {},
    events: walk.log,
    now: walk.now(),
  };
}

function message(walk: Walk): Readonly<Record<string, string>> {
  const alert = alertOf(told(walk), "rollback", walk.state.rollback?.seq ?? 0);
  const lines = (alert?.lines ?? []).map(({ label, parts }) => [
    label,
    parts.map((part) => (typeof part === "string" ? part : "<time>")).join(""),
  ]);
  return { title: alert?.title ?? "", ...Object.fromEntries(lines) };
}

describe("an OFF that is refused or hangs", () => {
  it("is said to be still on, with the reason and the step to do by hand, on the card and in the message", () => {
    const walk = allOn(PLACED);
    walk.deaf.add("c");
    walk.more = { backwardRefused: "401: the token is not valid any more" };
    walk.ask({ kind: "rollback", to: "newest" });
    walk.pass(2 * SECOND);
    const why = "the OFF is refused: 401: the token is not valid any more";
    const card = cardOf(told(walk));
    expect(card.rows[2]?.detail).toBe(`going back, still ON: ${why}`);
    const now = `c still ON (${why}). By hand, in /etc/svc/flags.json: set FEATURE_C to OFF. Belay keeps trying`;
    expect(card.says).toBe(`taking back c: ${now}`);
    expect(message(walk)["Now"]).toBe(now);
    const paged = walk.log.findLast(({ event }) => event.kind === "paged");
    if (paged === undefined) throw new Error("not paged");
    const keys = announce(walk.plan, walk.state, walk.state, [paged], "C1").map((draft) => draft.key);
    expect(keys).toContain(`alert:r-1:rollback:${walk.state.rollback?.seq}`);
    walk.deaf.clear();
    walk.more = {};
    walk.until("rollback_off");
    expect(cardOf(told(walk)).rows[2]?.detail).toBe("rolled back");
  });
});

describe("a rollback that a person takes further", () => {
  it("has one message, whose title and who cover both, and no bound for what people took", () => {
    const walk = allOn(PLACED);
    walk.shop.takes = false;
    walk.says.set("failures", 0.5);
    walk.until("rollback_started");
    expect(message(walk)["title"]).toBe("ROLLING BACK demo: c");
    walk.pass(10 * SECOND);
    walk.ask({ kind: "rollback", to: -1 });
    expect(message(walk)["title"]).toBe("ROLLING BACK demo: c, b, a");
    expect(message(walk)["Who"]).toBe("Belay (guard failures), then @ana: b, a too");
    walk.shop.takes = true;
    walk.says.set("failures", 0);
    walk.until("rollback_confirmed");
    expect(message(walk)["title"]).toMatch(/^ROLLED BACK demo: c OFF, b OFF, a OFF · /);
    expect(message(walk)["Next"]).toContain("c, b, a locked");
    expect(message(walk)["Bound"]).toBeUndefined();
  });
});

describe("the second lever", () => {
  function held(): Walk {
    const walk = allOn(LEVER);
    walk.shop.reads = false;
    walk.shop.takes = false;
    walk.more = { backwardFailingSince: walk.steady };
    walk.ask({ kind: "rollback", to: "newest" });
    walk.until("lever_pulled");
    walk.more = { ...walk.more, leverHolds: ["c"] };
    walk.edit("c", OFF);
    return walk;
  }

  it("is named on the card and in the message while the flag system is owed the OFF", () => {
    const walk = held();
    walk.pass(2 * SECOND);
    const clause = "the second lever (/etc/kill-switch.json) holds c off; the flag system still owes the OFF";
    expect(cardOf(told(walk)).says).toContain(clause);
    expect(cardOf(told(walk)).rows[2]?.detail).toBe(
      "held off by the second lever; the flag system owes the OFF",
    );
    expect(message(walk)["Now"]).toContain(clause);
  });

  it("pulled again for what follows says that it was at once", () => {
    const walk = held();
    walk.ask({ kind: "rollback", to: -1 });
    walk.pass(2 * SECOND);
    expect(walk.last("lever_pulled")?.why).toBe("at once, as before (connection refused)");
  });

  it("history and thread say when the flag system has taken the OFF at last, and unlock what the lever holds", () => {
    const walk = held();
    walk.shop.reads = true;
    walk.shop.takes = true;
    walk.more = { leverHolds: ["c"] };
    const verified = walk.until("flip_verified");
    expect(eventInWords(walk.plan, verified.event)).toContain(
      "the flag system has taken the OFF of c at last",
    );
    const at = walk.log.indexOf(verified);
    const after = replay(walk.plan, walk.log.slice(0, at + 1));
    if (after === undefined) throw new Error("no state");
    const keys = announce(walk.plan, after, after, [verified], "C1").map((draft) => draft.key);
    expect(keys).toContain(`note:r-1:flip_verified:${verified.seq}`);
    walk.until("held");
    const outcome = walk.ask({ kind: "unlock", flags: ["c"], because: "mended" });
    expect(outcome).toMatchObject({
      note: "Unlocked c. Nothing was turned on. But the second lever (/etc/kill-switch.json) still holds FEATURE_C off; set it on there first.",
    });
  });
});

describe("a rollback by hand", () => {
  it("names the person where the flag system knows, and promises nothing of their time", () => {
    const walk = new Walk(planOf()).start({ mode: "observe" });
    walk.edit("a", ON);
    walk.until("stage_enabled");
    walk.says.set("failures", 0.5);
    walk.until("would_roll_back");
    walk.more = { changedBy: { a: "carla" } };
    walk.edit("a", OFF);
    walk.until("rollback_confirmed");
    expect(message(walk)["Who"]).toBe("carla, by hand, after Belay had said that it would");
    expect(message(walk)["Bound"]).toBeUndefined();
    const started = walk.log.find(({ event }) => event.kind === "rollback_started");
    if (started === undefined) throw new Error("no rollback");
    expect(eventInWords(walk.plan, started.event)).toMatch(/^carla took back by hand a OFF/);
  });
});
