/** Restarts beside rollouts, reloads and ends of Belay: none in a live rollout that nobody asked for by hand, one record of each, and a command carried out once. */
import { describe, expect, it } from "vitest";
import { parseCommand } from "../../src/core/command.ts";
import { BELAY } from "../../src/core/event.ts";
import { MINUTE, SECOND } from "../../src/core/time.ts";
import { healthDesk } from "../../src/engine/health-desk.ts";
import {
  type Bench,
  benchOn,
  pagesOf,
  planOf,
  postsOf,
  probeNamed,
  targetNamed,
} from "../support/health-bench.ts";
import { ANA, operator } from "../support/plans.ts";

const LIVE = "demo (r-1)";
const SPOILS =
  "the rollout demo (r-1) is live, and a restart would spoil its evidence; `/belay health restart` does it all the same";

function plannedOn(bench: Bench) {
  return bench.health().restartTarget("bots", "ollama", { planned: true, by: BELAY });
}

/** Down for good, and its restart begun; what the restart takes. */
async function restartBegun(restartMs: number, more: Parameters<typeof probeNamed>[1] = {}) {
  const plan = planOf({ probes: [probeNamed("api", { intervalMs: 10 * SECOND, page: "P1", ...more })] });
  const { bench, journal } = await benchOn(plan);
  bench.world.restartMs = restartMs;
  bench.world.down.set("api", "bad");
  await bench.until("a restart", () => bench.world.restarts.length === 1);
  return { plan, bench, journal };
}

describe("a planned restart", () => {
  it("is given up at once in a live rollout", async () => {
    const { bench } = await benchOn();
    bench.facts.live = LIVE;
    const given = plannedOn(bench);
    await bench.pass(SECOND);
    expect(await given).toMatchObject({ ok: false, detail: `not restarted: ${SPOILS}` });
    expect(bench.world.restarts).toEqual([]);
    expect(await bench.kinds()).toEqual([]);
  });

  it("is given up when a rollout goes live while it waits for its turn", async () => {
    const { bench } = await restartBegun(15 * SECOND);
    const given = plannedOn(bench);
    await bench.pass(5 * SECOND);
    bench.facts.live = LIVE;
    await bench.pass(MINUTE);
    expect(await given).toMatchObject({ ok: false, detail: `not restarted: ${SPOILS}` });
    expect(bench.world.restarts).toHaveLength(1);
  });

  it("is given up when a rollout goes live while it waits for the end of a rollback", async () => {
    const { bench } = await benchOn();
    bench.facts.step = true;
    const given = plannedOn(bench);
    await bench.pass(5 * SECOND);
    bench.facts.live = LIVE;
    await bench.pass(2 * SECOND);
    expect(await given).toMatchObject({ ok: false, detail: `not restarted: ${SPOILS}` });
  });

  it("is not begun when a rollout goes live at the last moment, and that is in its record", async () => {
    const { bench, journal } = await benchOn();
    journal.beforeCommit(() => {
      bench.facts.live = LIVE;
    });
    const given = plannedOn(bench);
    await bench.pass(SECOND);
    expect(await given).toMatchObject({ ok: false, detail: `not restarted: ${SPOILS}` });
    expect(bench.world.restarts).toEqual([]);
    expect((await bench.eventsOf("bots/api")).at(-1)).toMatchObject({
      kind: "restart_failed",
      planned: true,
      detail: `not restarted: ${SPOILS}`,
    });
  });

  it("stops between two replicas when a rollout goes live", async () => {
    const { bench } = await benchOn(planOf({ targets: [targetNamed("ollama", 3)] }));
    const given = plannedOn(bench);
    await bench.pass(2 * SECOND);
    bench.facts.live = LIVE;
    await bench.pass(MINUTE);
    expect(await given).toMatchObject({ ok: false, detail: `stopped before replica 2: ${SPOILS}` });
    expect(bench.world.restarts).toHaveLength(1);
  });
});

describe("in a live rollout", () => {
  it("a person's restart and that of a failing probe go on", async () => {
    const { bench } = await benchOn();
    bench.facts.live = LIVE;
    const given = bench.commands().restart("ollama", operator(ANA), "k1");
    await bench.pass(10 * SECOND);
    expect(await given).toMatchObject({ ok: true });
    bench.world.down.set("api", "bad");
    await bench.until("a restart", () => bench.world.restarts.length === 2);
  });
});

describe("what is being restarted", () => {
  const here = (bench: Bench) => bench.health().restarting("bot-platform", "production");

  it("is told for its service from the begin to the end, between replicas too, and for no other", async () => {
    const { bench } = await benchOn(planOf({ targets: [targetNamed("ollama", 2)] }));
    expect(here(bench)).toBeUndefined();
    const given = plannedOn(bench);
    for (let second = 0; second < 9; second++) {
      await bench.pass(SECOND);
      expect(here(bench)).toBe("bots/ollama is being restarted");
      expect(bench.health().restarting("bot-platform", "staging")).toBeUndefined();
      expect(bench.health().restarting("other", "production")).toBeUndefined();
    }
    await bench.pass(2 * SECOND);
    expect(await given).toMatchObject({ ok: true });
    expect(here(bench)).toBeUndefined();
  });

  it("is not what only waits for its turn", async () => {
    const { bench } = await benchOn();
    bench.facts.step = true;
    const given = plannedOn(bench);
    await bench.pass(5 * SECOND);
    expect(here(bench)).toBeUndefined();
    bench.facts.step = false;
    await bench.pass(20 * SECOND);
    expect(await given).toMatchObject({ ok: true });
  });

  it("is also what an end of Belay cut short, until its outcome is known", async () => {
    const { bench } = await restartBegun(5 * SECOND);
    bench.die();
    await bench.pass(20 * SECOND);
    await bench.restart();
    expect(here(bench)).toBe("what came of the restart of bots/ollama is not known yet");
    await bench.until("the outcome", async () => (await bench.kinds()).includes("restart_done"));
    await bench.pass(SECOND);
    expect(here(bench)).toBeUndefined();
  });

  it("is also what was given up and has not ended", async () => {
    const { bench } = await benchOn();
    bench.world.restartMs = 10 * MINUTE;
    const given = plannedOn(bench);
    await bench.pass(3 * MINUTE);
    expect(await given).toMatchObject({ ok: false });
    expect(here(bench)).toBe("the restart of bots/ollama was given up and has not ended");
    await bench.pass(8 * MINUTE);
    expect(here(bench)).toBeUndefined();
  });
});

describe("a probe that is taken out of the files while its restart is under way", () => {
  const withoutProbes = planOf({ probes: [] });

  it("and put back goes on as if it had stayed: one record, its page open until it is well", async () => {
    const { plan, bench, journal } = await restartBegun(15 * SECOND);
    bench.world.effect = "nothing";
    await bench.reload([withoutProbes]);
    await bench.pass(2 * SECOND);
    expect(bench.health().desks()).toEqual([]);
    await bench.reload([plan]);
    await bench.pass(15 * SECOND);
    expect(await bench.kinds()).toEqual(["failing", "restart_started", "restart_done"]);
    expect(bench.health().desks()[0]?.state().phase).toBe("failing");
    expect(bench.resolved).toEqual([]);
    bench.world.down.clear();
    await bench.until("it is well", async () => (await bench.kinds()).includes("recovered"));
    expect(pagesOf(journal)).toEqual(["P1 probe:bots/api:1:failing"]);
    expect(bench.resolved.map(({ key }) => key)).toContain("probe:bots/api:1:failing");
    expect(await journal.subject("probe", "bots/api")).toEqual(bench.health().desks()[0]?.state());
  });

  it("and put back after its end keeps the distance to the next one, and the budget", async () => {
    const { plan, bench } = await restartBegun(5 * SECOND);
    bench.world.effect = "fails";
    const endedAt: number[] = [];
    for (let round = 0; round < 8; round++) {
      await bench.reload([withoutProbes]);
      await bench.until("the end", () => bench.world.restarting === 0);
      endedAt.push(bench.now());
      await bench.pass(2 * SECOND);
      await bench.reload([plan]);
      await bench.pass(3 * MINUTE);
    }
    const { restarts } = bench.world;
    expect(restarts).toHaveLength(3);
    expect((restarts[1]?.at ?? 0) - (endedAt[0] ?? 0)).toBeGreaterThanOrEqual(MINUTE - SECOND);
  });

  it("and stays out is closed when the restart has ended, and its page stays open for a person", async () => {
    const { bench, journal } = await restartBegun(15 * SECOND, { degraded: "It is being restarted." });
    await bench.reload([withoutProbes]);
    await bench.pass(10 * SECOND);
    expect(await bench.kinds()).toEqual(["failing", "restart_started"]);
    await bench.pass(10 * SECOND);
    expect(await bench.kinds()).toEqual(["failing", "restart_started", "restart_done", "retired"]);
    expect(bench.resolved).toEqual([]);
    const [post, ...others] = postsOf(journal, "#ops");
    expect(others).toEqual([]);
    expect(post?.title).toBe("api is not watched any more · bot-platform · production");
    expect(post?.words).toContain("is not watched any more; it was failing when last seen.");
    expect(post?.words).toContain("a page about it stays open for a person");
    expect(post?.words).not.toContain("under way");
    expect(postsOf(journal, "#users").map(({ words }) => words.split("\n")[0])).toEqual([
      "api of bot-platform is not watched any more. It was failing when last seen.",
    ]);
    const checks = bench.world.checks.length;
    await bench.pass(5 * MINUTE);
    expect(bench.world.checks).toHaveLength(checks);
    expect(await journal.openSubjects("probe")).toEqual([]);
  });

  it("is closed at the next start when Belay ends first", async () => {
    const { bench, journal } = await restartBegun(15 * SECOND);
    await bench.reload([withoutProbes]);
    bench.die();
    await bench.restart([withoutProbes]);
    expect((await bench.kinds()).at(-1)).toBe("retired");
    expect(await journal.openSubjects("probe")).toEqual([]);
  });
});

describe("a probe that is taken out of the files while the journal is away", () => {
  it("is closed in the journal when it is back", async () => {
    const { bench, journal } = await restartBegun(5 * SECOND);
    bench.world.effect = "fails";
    await bench.pass(10 * SECOND);
    journal.mood("away");
    await bench.reload([planOf({ probes: [] })]);
    await bench.pass(5 * SECOND);
    journal.mood("well");
    await bench.pass(5 * SECOND);
    expect((await bench.kinds()).at(-1)).toBe("retired");
    expect(await journal.openSubjects("probe")).toEqual([]);
  });

  it("and put back before the journal is goes on with one record, and fails anew", async () => {
    const { plan, bench, journal } = await restartBegun(5 * SECOND);
    bench.world.effect = "nothing";
    await bench.pass(10 * SECOND);
    journal.mood("away");
    await bench.reload([planOf({ probes: [] })]);
    await bench.pass(5 * SECOND);
    await bench.reload([plan]);
    await bench.pass(MINUTE);
    journal.mood("well");
    await bench.pass(5 * SECOND);
    const kinds = await bench.kinds();
    expect(kinds.slice(0, 5)).toEqual(["failing", "restart_started", "restart_done", "retired", "failing"]);
    expect(await journal.subject("probe", "bots/api")).toEqual(bench.health().desks()[0]?.state());
  });
});

describe("a restart by command that comes again after an end of Belay", () => {
  const LOOK = {
    ok: false,
    code: "outcome_unknown",
    text: expect.stringMatching(
      /^Belay stopped meanwhile; the restart of bots\/ollama was begun 12:00:0\d \(UTC\) by @ana; look whether it is well\.$/,
    ),
  };

  it("while it ran is not repeated, and answered with what is known", async () => {
    const { bench } = await benchOn();
    void bench.commands().restart("ollama", operator(ANA), "k1");
    await bench.pass(2 * SECOND);
    bench.die();
    await bench.restart();
    expect(await bench.commands().restart("ollama", operator(ANA), "k1")).toMatchObject(LOOK);
    await bench.pass(5 * MINUTE);
    expect(bench.world.restarts).toHaveLength(1);
  });

  it("after it was done, or had failed, says so", async () => {
    const { bench } = await benchOn();
    const done = bench.commands().restart("ollama", operator(ANA), "k1");
    await bench.pass(10 * SECOND);
    expect(await done).toMatchObject({ ok: true });
    bench.world.effect = "fails";
    const failed = bench.commands().restart("ollama", operator(ANA), "k2");
    await bench.pass(10 * SECOND);
    expect(await failed).toMatchObject({ ok: false });
    await bench.restart();
    expect(await bench.commands().restart("ollama", operator(ANA), "k1")).toMatchObject({
      ok: true,
      code: "already",
      text: expect.stringMatching(
        /^@ana restarted bots\/ollama at 12:00:0\d \(UTC\) already: it ran again after 5 s\.$/,
      ),
    });
    expect(await bench.commands().restart("ollama", operator(ANA), "k2")).toMatchObject({
      ok: false,
      code: "restart_failed",
      text: expect.stringMatching(
        /^The restart of bots\/ollama, begun 12:00:1\d \(UTC\) by @ana, did not work: it does not come up\.$/,
      ),
    });
    expect(bench.world.restarts).toHaveLength(2);
  });

  it("between two replicas is not taken for done", async () => {
    const { bench } = await benchOn(planOf({ targets: [targetNamed("ollama", 3)] }));
    void bench.commands().restart("ollama", operator(ANA), "k1");
    await bench.until("replica 2", () => bench.world.restarts.length === 2);
    bench.die();
    await bench.restart();
    expect(await bench.commands().restart("ollama", operator(ANA), "k1")).toMatchObject({
      ok: false,
      code: "outcome_unknown",
      text: expect.stringMatching(
        / was begun 12:00:0\d \(UTC\) by @ana and came to replica 2 of 3; look whether it is well\.$/,
      ),
    });
    await bench.pass(5 * MINUTE);
    expect(bench.world.restarts).toHaveLength(2);
  });

  it("before it was begun is carried out", async () => {
    const { bench } = await benchOn();
    bench.facts.step = true;
    void bench.commands().restart("ollama", operator(ANA), "k1");
    await bench.pass(2 * SECOND);
    bench.die();
    await bench.restart();
    bench.facts.step = false;
    const given = bench.commands().restart("ollama", operator(ANA), "k1", true);
    await bench.pass(20 * SECOND);
    expect(await given).toMatchObject({ ok: true, code: "done" });
    expect(bench.world.restarts).toHaveLength(1);
  });

  it("is told from another command of the same words", async () => {
    const { bench } = await benchOn();
    for (const key of ["k1", "k2"]) {
      const given = bench.commands().restart("ollama", operator(ANA), key);
      await bench.pass(20 * SECOND);
      expect(await given).toMatchObject({ ok: true, code: "done" });
    }
    expect(bench.world.restarts).toHaveLength(2);
  });

  it("of a target that no probe names is not repeated: nobody can tell whether it was begun", async () => {
    const { bench } = await benchOn(planOf({ targets: [targetNamed("ollama"), targetNamed("lonely")] }));
    const first = bench.commands().restart("lonely", operator(ANA), "k1");
    await bench.pass(10 * SECOND);
    expect(await first).toMatchObject({ ok: true });
    await bench.restart();
    expect(await bench.commands().restart("lonely", operator(ANA), "k1", true)).toMatchObject({
      ok: false,
      code: "outcome_unknown",
      text: "Belay stopped meanwhile; whether bots/lonely was restarted is not known, because no probe names it. Look, and ask again if it is still wanted.",
    });
    expect(bench.world.restarts).toHaveLength(1);
  });

  it("is not begun while the journal cannot tell", async () => {
    const { bench, journal } = await benchOn();
    journal.mood("away");
    expect(await bench.commands().restart("ollama", operator(ANA), "k1")).toMatchObject({
      ok: false,
      code: "journal_unavailable",
    });
    expect(bench.world.restarts).toEqual([]);
  });

  it("reaches the desk with its key", async () => {
    const { bench } = await benchOn();
    const desk = healthDesk(bench.commands());
    const parsed = parseCommand("health restart ollama", "belay");
    if ("kind" in parsed) throw new Error(parsed.message);
    void desk(parsed, operator(ANA), "k1");
    await bench.pass(2 * SECOND);
    expect((await bench.eventsOf("bots/api"))[0]).toMatchObject({ kind: "restart_started", key: "k1" });
  });
});
