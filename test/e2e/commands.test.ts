/** Everything people mistype, press twice or send at once, to the real Belay: each gets a clear private answer, and nothing changes or is lost. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { FakeSlack } from "../fakes/slack/server.ts";
import { belay } from "../support/command-line.ts";
import { eventually, until } from "../support/eventually.ts";
import { type LaneGround, layLane } from "../support/lanes.ts";
import {
  CHANNEL,
  flagsIn,
  keyedMessages,
  privateNotes,
  readJournal,
  type ShortWorld,
  startShortWorld,
  TOKEN,
} from "../support/short-world.ts";

const CARD = "card:";
const BROKEN = "rollout: broken\nflags: ops\nstages:\n  - { at: 0h, name: x, enabel: one }\n";
const BIG = "x".repeat(5 * 1024 * 1024);

let dir: string;
let ground: LaneGround;
let spare: LaneGround;
let world: ShortWorld;
let slack: FakeSlack;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "belay-commands-"));
  // Its channel is the one that people of the workspace know.
  ground = await layLane({ name: "ops", soak: "1h", dir, channel: CHANNEL });
  spare = await layLane({ name: "spare", soak: "1h", dir, announced: false });
  const house = { ...ground.house, ...spare.house, "schedules/broken.yaml": BROKEN };
  world = await startShortWorld({ dir: join(dir, "world"), house });
  slack = world.slack;
});

afterAll(async () => {
  await world.stop();
  await Promise.all([ground.liar.close(), spare.liar.close()]);
  rmSync(dir, { recursive: true, force: true });
});

/** What nobody's mistake may change: the flags as they are in the file, and where each rollout stands. */
async function standing(): Promise<string> {
  const runs = await world.runs();
  const where = runs.map(({ run, phase, holds, stages }) => ({ run, phase, holds, stages }));
  const flags = [ground, spare].map((lane) => readFileSync(lane.flagsPath, "utf8"));
  return JSON.stringify([flags, where], (key, value) =>
    ["soakedMs", "creditedTo"].includes(key) ? undefined : value,
  );
}

/** The private answer to a line that must change nothing. */
async function answerTo(user: string, line: string): Promise<string> {
  const before = await standing();
  const answer = await world.type(user, line);
  expect(await standing()).toBe(before);
  return answer;
}

/** The answers to `count` acts, newest last. */
async function answersAfter(users: readonly string[], count: number, act: () => Promise<unknown>) {
  const all = () => users.flatMap((user) => privateNotes(slack, user));
  const known = new Set(all().map((note) => note.ts));
  const fresh = () => all().filter((note) => !known.has(note.ts));
  await act();
  await until(`${count} answers`, () => fresh().length >= count, {
    instead: () =>
      fresh()
        .map((note) => slack.textOf(note))
        .join("\n"),
  });
  return fresh().map((note) => slack.textOf(note));
}

function cardTs(): string {
  const card = keyedMessages(slack).find(({ key }) => key.startsWith(CARD));
  if (card === undefined) throw new Error("there is no card");
  return card.message.ts;
}

async function cardSays(words: string): Promise<void> {
  await slack.waitForMessage(CHANNEL, (message, text) => message.ts === cardTs() && text.includes(words), {
    timeoutMs: 15_000,
  });
}

/** One line that must change nothing, and what the answer to it says. */
function mistake(what: string, line: string, ...says: readonly RegExp[]) {
  return { what, line, says };
}

const MISTAKES = [
  mistake("an unknown rollout", "/rollout start opps", /no rollout opps/, /Did you mean ops\?/),
  mistake("one unlike all others", "/rollout start payments", /no rollout payments/, /Known: ops/),
  mistake("an unknown flag", "/rollout enable paralel", /no stage or flag paralel/, /Known: .*one, two/),
  mistake("a flag with a slip", "/rollout enable tow", /did you mean two\?/, /\[Enable two\]/),
  mistake(
    "an unknown stage",
    "/rollout enable thrid-ops",
    /no stage or flag thrid-ops/,
    /did you mean third-ops|Known: /,
  ),
  mistake("a rollback with nothing live", "/rollout rollback", /No rollout is live/, /\/rollout list shows/),
  mistake(
    "an unknown verb",
    "/rollout frobnicate",
    /frobnicate is not a command/,
    /\/belay help/,
    /\[Help\]/,
  ),
  mistake("a verb with a slip", "/rollout statsu", /did you mean status\?/, /\[Run status\]/),
  mistake("another environment", "/rollout start ops env=prod", /not prod/, /leave env= out/),
  mistake("an open quote", "/rollout start “ops", /quote is opened and not closed/, /Close it/),
  mistake("smart quotes", "/rollout unlock “one” because “it is ‘fixed’ now”", /one is not locked/),
  mistake("an unknown option", "/rollout start ops —force", /does not know the option force/),
  mistake("too many words", "/rollout hold ops please now", /is one word too many/, /Usage: \/rollout hold/),
  mistake(
    "a malformed file",
    "/rollout start broken",
    /schedules\/broken\.yaml:4:24: .*enabel/,
    /Mend the file/,
  ),
  mistake(
    "a 5 MB command",
    `/rollout start ops ${BIG}`,
    /characters; a command has at most 2000/,
    /Shorten it/,
  ),
  mistake("a 5 MB mention", `@belay rollout start ops ${BIG}`, /a command has at most 2000/, /Shorten it/),
  mistake("a guest", "/rollout start ops", /Guests cannot give Belay commands/, /ask a full member/),
];

describe("before anything is live", () => {
  test.each(MISTAKES)("$what", async ({ what, line, says }) => {
    const answer = await answerTo(what === "a guest" ? "gus" : "ana", line);
    expect(answer).toContain("Nothing changed.");
    for (const words of says) expect(answer).toMatch(words);
  });

  test("the list says which file is not loaded, and where its mistake is", async () => {
    const answer = await answerTo("ana", "/rollout list");
    expect(answer).toMatch(/ops \(ingestion, ops\)/);
    expect(answer).toMatch(/schedules\/broken\.yaml:4:24: error: unknown key enabel/);
  });

  test("`belay check` names the same place and fails", async () => {
    const { code, out } = await belay({}, "check", world.house);
    expect(out).toMatch(/schedules\/broken\.yaml:4:24: error: unknown key `enabel`/);
    expect(code).toBe(1);
  });

  test("a file that becomes malformed does not take the loaded rollout away", async () => {
    const path = join(world.house, "schedules/ops.yaml");
    const sound = readFileSync(path, "utf8");
    writeFileSync(path, "rollout: [");
    process.kill(world.belay.pid() ?? 0, "SIGHUP");
    const list = await eventually("the mistake in the list", async () => {
      const text = (await world.command("rollout list")).lines.join("\n");
      return text.includes("schedules/ops.yaml") ? text : undefined;
    });
    expect(list).toMatch(/^ops \(ingestion, ops\): first-ops, second-ops$/m);
    expect(list).toMatch(/schedules\/ops\.yaml:1:\d+: error:/);
    writeFileSync(path, sound);
    process.kill(world.belay.pid() ?? 0, "SIGHUP");
    await until("the mistake gone", async () => {
      const text = (await world.command("rollout list")).lines.join("\n");
      return !text.includes("schedules/ops.yaml");
    });
  });
});

describe("with a rollout live", () => {
  test("a command that Slack delivers twice, while another person types the same, starts one rollout", async () => {
    const answers = await answersAfter(["ana", "ben"], 2, async () => {
      slack.duplicateNext("slash_commands");
      const [first, second] = await Promise.all([
        slack.type("ana", CHANNEL, "/rollout start ops"),
        slack.type("ben", CHANNEL, "/rollout start ops"),
      ]);
      expect([first.outcome, second.outcome]).toEqual(["ok", "ok"]);
    });
    await world.event("stage_enabled");
    expect(answers.filter((text) => /ops starts at first-ops/i.test(text))).toHaveLength(1);
    expect(answers.filter((text) => /already live as r-\w+.*Nothing changed/s.test(text))).toHaveLength(1);
    expect(answers).toHaveLength(2);
    expect(await world.runs()).toHaveLength(1);
    expect(flagsIn(ground.flagsPath)).toMatchObject({ OPS_ONE: "true", OPS_TWO: "false" });
    await cardSays("SOAKING");
    expect(keyedMessages(slack).filter(({ key }) => key.startsWith(CARD))).toHaveLength(1);
  });

  test("an unknown stage to roll back to leaves everything on", async () => {
    const answer = await answerTo("ben", "/rollout rollback to nowhere");
    expect(answer).toMatch(/no stage or flag nowhere\. Known: first-ops/);
    expect(answer).toContain("Nothing changed.");
  });

  test("a double click holds once and says so twice", async () => {
    const press = { text: "Hold", confirm: true };
    const answers = await answersAfter(["ben"], 2, () =>
      Promise.all([
        slack.click("ben", CHANNEL, cardTs(), press),
        slack.click("ben", CHANNEL, cardTs(), press),
      ]),
    );
    expect(answers.filter((text) => /^Holding ops/i.test(text))).toHaveLength(1);
    expect(answers.filter((text) => text.includes("already held by @ben"))).toHaveLength(1);
    const held = (await world.events((await world.run()).run)).filter(({ event }) => event.kind === "held");
    expect(held).toHaveLength(1);
  });

  test("a stale button changes nothing and says where to look", async () => {
    await cardSays("HELD");
    expect((await world.command("rollout resume")).ok).toBe(true);
    await cardSays("SOAKING");
    // The card still offers to go on while a hold is in force that it cannot show yet.
    slack.inject({ on: "chat.update", kind: "ratelimited", retryAfterS: 3, times: 4 });
    expect((await world.command("rollout hold")).ok).toBe(true);
    const before = await standing();
    const [answer] = await answersAfter(["ana"], 1, () =>
      slack.click("ana", CHANNEL, cardTs(), { text: "Advance early", confirm: true }),
    );
    expect(answer).toMatch(/has moved on since that button was shown; the card shows where it is now/);
    expect(answer).toContain("Nothing changed.");
    expect(await standing()).toBe(before);
    slack.clearFaults();
    expect((await world.command("rollout resume")).ok).toBe(true);
  });

  test("two people at once, one forward and one back: going back wins and the other is told", async () => {
    const answers = await answersAfter(["ana", "ben"], 2, () =>
      Promise.all([
        slack.type("ana", CHANNEL, "/rollout rollback all"),
        slack.type("ben", CHANNEL, "/rollout advance"),
      ]),
    );
    await world.event("rollback_off");
    expect(answers.some((text) => /Rolling back|Taking back/.test(text))).toBe(true);
    expect(flagsIn(ground.flagsPath)).toMatchObject({ OPS_ONE: "false", OPS_TWO: "false" });
    const again = await world.type("ben", "/rollout rollback all");
    expect(again).toMatch(/already|nothing is on/i);
    console.log([...answers, again].join("\n"));
  });
});

describe("`belay do`", () => {
  const http = (): Record<string, string> => ({ BELAY_STATE: join(dir, "elsewhere"), BELAY_URL: world.url });
  const socket = (): Record<string, string> => ({ BELAY_STATE: world.state });

  test("by the socket, by HTTP and token, with a wrong token, and without one", async () => {
    const before = await standing();
    const [bySocket, byHttp, wrong, none, slip] = await Promise.all([
      belay(socket(), "do", "rollout status ops"),
      belay({ ...http(), BELAY_TOKEN: TOKEN }, "do", "rollout status ops"),
      belay({ ...http(), BELAY_TOKEN: "another-token-altogether" }, "do", "rollout rollback all"),
      belay(http(), "do", "rollout advance"),
      belay(socket(), "do", "rollout enable tow"),
    ]);
    for (const ran of [bySocket, byHttp]) {
      expect(ran).toMatchObject({ code: 0, err: "" });
      expect(ran.out).toMatch(/ops \(r-\w+\):/);
    }
    expect(wrong.code).toBe(2);
    expect(wrong.err).toMatch(/could not be asked: it takes another token: BELAY_TOKEN/);
    expect(none.code).toBe(2);
    expect(none.err).toMatch(/BELAY_TOKEN/);
    expect(slip).toMatchObject({ code: 1 });
    expect(slip.out).toMatch(
      /did you mean `two`\? Nothing changed\.\nYou can:\n {2}belay do 'rollout enable two'/,
    );
    expect(await standing()).toBe(before);
    console.log([wrong.err, none.err, slip.out].join("\n"));
  });

  test("5 MB over HTTP is refused at the door", async () => {
    const response = await fetch(`${world.url}/v1/do`, {
      method: "POST",
      headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
      body: JSON.stringify({ text: BIG }),
    });
    expect(response.status).toBe(413);
    expect(await response.text()).toMatch(/too long: at most 64 KiB/);
  });

  test("with several rollouts live it asks which one", async () => {
    expect((await world.command("rollout start spare")).ok).toBe(true);
    await world.event("stage_enabled");
    const before = await standing();
    const asked = await world.command("rollout hold");
    expect(asked).toMatchObject({ ok: false, code: "ambiguous" });
    expect(asked.text).toMatch(/several rollouts are live: .*Which one\? Nothing changed\./i);
    expect(await standing()).toBe(before);
  });

  test("with no Belay running: nothing forward, but reads and the rollback work alone", {
    timeout: 120_000,
  }, async () => {
    await world.belay.stop();
    const env = { ...socket(), BELAY_DIR: world.house };
    const forward = await belay(env, "do", "rollout advance spare");
    expect(forward.code).toBe(2);
    expect(forward.err).toMatch(
      /Belay is not running, and nothing goes forward unwatched\..*`rollback`, `hold`/s,
    );
    for (const command of ['oncall page P0 bots "all burns"', "oncall ack", "health", "schedule missed"]) {
      const desk = await belay(env, "do", command);
      expect(desk).toMatchObject({ code: 2, out: "" });
      expect(desk.err).toMatch(
        /Belay is not running on \S+: it pages nobody.*Nothing changed\..*in PagerDuty itself/s,
      );
    }
    const help = await belay(env, "do", "help");
    expect(help).toMatchObject({ code: 0 });
    expect(help.out).toContain("/belay oncall");
    const odd = await belay(env, "do", "oncal who");
    expect(odd).toMatchObject({ code: 2, err: expect.stringContaining("did you mean `oncall`?") });
    const read = await belay(env, "do", "rollout status spare");
    expect(read).toMatchObject({ code: 0 });
    expect(read.out).toMatch(/SOAKING/);
    expect(flagsIn(spare.flagsPath)).toMatchObject({ SPARE_ONE: "true" });
    const back = await belay(env, "do", "rollout rollback all rollout=spare");
    expect(back).toMatchObject({ code: 0 });
    expect(back.out).toMatch(/Rolling back one\.\nRead back from the flag store as off\./);
    expect(flagsIn(spare.flagsPath)).toMatchObject({ SPARE_ONE: "false" });
    console.log([forward.err, read.out, back.out].join("\n"));
    const journal = await readJournal(world.state);
    expect(journal.chain.ok).toBe(true);
    expect(journal.unanswered).toEqual([]);
  });
});

test("no rule of Slack's was broken meanwhile", () => {
  expect(slack.violations()).toEqual([]);
});
