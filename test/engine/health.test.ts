/** The health desk on virtual time: what is checked when, what is restarted and what never is, whatever dies meanwhile, and what people read. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { openSqliteJournal } from "../../src/adapters/journal/sqlite.ts";
import { BELAY } from "../../src/core/event.ts";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import { OutsideFault } from "../../src/engine/ports.ts";
import type { SubjectJournal } from "../../src/engine/watch-ports.ts";
import {
  benchOn,
  pagesOf,
  planOf,
  postsOf,
  probeNamed,
  startBench,
  targetNamed,
  WALL,
} from "../support/health-bench.ts";
import { ANA, operator, viewer } from "../support/plans.ts";
import { createSubjectMemory } from "../support/subject-memory.ts";

describe("checks", () => {
  it("of twelve probes do not fall together, and each comes once a minute", async () => {
    const probes = Array.from({ length: 12 }, (_, index) => probeNamed(`p${index}`));
    const { bench } = await benchOn(planOf({ probes }));
    await bench.pass(MINUTE - 1);
    expect(bench.world.checks).toHaveLength(12);
    const seconds = bench.world.checks.map(({ at }) => Math.floor(at / 2_500));
    expect(new Set(seconds).size).toBe(12);
    await bench.pass(10 * MINUTE);
    expect(bench.world.checks).toHaveLength(12 * 11);
    const p0 = bench.world.checks.filter(({ name }) => name === "p0").map(({ at }) => at);
    p0.slice(1).forEach((at, index) => {
      expect(at - (p0[index] ?? 0)).toBeCloseTo(MINUTE, 6);
    });
  });

  it("are never two of one probe: one that takes longer than the interval leaves the next ones out", async () => {
    const { bench } = await benchOn(
      planOf({ probes: [probeNamed("api", { intervalMs: 10 * SECOND, timeoutMs: 60 * SECOND })] }),
    );
    bench.world.checkMs = 25 * SECOND;
    await bench.pass(5 * MINUTE);
    const at = bench.world.checks.map((one) => one.at);
    at.slice(1).forEach((one, index) => {
      expect(one - (at[index] ?? 0)).toBeCloseTo(30 * SECOND, 6);
    });
    expect(at.length).toBeGreaterThan(8);
  });

  it("that never end are left behind, told as blind, and begun no second time", async () => {
    const { bench, journal } = await benchOn();
    bench.world.hangs = true;
    await bench.pass(15 * MINUTE);
    expect(bench.world.checks).toHaveLength(1);
    expect(await bench.kinds()).toEqual(["unknown"]);
    expect(postsOf(journal, "#ops")).toEqual([
      expect.objectContaining({
        key: "post:probe:bots/api:1:blind",
        title: "api is blind · bot-platform · production",
      }),
    ]);
    expect(pagesOf(journal)).toEqual([]);
  });

  it("are counted by day, bad ones beside all, and not while nobody can tell", async () => {
    const { bench, journal } = await benchOn(planOf({ probes: [probeNamed("api", { fail: 30 })] }));
    await bench.pass(10 * MINUTE);
    bench.world.down.set("api", "bad");
    await bench.pass(5 * MINUTE);
    bench.world.down.set("api", "unknown");
    await bench.pass(5 * MINUTE);
    await bench.health().stop();
    expect(await journal.checksSince(WALL - (WALL % (24 * HOUR)))).toEqual([
      { id: "bots/api", ran: 15, bad: 5 },
    ]);
  });
});

describe("a failure", () => {
  it("is told, paged, mended by a restart and told as over, within five minutes and in the same messages", async () => {
    const probe = probeNamed("api", { page: "P1", degraded: "Answers come slowly.", runbook: "ollama-down" });
    const { bench, journal } = await benchOn(planOf({ probes: [probe] }));
    await bench.pass(5 * MINUTE);
    bench.world.down.set("api", "bad");
    await bench.until("it fails", async () => (await bench.kinds()).includes("failing"));
    expect(postsOf(journal, "#ops")).toEqual([
      expect.objectContaining({
        key: "post:probe:bots/api:1",
        title: "api fails · bot-platform · production",
      }),
    ]);
    expect(postsOf(journal, "#users")).toEqual([
      expect.objectContaining({
        key: "post:probe:bots/api:1:users",
        title: "bot-platform is degraded",
        words: expect.stringContaining("Answers come slowly."),
      }),
    ]);
    expect(pagesOf(journal)).toEqual(["P1 probe:bots/api:1:failing"]);
    await bench.until("it is well", async () => (await bench.kinds()).includes("recovered"));
    expect(await bench.kinds()).toEqual(["failing", "restart_started", "restart_done", "recovered"]);
    const recovered = (await bench.eventsOf("bots/api")).at(-1);
    expect(recovered).toMatchObject({ restarts: 1, withinMs: 5 * MINUTE });
    if (recovered?.kind !== "recovered") throw new Error("not recovered");
    expect(recovered.tookMs).toBeLessThan(5 * MINUTE);
    expect(postsOf(journal, "#ops").map(({ title }) => title)).toEqual([
      "api is well again · bot-platform · production",
    ]);
    expect(postsOf(journal, "#users").map(({ title }) => title)).toEqual(["bot-platform is back to normal"]);
    expect(bench.resolved[0]?.key).toBe("probe:bots/api:1:failing");
  });

  it("looks again at once after a restart, instead of waiting for its minute", async () => {
    const { bench } = await benchOn();
    bench.world.down.set("api", "bad");
    await bench.until("a restart", () => bench.world.restarts.length === 1);
    const [restart] = bench.world.restarts;
    await bench.pass(10 * SECOND);
    const done = (restart?.at ?? 0) + bench.world.restartMs;
    expect(bench.world.checks.some(({ at }) => at >= done && at <= done + 100)).toBe(true);
  });

  it("that restarts do not mend ends with an open circuit and one page, and is not restarted again", async () => {
    const { bench, journal } = await benchOn(
      planOf({ probes: [probeNamed("api", { intervalMs: 10 * SECOND })] }),
    );
    bench.world.effect = "fails";
    bench.world.down.set("api", "bad");
    await bench.pass(25 * MINUTE);
    expect(bench.world.restarts).toHaveLength(3);
    const gaps = bench.world.restarts
      .slice(1)
      .map(({ at }, index) => at - (bench.world.restarts[index]?.at ?? 0));
    expect(gaps[0]).toBeGreaterThanOrEqual(MINUTE);
    expect(gaps[1]).toBeGreaterThanOrEqual(3 * MINUTE);
    expect((await bench.kinds()).filter((kind) => kind === "circuit_opened")).toHaveLength(1);
    expect(pagesOf(journal)).toHaveLength(1);
    expect(pagesOf(journal)[0]).toMatch(/^P1 probe:bots\/api:\d+:circuit$/);
    await bench.pass(3 * HOUR);
    expect(bench.world.restarts).toHaveLength(3);
    expect(pagesOf(journal)).toHaveLength(1);
  });

  it("waits with its restart for the end of a rollout step", async () => {
    const { bench } = await benchOn();
    bench.facts.step = true;
    bench.world.down.set("api", "bad");
    await bench.pass(10 * MINUTE);
    expect(await bench.kinds()).toEqual(["failing"]);
    bench.facts.step = false;
    await bench.pass(2 * SECOND);
    expect(bench.world.restarts).toHaveLength(1);
  });

  it("is not restarted when a rollout step begins at the last moment", async () => {
    const { bench, journal } = await benchOn();
    bench.world.down.set("api", "bad");
    let commits = 0;
    journal.beforeCommit(() => {
      commits += 1;
      // The first one says that it fails, the second that a restart begins.
      bench.facts.step = commits === 2;
    });
    await bench.until("the second commit", () => commits >= 2);
    await bench.pass(SECOND);
    expect(bench.world.restarts).toEqual([]);
    expect((await bench.eventsOf("bots/api")).at(-1)).toMatchObject({
      kind: "restart_failed",
      detail: "it was not begun, because a rollout step began first",
    });
  });

  it("while muted is told to nobody and mended by nobody; afterwards it is", async () => {
    const { bench, journal } = await benchOn(planOf({ probes: [probeNamed("api", { page: "P2" })] }));
    const answer = await bench.commands().mute("api", 10 * MINUTE, operator(ANA), "known");
    expect(answer).toMatchObject({ ok: true, code: "done" });
    bench.world.down.set("api", "bad");
    await bench.pass(9 * MINUTE);
    expect(await bench.kinds()).toEqual(["muted", "failing"]);
    expect(postsOf(journal, "#ops").map(({ title }) => title)).toEqual([
      "api is muted · bot-platform · production",
    ]);
    expect(pagesOf(journal)).toEqual([]);
    expect(bench.commands().status().lines[0]).toMatch(/muted for .* by @ana \(known\)$/);
    await bench.pass(90 * SECOND);
    expect(pagesOf(journal)).toEqual(["P2 probe:bots/api:2:failing"]);
    expect(postsOf(journal, "#ops").map(({ title }) => title)).toEqual([
      "api is muted · bot-platform · production",
      "api fails · bot-platform · production",
    ]);
    expect(bench.world.restarts).toHaveLength(1);
  });

  it("that comes and goes is paged once as flapping, and restarted until the budget is gone", async () => {
    const probe = probeNamed("api", { intervalMs: 10 * SECOND, fail: 1, ok: 1 });
    const { bench, journal } = await benchOn(planOf({ probes: [probe] }));
    bench.world.effect = "nothing";
    for (let turn = 0; turn < 12; turn++) {
      if (turn % 2 === 0) bench.world.down.set("api", "bad");
      else bench.world.down.clear();
      await bench.pass(90 * SECOND);
    }
    expect((await bench.kinds()).filter((kind) => kind === "flapping")).toHaveLength(1);
    expect(bench.world.restarts).toHaveLength(3);
    expect(pagesOf(journal)).toEqual([
      expect.stringMatching(/^P2 probe:bots\/api:\d+:flapping$/),
      expect.stringMatching(/^P1 probe:bots\/api:\d+:circuit$/),
    ]);
    const posts = postsOf(journal, "#ops").length;
    const restarts = bench.world.restarts.length;
    await bench.pass(32 * MINUTE);
    expect(await bench.kinds()).toContain("calm");
    expect(postsOf(journal, "#ops")).toHaveLength(posts);
    expect(bench.world.restarts).toHaveLength(restarts);
    expect(bench.resolved.map(({ key }) => key)).toContain(pagesOf(journal)[0]?.slice(3));
  });

  it("that comes and goes pages for each failure, once as flapping, and not again when the budget is gone", async () => {
    const probe = probeNamed("api", { intervalMs: 10 * SECOND, fail: 1, ok: 1, page: "P1" });
    const { bench, journal } = await benchOn(planOf({ probes: [probe] }));
    bench.world.effect = "nothing";
    for (let turn = 0; turn < 10; turn++) {
      if (turn % 2 === 0) bench.world.down.set("api", "bad");
      else bench.world.down.clear();
      await bench.pass(90 * SECOND);
    }
    expect(pagesOf(journal).map((page) => page.split(":").at(-1))).toEqual([
      "failing",
      "failing",
      "flapping",
      "failing",
      "failing",
      "failing",
    ]);
    expect(await bench.kinds()).toContain("circuit_opened");
    expect(pagesOf(journal).filter((page) => page.startsWith("P2"))).toHaveLength(1);
  });

  it("of a service with several probes on one target restarts it once, and one budget counts for all", async () => {
    const probes = ["a", "b", "c"].map((name) => probeNamed(name, { intervalMs: 10 * SECOND }));
    const { bench, journal } = await benchOn(planOf({ probes }));
    bench.world.effect = "fails";
    for (const { name } of probes) bench.world.down.set(name, "bad");
    await bench.pass(20 * MINUTE);
    expect(bench.world.restarts).toHaveLength(3);
    expect(bench.world.mostAtOnce).toBe(1);
    expect(pagesOf(journal)).toHaveLength(1);
  });
});

describe("restarts asked for", () => {
  it("take the replicas one after the other, and stop at one that does not come up", async () => {
    const { bench } = await benchOn(planOf({ targets: [targetNamed("ollama", 3)] }));
    const done = bench.health().restartTarget("bots", "ollama", { planned: true, by: BELAY });
    await bench.pass(20 * SECOND);
    expect(await done).toMatchObject({ ok: true, tookMs: 15 * SECOND });
    expect(bench.world.restarts.map(({ replica }) => replica)).toEqual([0, 1, 2]);
    expect(bench.world.mostAtOnce).toBe(1);
    bench.world.effect = "fails";
    const failed = bench.health().restartTarget("bots", "ollama", { planned: true, by: BELAY });
    await bench.pass(20 * SECOND);
    expect(await failed).toMatchObject({ ok: false, detail: "it does not come up" });
    expect(bench.world.restarts).toHaveLength(4);
  });

  it("take turns, whoever asks", async () => {
    const { bench } = await benchOn(planOf({ targets: [targetNamed("ollama", 2)] }));
    const all = [1, 2, 3].map(() =>
      bench.health().restartTarget("bots", "ollama", { planned: true, by: BELAY }),
    );
    await bench.pass(40 * SECOND);
    expect((await Promise.all(all)).map(({ ok }) => ok)).toEqual([true, true, true]);
    expect(bench.world.mostAtOnce).toBe(1);
    expect(bench.world.restarts.map(({ replica }) => replica)).toEqual([0, 1, 0, 1, 0, 1]);
  });

  it("are no downtime and use up nothing when they are planned", async () => {
    const probe = probeNamed("api", { intervalMs: 2 * SECOND, fail: 2 });
    const { bench, journal } = await benchOn(
      planOf({ probes: [probe], budget: { most: 1, withinMs: HOUR } }),
    );
    await bench.pass(10 * SECOND);
    bench.world.down.set("api", "bad");
    bench.world.restartMs = 15 * SECOND;
    const done = bench.health().restartTarget("bots", "ollama", { planned: true, by: BELAY });
    await bench.pass(30 * SECOND);
    expect(await done).toMatchObject({ ok: true });
    expect(await bench.kinds()).toEqual(["restart_started", "restart_done"]);
    await bench.health().stop();
    expect((await journal.checksSince(0))[0]).toMatchObject({ bad: 0 });
    expect(journal.drafts).toEqual([]);
  });

  it("wait for a rollout step and are given up after ten minutes of it", async () => {
    const { bench } = await benchOn();
    bench.facts.step = true;
    const given = bench.health().restartTarget("bots", "ollama", { planned: true, by: BELAY });
    await bench.pass(11 * MINUTE);
    expect(await given).toMatchObject({
      ok: false,
      detail: "not restarted: a rollout step of the same service is under way",
    });
    const later = bench.health().restartTarget("bots", "ollama", { planned: true, by: BELAY });
    await bench.pass(MINUTE);
    bench.facts.step = false;
    await bench.pass(10 * SECOND);
    expect(await later).toMatchObject({ ok: true });
    expect(bench.world.restarts).toHaveLength(1);
  });

  it("that never end are given up in time, and nothing is restarted beside them", async () => {
    const { bench } = await benchOn();
    bench.world.restartMs = 2 * HOUR;
    const first = bench.health().restartTarget("bots", "ollama", { planned: true, by: BELAY });
    await bench.pass(5 * MINUTE);
    expect(await first).toMatchObject({ ok: false });
    bench.world.down.set("api", "bad");
    await bench.pass(20 * MINUTE);
    expect(bench.world.restarts).toHaveLength(1);
    expect(bench.world.mostAtOnce).toBe(1);
  });

  it("behind one that never ends are answered after ten minutes, and not begun when it does end", async () => {
    const { bench } = await benchOn();
    bench.world.restartMs = 2 * HOUR;
    void bench.health().restartTarget("bots", "ollama", { planned: true, by: BELAY });
    await bench.pass(5 * MINUTE);
    const later = bench.health().restartTarget("bots", "ollama", { planned: false, by: ANA });
    await bench.pass(11 * MINUTE);
    expect(await later).toMatchObject({
      ok: false,
      detail: expect.stringContaining("was given up and has not ended"),
    });
    await bench.pass(3 * HOUR);
    expect(bench.world.restarts).toHaveLength(1);
    bench.world.restartMs = 1_000;
    const last = bench.health().restartTarget("bots", "ollama", { planned: false, by: ANA });
    await bench.pass(MINUTE);
    expect(await last).toMatchObject({ ok: true });
  });
});

describe("the journal", () => {
  it("when away lets nothing be begun, but the page goes out, and once it is back it knows all of it", async () => {
    const { bench, journal } = await benchOn(planOf({ probes: [probeNamed("api", { page: "P1" })] }));
    await bench.pass(MINUTE);
    journal.mood("away");
    bench.world.down.set("api", "bad");
    await bench.pass(10 * MINUTE);
    expect(bench.world.restarts).toEqual([]);
    expect(bench.sent.filter(({ lane }) => lane === "page").map(({ key }) => key)).toEqual([
      "page:probe:bots/api:1:failing",
    ]);
    journal.mood("well");
    await bench.pass(10 * SECOND);
    expect(pagesOf(journal)).toEqual(["P1 probe:bots/api:1:failing"]);
    expect(bench.world.restarts).toHaveLength(1);
    await bench.pass(5 * MINUTE);
    expect(await bench.kinds()).toEqual(["failing", "restart_started", "restart_done", "recovered"]);
  });

  it("that loses its replies is no reason for a second restart", async () => {
    const { bench, journal } = await benchOn();
    bench.world.down.set("api", "bad");
    journal.beforeCommit(() => journal.mood("reply_lost"));
    await bench.pass(10 * MINUTE);
    journal.beforeCommit(undefined);
    await bench.pass(10 * MINUTE);
    expect(bench.world.restarts.length).toBeLessThanOrEqual(1);
    const events = await bench.kinds();
    expect(events.filter((kind) => kind === "failing")).toHaveLength(1);
  });
});

describe("an end of Belay", () => {
  const dirs: string[] = [];
  afterEach(() => {
    for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
  });
  const sqlite = (): SubjectJournal => {
    const dir = mkdtempSync(join(tmpdir(), "belay-health-"));
    dirs.push(dir);
    return openSqliteJournal({ path: join(dir, "journal.db") });
  };
  const JOURNALS: readonly (readonly [string, () => SubjectJournal])[] = [
    ["memory", createSubjectMemory],
    ["sqlite", sqlite],
  ];

  it.each(JOURNALS)(
    "in the middle of a restart (%s): it is looked at, counted, and never simply repeated",
    async (_, open) => {
      const bench = await startBench(planOf(), open());
      bench.world.effect = "nothing";
      bench.world.down.set("api", "bad");
      await bench.until("a restart", () => bench.world.restarts.length === 1);
      bench.die();
      await bench.pass(3 * SECOND);
      await bench.restart();
      await bench.pass(30 * SECOND);
      expect(bench.world.restarts).toHaveLength(1);
      await bench.until("the outcome", async () => (await bench.kinds()).includes("restart_failed"));
      const failedAt = bench.now();
      await bench.until("the next restart", () => bench.world.restarts.length === 2);
      expect(bench.now() - failedAt).toBeGreaterThanOrEqual(MINUTE - SECOND);
      expect(bench.health().desks()[0]?.state().restarts).toHaveLength(2);
    },
  );

  it("in the middle of a restart that worked: it is well, and that is all", async () => {
    const { bench } = await benchOn();
    bench.world.down.set("api", "bad");
    await bench.until("a restart", () => bench.world.restarts.length === 1);
    bench.die();
    await bench.pass(10 * SECOND);
    await bench.restart();
    await bench.pass(5 * MINUTE);
    expect(await bench.kinds()).toEqual(["failing", "restart_started", "restart_done", "recovered"]);
    expect(bench.world.restarts).toHaveLength(1);
  });

  it("in the middle of a restart lets no other begin until its outcome is known, whoever asks", async () => {
    const { bench } = await benchOn();
    bench.world.effect = "nothing";
    bench.world.down.set("api", "bad");
    await bench.until("a restart", () => bench.world.restarts.length === 1);
    bench.die();
    await bench.restart();
    const job = bench.health().restartTarget("bots", "ollama", { planned: true, by: BELAY });
    await bench.until("the next restart", () => bench.world.restarts.length === 2);
    expect(await bench.kinds()).toEqual(["failing", "restart_started", "restart_failed", "restart_started"]);
    await bench.pass(10 * SECOND);
    expect(await job).toMatchObject({ ok: true });
  });

  it("between a recovery and the end of its page: the page is ended after the start", async () => {
    const { bench } = await benchOn(planOf({ probes: [probeNamed("api", { page: "P1" })] }));
    bench.world.down.set("api", "bad");
    await bench.until("it is well", async () => (await bench.kinds()).includes("recovered"));
    bench.resolved.splice(0);
    await bench.restart();
    expect(bench.resolved.map(({ key }) => key)).toEqual(["probe:bots/api:1:failing"]);
  });

  it("every few minutes while nothing helps: the budget still holds in every window", async () => {
    const { bench } = await benchOn(planOf({ probes: [probeNamed("api", { intervalMs: 5 * SECOND })] }));
    bench.world.effect = "nothing";
    bench.world.down.set("api", "bad");
    for (let life = 0; life < 30; life++) {
      await bench.pass(100 * SECOND + life * 7 * SECOND);
      await bench.restart();
    }
    const { restarts } = bench.world;
    expect(restarts.length).toBeGreaterThan(1);
    for (const { at } of restarts)
      expect(restarts.filter((one) => one.at >= at && one.at <= at + 30 * MINUTE).length).toBeLessThanOrEqual(
        3,
      );
  });
});

describe("a reload", () => {
  it("keeps what is known of a probe, takes its new interval, begins new ones and ends those that are gone", async () => {
    const { bench, journal } = await benchOn(
      planOf({ probes: [probeNamed("api", { page: "P1" }), probeNamed("db")] }),
    );
    bench.world.effect = "nothing";
    bench.world.down.set("api", "bad");
    await bench.until("it fails", async () => (await bench.kinds()).includes("failing"));
    await bench.reload([
      planOf({ probes: [probeNamed("db", { intervalMs: 10 * SECOND }), probeNamed("new")] }),
    ]);
    await bench.until("its restart has ended", async () => (await bench.kinds()).includes("retired"));
    expect(postsOf(journal, "#ops").map(({ title }) => title)).toContain(
      "api is not watched any more · bot-platform · production",
    );
    expect(bench.resolved).toEqual([]);
    const from = bench.now();
    await bench.pass(2 * MINUTE);
    const names = bench.world.checks.filter(({ at }) => at > from).map(({ name }) => name);
    expect(names.filter((name) => name === "api").length).toBeLessThanOrEqual(0);
    expect(names.filter((name) => name === "db").length).toBeGreaterThanOrEqual(11);
    expect(names.filter((name) => name === "new").length).toBeGreaterThanOrEqual(2);
  });

  it("is refused without a change while the journal cannot tell of a new probe, and taken up when it can", async () => {
    const { bench, journal } = await benchOn();
    const ids = () =>
      bench
        .health()
        .desks()
        .map(({ id }) => id);
    journal.mood("away");
    const next = planOf({ probes: [probeNamed("api"), probeNamed("new")] });
    await expect(bench.reload([next])).rejects.toThrow("away");
    await bench.pass(20 * SECOND);
    expect(ids()).toEqual(["bots/api"]);
    journal.mood("well");
    await bench.pass(10 * SECOND);
    expect(ids()).toEqual(["bots/api", "bots/new"]);
    await bench.pass(2 * MINUTE);
    expect(bench.world.checks.some(({ name }) => name === "new")).toBe(true);
  });

  it("takes up the others when the record of one can never be read, and pages about that one", async () => {
    const memory = createSubjectMemory();
    const journal: SubjectJournal = {
      ...memory,
      async subject(kind, id) {
        if (id === "bots/api")
          throw new OutsideFault("it was written by a newer Belay", { recoverable: false });
        return memory.subject(kind, id);
      },
    };
    const bench = await startBench(planOf({ probes: [probeNamed("api"), probeNamed("db")] }), journal);
    await bench.pass(2 * MINUTE);
    expect(new Set(bench.world.checks.map(({ name }) => name))).toEqual(new Set(["db"]));
    expect(bench.sent.map(({ key }) => key)).toEqual(["page:probe:bots/api:unreadable"]);
  });

  it("at the start closes what no file names any more, and leaves its page to a person", async () => {
    const api = probeNamed("api", { page: "P1", degraded: "It is being restarted." });
    const { bench, journal } = await benchOn(planOf({ probes: [api, probeNamed("db")] }));
    bench.world.effect = "nothing";
    bench.world.down.set("api", "bad");
    await bench.until("a restart", () => bench.world.restarts.length === 1);
    await bench.restart([planOf({ probes: [probeNamed("db")] })]);
    expect((await bench.kinds()).at(-1)).toBe("retired");
    expect(bench.resolved).toEqual([]);
    const [post] = postsOf(journal, "#ops");
    expect(post?.title).toBe("api is not watched any more · bot-platform · production");
    expect(post?.words).toContain("what came of it is not known");
    const users = postsOf(journal, "#users");
    expect(users.map(({ key }) => key)).toEqual(["post:probe:bots/api:1:users"]);
    expect(users[0]?.words).toContain("It was failing when last seen.");
  });
});

describe("commands", () => {
  it("show one line for each probe, the trouble first, and the facts for the daily post", async () => {
    const { bench } = await benchOn(planOf({ probes: [probeNamed("db"), probeNamed("api")] }));
    bench.world.effect = "nothing";
    bench.world.down.set("api", "bad");
    await bench.pass(4 * MINUTE);
    const answer = bench.commands().status();
    expect(answer.text).toBe("2 probes: 1 well, 1 failing.");
    expect(answer.lines[0]).toMatch(
      /^bots\/api: FAILING since 12:0\d .* · no answer · 2 of 3 restarts left$/,
    );
    expect(answer.lines[1]).toMatch(
      /^bots\/db: well at least since .* · 200 in 100 ms · 2 of 3 restarts left$/,
    );
    expect(bench.commands().status("other")).toMatchObject({ ok: false, code: "unknown_watch" });
    expect(bench.health().facts("bots")).toMatchObject([
      { name: "db", state: "well" },
      { name: "api", state: "failing", detail: "no answer" },
    ]);
  });

  it("call no probe well whose last check was bad or that was never checked", async () => {
    const { bench } = await benchOn();
    expect(bench.commands().status().lines).toEqual(["bots/api: no check yet · 3 of 3 restarts left"]);
    bench.world.down.set("api", "bad");
    await bench.until("a check", () => bench.world.checks.length === 1);
    await bench.pass(SECOND);
    expect(bench.commands().status()).toMatchObject({
      text: "1 probe: 0 well, 1 with a bad last check.",
      lines: ["bots/api: last check BAD, too few of them yet to fail · no answer · 3 of 3 restarts left"],
    });
  });

  it("say since when a probe is well only where that is known, and that nobody can tell as soon as nobody can", async () => {
    const { bench } = await benchOn();
    await bench.pass(2 * MINUTE);
    const line = (): string | undefined => bench.commands().status().lines[0];
    expect(line()).toContain("well at least since 12:00");
    await bench.commands().mute("api", MINUTE, operator(ANA));
    expect(line()).toContain("well at least since 12:00");
    bench.world.down.set("api", "unknown");
    await bench.pass(70 * SECOND);
    expect(bench.health().facts("bots")).toMatchObject([{ name: "api", state: "unknown" }]);
    expect(bench.commands().status().text).toMatch(/1 unknown/);
  });

  it("tell a probe's history in the watch's own time", async () => {
    const { bench } = await benchOn(planOf({ zone: "Europe/Helsinki" }));
    expect((await bench.commands().history("api")).text).toBe("bots/api has always been well.");
    bench.world.down.set("api", "bad");
    await bench.pass(6 * MINUTE);
    const { lines } = await bench.commands().history("api");
    expect(lines[0]).toMatch(/^2026-11-23 14:0\d:\d\d fails: no answer$/);
    expect(lines.at(-1)).toMatch(/recovered in .* \(within 5 min\), 1 restart by Belay$/);
  });

  it.each<[string, string]>([
    ["nothing", "unknown_probe"],
    ["p", "ambiguous"],
    ["p1", "shown"],
    ["bots/p2", "shown"],
  ])("find the probe that %s means", async (name, code) => {
    const { bench } = await benchOn(planOf({ probes: [probeNamed("p1"), probeNamed("p2")] }));
    expect((await bench.commands().history(name)).code).toBe(code);
  });

  it("restart by target or probe, for operators, close the circuit, and use up nothing", async () => {
    const { bench } = await benchOn(planOf({ probes: [probeNamed("api", { intervalMs: 10 * SECOND })] }));
    expect(await bench.commands().restart("ollama", viewer(ANA), "k1")).toMatchObject({
      ok: false,
      code: "not_authorised",
    });
    expect(bench.world.restarts).toEqual([]);
    bench.world.effect = "fails";
    bench.world.down.set("api", "bad");
    await bench.until("an open circuit", async () => (await bench.kinds()).includes("circuit_opened"));
    const failed = bench.commands().restart("api", operator(ANA), "k2");
    await bench.pass(10 * SECOND);
    expect(await failed).toMatchObject({ ok: false, code: "restart_failed" });
    expect(bench.health().desks()[0]?.state()).toMatchObject({ circuitOpen: false, restarts: [] });
    bench.world.effect = "cures";
    const done = bench.commands().restart("bots/ollama", operator(ANA), "k3");
    await bench.pass(30 * SECOND);
    expect(await done).toMatchObject({
      ok: true,
      text: "@ana restarted bots/ollama: it runs again after 5 s; its probes decide whether it is well.",
    });
  });

  it.each<[string, number, boolean, string]>([
    ["too short", SECOND, true, "bad_value"],
    ["too long", 25 * HOUR, true, "bad_value"],
    ["no number", Number.NaN, true, "bad_value"],
    ["not an operator", HOUR, false, "not_authorised"],
    ["good", HOUR, true, "done"],
  ])("mute: %s", async (_, ms, may, code) => {
    const { bench } = await benchOn();
    const asker = may ? operator(ANA) : viewer(ANA);
    expect((await bench.commands().mute("api", ms, asker)).code).toBe(code);
    expect((await bench.kinds()).includes("muted")).toBe(code === "done");
    expect((await bench.commands().unmute("api", viewer(ANA))).code).toBe(
      code === "done" ? "done" : "already",
    );
  });
});
