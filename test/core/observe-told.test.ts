/** What a Belay that observes says to people: what to set and where, what it would have taken back, and how each of these ended. */
import { describe, expect, it } from "vitest";
import type { Plan } from "../../src/core/plan.ts";
import { alertOf } from "../../src/core/report/alert.ts";
import { cardOf } from "../../src/core/report/card.ts";
import { listLines } from "../../src/core/report/lines.ts";
import type { Alert, AlertKind } from "../../src/core/report/told.ts";
import { ON } from "../../src/core/setting.ts";
import { MINUTE } from "../../src/core/time.ts";
import { announce } from "../../src/engine/announce.ts";
import { pagesOf, wouldIsOver } from "../../src/engine/pages.ts";
import { planOf } from "../support/plans.ts";
import { replay } from "./promises.ts";
import { Walk } from "./walk.ts";

const PLACE: Partial<Plan> = {
  outside: {
    ...planOf().outside,
    provider: { kind: "file", path: "/etc/svc/flags.json" },
  },
};

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

function alert(walk: Walk, about: AlertKind, seq: number): Alert {
  const found = alertOf(told(walk), about, seq);
  if (found === undefined) throw new Error(`no ${about} alert for ${seq}`);
  return found;
}

function lineOf(one: Alert, label: string): string {
  const found = one.lines.find((line) => line.label === label);
  return (found?.parts ?? []).map((part) => (typeof part === "string" ? part : "<time>")).join("");
}

function asking(): Walk {
  return new Walk(planOf(PLACE)).start({ mode: "observe" });
}

/** The number of the first step that people were asked to make. */
function askSeq(walk: Walk): number {
  return walk.log.find((one) => one.event.kind === "stage_started")?.seq ?? 0;
}

function would(): { readonly walk: Walk; readonly seq: number } {
  const walk = asking();
  walk.edit("a", ON);
  walk.until("stage_enabled");
  walk.says.set("failures", 0.5);
  return { walk, seq: walk.until("would_roll_back").seq };
}

/** Keys of the messages about the newest `count` events, as the engine announces them one by one. */
function announced(walk: Walk, from: number): readonly string[] {
  return walk.log.slice(from).flatMap((one, index) => {
    const before = replay(walk.plan, walk.log.slice(0, from + index));
    const after = replay(walk.plan, walk.log.slice(0, from + index + 1));
    return after === undefined
      ? []
      : announce(walk.plan, before, after, [one], "C1").map((draft) => draft.key);
  });
}

describe("please set", () => {
  it("says key, value, literal and place, why, and that it waits", () => {
    const walk = asking();
    const one = alert(walk, "ask", askSeq(walk));
    expect(one.title).toBe("PLEASE SET FEATURE_A ON: demo, stage a");
    expect(lineOf(one, "Set")).toBe('FEATURE_A to ON ("true"), in /etc/svc/flags.json');
    expect(lineOf(one, "Why")).toContain("Belay observes and flips nothing by itself");
    expect(lineOf(one, "Then")).toMatch(/soaks 10 min under its guards\. It waits as long as you take\.$/);
    expect(one.offers.map((offer) => offer.label)).toEqual(["Hold", "Let Belay flip..."]);
    expect(one.summary).toBe(
      'Please set FEATURE_A to ON ("true") in /etc/svc/flags.json: demo waits for it at a.',
    );
  });

  it("is posted once under its key, and edited when it is set", () => {
    const walk = asking();
    expect(announced(walk, 0)).toContain(`alert:r-1:ask:${askSeq(walk)}`);
    const from = walk.log.length;
    walk.edit("a", ON);
    walk.until("stage_enabled");
    expect(announced(walk, from)).toContain(`alert:r-1:ask:${askSeq(walk)}`);
    const one = alert(walk, "ask", askSeq(walk));
    expect(one.title).toBe("demo, stage a: set");
    expect(lineOf(one, "Done")).toBe("set by people, seen <time>; it soaks");
    expect(one.offers).toEqual([]);
  });

  it("is not posted for what is set already", () => {
    const walk = new Walk(planOf(), { a: ON }).start({ mode: "observe" });
    walk.until("stage_enabled");
    expect(announced(walk, 0).filter((key) => key.includes(":ask:"))).toEqual([]);
  });

  it("is taken back by a breach: do not set it now", () => {
    const walk = asking();
    const from = walk.log.length;
    walk.says.set("failures", 0.5);
    walk.until("held");
    expect(announced(walk, from)).toContain(`alert:r-1:ask:${askSeq(walk)}`);
    const one = alert(walk, "ask", askSeq(walk));
    expect(one.title).toBe("demo, stage a: not asked for any more");
    expect(lineOf(one, "Done")).toContain("do not set it now: failures");
  });

  it("while it is held: not now", () => {
    const walk = asking();
    walk.ask({ kind: "hold", because: "lunch" });
    expect(lineOf(alert(walk, "ask", askSeq(walk)), "Not now")).toContain("lunch");
  });

  it("tells what was handed over in the middle of a step", () => {
    const walk = new Walk(planOf(PLACE));
    walk.shop.takes = false;
    walk.start();
    walk.ask({ kind: "mode", mode: "observe", because: "careful" });
    const seq = walk.log.findLast((one) => one.event.kind === "mode_set")?.seq ?? 0;
    expect(announced(walk, seq - 1)).toContain(`alert:r-1:ask:${seq}`);
    expect(alert(walk, "ask", seq).title).toBe("PLEASE SET FEATURE_A ON: demo, stage a");
  });

  it("of a released rollout does not offer to let Belay flip", () => {
    const walk = asking();
    walk.ask({ kind: "release" });
    expect(alert(walk, "ask", askSeq(walk)).offers.map((offer) => offer.label)).toEqual(["Hold"]);
  });
});

describe("WOULD have rolled back", () => {
  it("says what, why, when, who, what to set by hand, and both answers", () => {
    const { walk, seq } = would();
    const one = alert(walk, "would", seq);
    expect(one.title).toBe("WOULD have rolled back demo: a OFF");
    expect(lineOf(one, "Why")).toContain("guard failures");
    expect(lineOf(one, "When")).toBe("WOULD have rolled back <time>");
    expect(lineOf(one, "Who")).toBe("Belay (guard failures); it observes, and nothing was written");
    expect(lineOf(one, "Set")).toBe('FEATURE_A to OFF ("false"), in /etc/svc/flags.json');
    expect(one.offers.map(({ label, command }) => [label, command])).toEqual([
      ["Do it", "rollout rollback a run=r-1"],
      ["False alarm", 'rollout resume run=r-1 because "false alarm"'],
    ]);
  });

  it("pages P1, as the rollback would have, once", () => {
    const { walk, seq } = would();
    const events = walk.log.filter((one) => one.seq >= seq);
    const pages = pagesOf(walk.plan, walk.state, events, "C1");
    expect(pages.map(({ body }) => body)).toMatchObject([
      { kind: "page", page: { key: `r-1.would.${seq}`, severity: "P1", tells: { about: "would", seq } } },
    ]);
  });

  it.each([
    [
      "done",
      (walk: Walk) => {
        walk.ask({ kind: "rollback", to: -1 });
        walk.says.set("failures", 0);
        walk.until("recovered");
      },
      /^done: taken back by @ana <time>; production recovered <time>$/,
      "production has recovered after the rollback",
    ],
    [
      "by hand",
      (walk: Walk) => {
        walk.edit("a", { kind: "off" });
        walk.until("rollback_confirmed");
      },
      /^taken back by hand, seen <time>; looking whether production recovers$/,
      undefined,
    ],
    [
      "false alarm",
      (walk: Walk) => walk.ask({ kind: "resume", because: "false alarm" }),
      /^false alarm, says @ana <time>$/,
      "called a false alarm",
    ],
    [
      "stopped",
      (walk: Walk) => walk.ask({ kind: "stop", confirmed: true }),
      /^the rollout has ended$/,
      undefined,
    ],
  ] as const)("tells how it ended: %s", (_, act, words, over) => {
    const { walk, seq } = would();
    const from = walk.log.length;
    act(walk);
    const one = alert(walk, "would", seq);
    expect(lineOf(one, "Done")).toMatch(words);
    expect(one.offers).toEqual([]);
    expect(announced(walk, from)).toContain(`alert:r-1:would:${seq}`);
    expect(wouldIsOver(walk.state, seq)).toBe(over);
  });

  it("taken back by hand: the rollback's message says who did it, and nobody is paged for it", () => {
    const { walk } = would();
    walk.edit("a", { kind: "off" });
    walk.until("rollback_confirmed");
    const started = walk.log.find((one) => one.event.kind === "rollback_started");
    if (started === undefined) throw new Error("no rollback");
    expect(lineOf(alert(walk, "rollback", started.seq), "Who")).toMatch(/^people, by hand/);
    expect(pagesOf(walk.plan, walk.state, [started], "C1")).toEqual([]);
  });
});

describe("OBSERVES", () => {
  it("stands on the card, with what it waits for", () => {
    const walk = asking();
    const card = cardOf(told(walk));
    expect(card.status).toBe("OBSERVES · ASKS");
    expect(card.says).toBe("a waits for FEATURE_A to be set ON in /etc/svc/flags.json by people");
    expect(card.rows[0]?.detail).toBe("people are asked to set it in /etc/svc/flags.json");
    walk.edit("a", ON);
    walk.until("stage_enabled");
    expect(cardOf(told(walk)).status).toBe("OBSERVES · SOAKING");
  });

  it("the card of a WOULD offers the same two answers first", () => {
    const { walk } = would();
    const labels = cardOf(told(walk)).offers.map((offer) => offer.label);
    expect(labels.slice(0, 2)).toEqual(["Do it", "False alarm"]);
    expect(labels).not.toContain("Resume");
  });

  it("stands in the list, and not for one that acts", () => {
    const lines = (walk: Walk): string =>
      listLines(new Map([["demo", walk.plan]]), [{ plan: walk.plan, state: walk.state }]).join("\n");
    expect(lines(asking())).toContain("[live: r-1, OBSERVES]");
    const walk = new Walk(planOf()).start();
    walk.pass(MINUTE);
    expect(lines(walk)).toContain("[live: r-1]");
    expect(cardOf(told(walk)).status).not.toContain("OBSERVES");
  });
});
