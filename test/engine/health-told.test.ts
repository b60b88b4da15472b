/** What people read of a probe's trouble: nothing is promised that nobody does, and one outage is one page. */
import { describe, expect, it } from "vitest";
import { parseCommand } from "../../src/core/command.ts";
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
import type { SubjectMemory } from "../support/subject-memory.ts";

const RESTARTING = "Answers are slow: the model server is being restarted.";
const quick = (more: Parameters<typeof probeNamed>[1] = {}) =>
  probeNamed("api", { intervalMs: 10 * SECOND, degraded: RESTARTING, ...more });

function wordsIn(journal: SubjectMemory, channel: string): string {
  return postsOf(journal, channel)
    .map(({ words }) => words)
    .join("\n");
}

async function died(bench: Bench): Promise<void> {
  const before = bench.world.restarts.length;
  bench.world.down.set("api", "bad");
  await bench.until("a restart", () => bench.world.restarts.length > before, 10 * MINUTE);
  await bench.until("it is well", () => bench.health().desks()[0]?.state().phase === "well", 10 * MINUTE);
}

describe("a service that dies three times in half an hour", () => {
  it("is restarted and paged each time, the last time as flapping too", async () => {
    const { bench, journal } = await benchOn(planOf({ probes: [quick({ page: "P1" })] }));
    await died(bench);
    await bench.pass(4 * MINUTE);
    await died(bench);
    expect(await bench.kinds()).toContain("flapping");
    await bench.pass(4 * MINUTE);
    await died(bench);
    expect(bench.world.restarts).toHaveLength(3);
    const pages = pagesOf(journal).map((page) => page.replace(/ .*:/, " "));
    expect(pages).toEqual(["P1 failing", "P1 failing", "P2 flapping", "P1 failing"]);
    expect(wordsIn(journal, "#ops")).toContain(
      "Flapping: it goes up and down; Belay goes on within its budget",
    );
  });
});

describe("users", () => {
  it("read of restarts only while there are some", async () => {
    const { bench, journal } = await benchOn(planOf({ probes: [quick()] }));
    bench.world.effect = "fails";
    bench.world.down.set("api", "bad");
    await bench.until("it fails", async () => (await bench.kinds()).includes("failing"));
    expect(wordsIn(journal, "#users")).toContain(RESTARTING);
    await bench.until("it is given up", async () => (await bench.kinds()).includes("circuit_opened"));
    expect(wordsIn(journal, "#users")).not.toContain("restarted");
    expect(wordsIn(journal, "#users")).toContain("bot-platform is down; people are on it.");
  });

  it("read of a failure that was muted before it began, and of its end", async () => {
    const { bench, journal } = await benchOn(planOf({ probes: [quick()] }));
    await bench.commands().mute("api", 10 * MINUTE, operator(ANA));
    bench.world.down.set("api", "bad");
    await bench.until("it fails", async () => (await bench.kinds()).includes("failing"));
    expect(wordsIn(journal, "#users")).toContain("bot-platform is down; people are on it.");
    expect(wordsIn(journal, "#ops")).not.toContain("fails");
    bench.world.down.clear();
    await bench.until("it is well", async () => (await bench.kinds()).includes("recovered"));
    expect(wordsIn(journal, "#users")).toContain("back to normal");
  });

  it("read of none while it is muted, where no target is named, and where another probe used them up", async () => {
    const muted = await benchOn(planOf({ probes: [quick()] }));
    muted.bench.facts.step = true;
    muted.bench.world.down.set("api", "bad");
    await muted.bench.until("it fails", async () => (await muted.bench.kinds()).includes("failing"));
    await muted.bench.commands().mute("api", 10 * MINUTE, operator(ANA));
    expect(wordsIn(muted.journal, "#users")).toContain("bot-platform is down; people are on it.");

    const { restart: _, ...alone } = quick();
    const none = await benchOn(planOf({ probes: [alone] }));
    none.bench.world.down.set("api", "bad");
    await none.bench.until("it fails", async () => (await none.bench.kinds()).includes("failing"));
    expect(wordsIn(none.journal, "#users")).toContain("bot-platform is down: api fails.");

    const shared = await benchOn(
      planOf({ probes: [probeNamed("db", { intervalMs: 10 * SECOND }), quick()] }),
    );
    shared.bench.world.effect = "fails";
    shared.bench.world.down.set("db", "bad");
    const kinds = () => shared.bench.kinds("bots/db");
    await shared.bench.until("it is given up", async () => (await kinds()).includes("circuit_opened"));
    shared.bench.world.down.set("api", "bad");
    await shared.bench.until("it fails", async () => (await shared.bench.kinds()).includes("failing"));
    expect(wordsIn(shared.journal, "#users")).toContain("bot-platform is down; people are on it.");
  });
});

describe("one outage", () => {
  const budget = { most: 1, withinMs: 30 * MINUTE };
  const givenUp = async (isPaged: boolean) => {
    const { bench, journal } = await benchOn(planOf({ probes: [quick({ page: "P0" })], budget }));
    if (!isPaged) bench.facts.isPaged = () => false;
    bench.world.effect = "fails";
    bench.world.down.set("api", "bad");
    await bench.until("it is given up", async () => (await bench.kinds()).includes("circuit_opened"));
    return journal;
  };

  it("is one page: that Belay gave up is said in the channel", async () => {
    const journal = await givenUp(true);
    expect(pagesOf(journal)).toEqual(["P0 probe:bots/api:1:failing"]);
    expect(wordsIn(journal, "#ops")).toContain("still fails after 1 restart of ollama in 30 min");
    expect(postsOf(journal, "#ops").at(-1)?.title).toContain("Belay restarts it no more");
    expect(wordsIn(journal, "#ops")).toContain("1 restart in 30 min was not enough");
  });

  it("pages again when Belay gives up and somebody has resolved the page", async () => {
    const pages = pagesOf(await givenUp(false));
    expect(pages).toHaveLength(2);
    expect(pages[1]).toMatch(/:circuit$/);
  });
});

describe("what comes next", () => {
  it("names the restart and its time, and after one the probe's look", async () => {
    const { bench, journal } = await benchOn(planOf({ probes: [quick()] }));
    bench.world.effect = "nothing";
    bench.world.down.set("api", "bad");
    await bench.until("a restart is done", async () => (await bench.kinds()).includes("restart_done"));
    const words = wordsIn(journal, "#ops");
    expect(words).toContain("ollama: runs again after 5 s; the probe decides");
    expect(words).toMatch(
      /Next: the probe looks next; if it still fails, restart 2 of 3 of ollama at 2026-11-23T12:01:\d\d\.\d+Z at the soonest/,
    );
    const [, second] = /restart 2 of 3 of ollama at (\S+)/.exec(words) ?? [];
    await bench.until("the next", () => bench.world.restarts.length === 2);
    const at = Date.UTC(2026, 10, 23, 12) + (bench.world.restarts[1]?.at ?? 0);
    expect(at - Date.parse(second ?? "")).toBeGreaterThanOrEqual(0);
    expect(at - Date.parse(second ?? "")).toBeLessThan(35 * SECOND);
  });
});

describe("a mute", () => {
  it("of what fails stands on its message with a way back, and says that its page stays", async () => {
    const { bench, journal } = await benchOn(planOf({ probes: [quick({ page: "P1" })] }));
    bench.facts.step = true;
    bench.world.down.set("api", "bad");
    await bench.until("it fails", async () => (await bench.kinds()).includes("failing"));
    const answer = await bench.commands().mute("api", 10 * MINUTE, operator(ANA));
    expect(answer.text).toMatch(
      /^@ana muted bots\/api until 12:1\d:\d\d \(UTC\): .* A page of it that is open already stays open\.$/,
    );
    expect(wordsIn(journal, "#ops")).toMatch(/Muted: by @ana until 2026-11-23T12:1\d/);
    const offers = [...journal.owed.values()].flatMap(({ draft }) =>
      draft.body.kind === "post" ? draft.body.post.offers.map(({ label }) => label) : [],
    );
    expect(offers).toEqual(["Restart now", "Unmute"]);
    await bench.commands().unmute("api", operator(ANA));
    expect(wordsIn(journal, "#ops")).not.toContain("Muted");
  });

  it("for 400 days is too long, not unreadable", async () => {
    const { bench } = await benchOn();
    const parsed = parseCommand("health mute api 400d", "belay");
    if ("kind" in parsed) throw new Error(parsed.message);
    const { text } = await healthDesk(bench.commands())(parsed, operator(ANA), "k1");
    expect(text).toBe("That is too long: a probe is muted for a time from 1m to 24h. Nothing changed.");
  });
});

describe("a person's restart of what does not fail", () => {
  it("is told in the channel in one message, with how it went", async () => {
    const { bench, journal } = await benchOn(planOf({ targets: [targetNamed("ollama", 2)] }));
    const given = bench.commands().restart("ollama", operator(ANA), "k1");
    await bench.pass(2 * SECOND);
    expect(postsOf(journal, "#ops").map(({ title }) => title)).toEqual([
      "@ana restarts ollama, replica 1 of 2 · bot-platform · production",
    ]);
    await bench.pass(20 * SECOND);
    expect(await given).toMatchObject({ ok: true });
    const posts = postsOf(journal, "#ops");
    expect(posts).toHaveLength(1);
    expect(posts[0]?.words).toContain("replica 2 of 2 of bot-platform in production: runs again after 5 s");
  });
});

describe("the answer to /belay health", () => {
  it("counts what is not known and what is muted, and says why", async () => {
    const probes = ["a", "b", "c", "d"].map((name) => probeNamed(name));
    const { bench } = await benchOn(planOf({ probes }));
    bench.world.down.set("b", "unknown");
    bench.world.down.set("c", "unknown");
    await bench.pass(2 * MINUTE);
    await bench.commands().mute("d", 10 * MINUTE, operator(ANA));
    expect(bench.commands().status().text).toBe("4 probes: 1 well, 2 unknown: no answer, 1 muted.");
  });

  it("names the targets where none has the name", async () => {
    const { bench } = await benchOn();
    expect(await bench.commands().restart("nothing", operator(ANA), "k1")).toMatchObject({
      ok: false,
      text: "No target is named nothing; targets: bots/ollama. Nothing changed.",
    });
  });
});
