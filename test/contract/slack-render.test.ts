/** What people read: the card in each phase of a rollout, the messages that notify, private answers, and the buttons with what they carry. */
import type { KnownBlock } from "@slack/types";
import { beforeAll, expect, test } from "vitest";
import { messageProblems } from "../../src/adapters/slack/block-rules.ts";
import { buttonsOf, readValue } from "../../src/adapters/slack/buttons.ts";
import { renderAlert } from "../../src/adapters/slack/render-alert.ts";
import { renderAnswer, renderNote } from "../../src/adapters/slack/render-answer.ts";
import { renderCard } from "../../src/adapters/slack/render-card.ts";
import { escapeCut, instant, type Rendered } from "../../src/adapters/slack/render-text.ts";
import type { Plan } from "../../src/core/plan.ts";
import { alertOf } from "../../src/core/report/alert.ts";
import { cardOf } from "../../src/core/report/card.ts";
import type { AlertKind } from "../../src/core/report/told.ts";
import { HOUR, MINUTE } from "../../src/core/time.ts";
import type { RunView } from "../../src/engine/ports.ts";
import { checkBlocks } from "../fakes/slack/block-kit.ts";
import { isObject, type JsonObject } from "../fakes/slack/json.ts";
import { checkMrkdwn, mrkdwnTexts } from "../fakes/slack/mrkdwn.ts";
import { textOf } from "../fakes/slack/text.ts";
import { ANA, BEN, ingestionPlan, longPlan, Story } from "../support/slack-run.ts";

const BELAY = { kind: "belay" } as const;
let plan: Plan;

beforeAll(async () => {
  plan = await ingestionPlan();
});

/** The blocks as they go over the wire. */
function wire(blocks: readonly KnownBlock[]): readonly JsonObject[] {
  const decoded: unknown = JSON.parse(JSON.stringify(blocks));
  return Array.isArray(decoded) ? decoded.filter(isObject) : [];
}

/** As a person reads it; on the way, what Slack would refuse or misunderstand is refused. */
function read(message: Rendered): readonly string[] {
  const blocks = wire(message.blocks);
  expect(messageProblems(message)).toEqual([]);
  expect(blocks.length === 0 ? [] : checkBlocks(blocks, "message")).toEqual([]);
  expect([message.text, ...mrkdwnTexts(blocks)].flatMap(checkMrkdwn)).toEqual([]);
  expect(message.text).not.toBe("");
  return textOf({ text: message.text, blocks }).replaceAll("\u00a0", " ").split("\n");
}

function card(view: RunView): Rendered {
  const { text, blocks } = renderCard(cardOf(view), { zone: "UTC", nowWall: view.now.wall });
  return { text, blocks };
}

function alert(view: RunView, about: AlertKind, seq: number, pageMention?: string): Rendered {
  const model = alertOf(view, about, seq);
  if (model === undefined) throw new Error("no such alert");
  const seen = { run: view.state.run, face: view.state.face };
  const wantsPeople = about === "page" || about === "rollback";
  return renderAlert(model, {
    dates: { zone: "UTC", nowWall: view.now.wall },
    seen,
    mention: wantsPeople ? pageMention : undefined,
  });
}

const buttonsIn = (message: Rendered): readonly JsonObject[] =>
  wire(message.blocks)
    .filter((block) => block.type === "actions")
    .flatMap((block) => (Array.isArray(block.elements) ? block.elements.filter(isObject) : []));
const labelsIn = (message: Rendered): readonly unknown[] =>
  buttonsIn(message).map((button) => (isObject(button.text) ? button.text.text : undefined));

const FIGURES = {
  failures: { value: 0.0003, at: 0 },
  latency: { value: 0.188, at: 0 },
  memory: { value: 810_000_000, at: 0 },
  alive: { value: 1, at: 0 },
};

function soaking(): Story {
  const story = new Story(plan);
  story.figures = { ...FIGURES };
  return story
    .pass(0)
    .pass(1)
    .begin(2)
    .wait(41 * MINUTE);
}

test("scheduled: the stages with their planned times", () => {
  expect(read(card(new Story(plan).view()))).toMatchInlineSnapshot(`
    [
      "Rollout ingestion · production · SCHEDULED",
      "the next step is due.",
      "░░░░░░░░░░░░░░░░░░░░ 0 %  ·  stage 0 of 6",
      "○  09:00 UTC · Hour 0 · baseline all OFF · planned",
      "○  10:00 UTC · Hour 1 · parse-cache ON · planned",
      "○  12:00 UTC · Hour 3 · batching ON · planned",
      "○  14:00 UTC · Hour 5 · neo4j-batch ON · planned",
      "○  16:00 UTC · Hour 7 · parallel ON · planned",
      "○  2026-11-24 09:00 UTC · Day 2 · review sign-off · planned",
      "Guards  failures not asked yet  ·  latency not asked yet  ·  memory not asked yet  ·  alive not asked yet",
      "r-7 · ingestion · started by @ana 09:00 UTC · as of 09:00 UTC",
      "[Hold] [Evidence]",
    ]
  `);
});

test("soaking: where it stands, how far it is, what each guard measures, what can be done", () => {
  const message = card(soaking().view(41 * MINUTE));
  expect(read(message)).toMatchInlineSnapshot(`
    [
      "Rollout ingestion · production · SOAKING",
      "batching soaks, 1 h 19 min left.",
      "██░░░░░░░░░░░░░░░░░░ 7 %  ·  stage 3 of 6  ·  next step 13:59 UTC",
      "✔  09:00 UTC · Hour 0 · baseline all OFF · soaked 1 h",
      "✔  09:59 UTC · Hour 1 · parse-cache ON · soaked 2 h",
      "▶  11:59 UTC · Hour 3 · batching ON · soaked 41 min of 2 h",
      "○  14:00 UTC · Hour 5 · neo4j-batch ON · planned",
      "○  16:00 UTC · Hour 7 · parallel ON · planned",
      "○  2026-11-24 09:00 UTC · Day 2 · review sign-off · planned",
      "Guards  failures 0.03 % (≤ 2 %)  ·  latency 188 ms (≤ 250 ms)  ·  memory 772 MiB (≤ 1 GiB)  ·  alive up",
      "r-7 · ingestion · started by @ana 09:00 UTC · as of 12:40 UTC",
      "[Roll back batching] [Roll back all] [Hold] [Advance early] [Evidence]",
    ]
  `);
  expect(message.text).toMatchInlineSnapshot(
    `"Rollout ingestion in production is at stage 3 of 6, SOAKING: batching soaks, 1 h 19 min left."`,
  );
});

test("a breach is said in words, first and alone, and so is missing evidence", () => {
  const story = soaking();
  story.figures = { ...FIGURES, failures: { value: 0.042, at: 0 }, latency: { trouble: "empty", at: 0 } };
  story.tell({ kind: "verdict_changed", guard: "failures", verdict: "breach", value: 0.042 });
  const lines = read(card(story.view(MINUTE)));
  expect(
    lines.slice(
      lines.findIndex((line) => line.startsWith("Guards")),
      -2,
    ),
  ).toEqual([
    "Guards  failures 4.2 % (≤ 2 %) BREACH",
    "latency no evidence: empty",
    "memory 772 MiB (≤ 1 GiB)  ·  alive up",
  ]);
});

test("held: why, since it is a person's turn", () => {
  const story = soaking().tell({
    kind: "held",
    reason: "drift",
    detail: "batching is OFF, expected ON",
    by: BELAY,
  });
  const message = card(story.view());
  expect(read(message).slice(0, 3)).toMatchInlineSnapshot(`
    [
      "Rollout ingestion · production · HELD",
      "somebody changed a flag (Belay): batching is OFF, expected ON.",
      "█░░░░░░░░░░░░░░░░░░░ 6 %  ·  stage 3 of 6",
    ]
  `);
  expect(labelsIn(message)).toContain("Resume");
});

test("waiting for approval, and in review", () => {
  const asked = soaking()
    .tell({ kind: "soak_passed", stage: 2, substage: 0, soakedMs: 2 * HOUR }, HOUR)
    .tell({
      kind: "approval_requested",
      stage: 3,
      from: "release-approvers",
      requester: ANA,
      expiresAt: 1e9,
    });
  expect(read(card(asked.view()))[0]).toBe("Rollout ingestion · production · WAITS FOR APPROVAL");
  const review = soaking()
    .tell({ kind: "soak_passed", stage: 2, substage: 0, soakedMs: 2 * HOUR }, HOUR)
    .pass(3)
    .pass(4)
    .tell({ kind: "review_opened", stage: 5 }, HOUR);
  const lines = read(card(review.view()));
  expect(lines[0]).toBe("Rollout ingestion · production · IN REVIEW");
  expect(lines.find((line) => line.includes("review sign-off"))).toContain("▶");
});

test("rolling back, looking, and rolled back", () => {
  expect(read(card(soaking().rollBack(2, "started").view())).slice(0, 2)).toEqual([
    "Rollout ingestion · production · ROLLING BACK",
    "taking back batching.",
  ]);
  expect(read(card(soaking().rollBack(2, "confirmed").view())).slice(0, 2)).toEqual([
    "Rollout ingestion · production · OFF, LOOKING",
    "batching off; looking whether production recovers.",
  ]);
  expect(read(card(soaking().rollBack(2, "recovered").view()))).toMatchInlineSnapshot(`
    [
      "Rollout ingestion · production · ROLLED BACK, HELD",
      "rolled back and locked (Belay): batching rolled back and locked.",
      "█░░░░░░░░░░░░░░░░░░░ 6 %  ·  stage 2 of 6",
      "✔  09:00 UTC · Hour 0 · baseline all OFF · soaked 1 h",
      "✔  09:59 UTC · Hour 1 · parse-cache ON · soaked 2 h",
      "↩  11:59 UTC · Hour 3 · batching ON · rolled back",
      "○  14:01 UTC · Hour 5 · neo4j-batch ON · planned",
      "○  16:01 UTC · Hour 7 · parallel ON · planned",
      "○  2026-11-24 09:01 UTC · Day 2 · review sign-off · planned",
      "Guards  failures 0.03 % (≤ 2 %)  ·  latency 188 ms (≤ 250 ms)  ·  memory 772 MiB (≤ 1 GiB)  ·  cache-hits not asked yet  ·  alive up",
      "Locked  batching: guard failures: 4.2 % > 2 % in 2 of the last 3 polls",
      "r-7 · ingestion · started by @ana 09:00 UTC · as of 12:42 UTC",
      "[Roll back parse-cache] [Hold] [Evidence]",
    ]
  `);
});

test("completed: no buttons, no figures, no time that would move", () => {
  const story = soaking()
    .tell({ kind: "soak_passed", stage: 2, substage: 0, soakedMs: 2 * HOUR }, HOUR)
    .pass(3)
    .pass(4)
    .tell({ kind: "review_opened", stage: 5 }, HOUR)
    .tell({ kind: "signed_off", stage: 5, decision: "go", by: BEN })
    .tell({ kind: "completed" });
  const message = card(story.view());
  expect(read(message)).toMatchInlineSnapshot(`
    [
      "Rollout ingestion · production · COMPLETED",
      "done: every soak passed; parse-cache, batching, neo4j-batch, parallel stay ON, no longer watched.",
      "stage 6 of 6",
      "✔  2026-11-22 09:00 UTC · Hour 0 · baseline all OFF · soaked 1 h",
      "✔  2026-11-22 09:59 UTC · Hour 1 · parse-cache ON · soaked 2 h",
      "✔  2026-11-22 11:59 UTC · Hour 3 · batching ON · soaked 2 h",
      "✔  2026-11-22 13:40 UTC · Hour 5 · neo4j-batch ON · soaked 2 h",
      "✔  2026-11-22 15:40 UTC · Hour 7 · parallel ON · soaked 1 d 17 h",
      "✔  Day 2 · review sign-off · signed off",
      "r-7 · ingestion · started by @ana 2026-11-22 09:00 UTC",
    ]
  `);
  expect(labelsIn(message)).toEqual([]);
  expect(JSON.stringify(card(story.wait(5 * MINUTE).view()))).toBe(JSON.stringify(message));
});

test("stopped, rolled back to nothing, and quarantined keep their words", () => {
  const stopped = soaking().tell({ kind: "stopped", by: ANA });
  expect(read(card(stopped.view()))[0]).toBe("Rollout ingestion · production · STOPPED");
  const stuck = soaking().tell({ kind: "quarantined", error: "boom" });
  expect(labelsIn(card(stuck.view()))).toEqual(["Roll back batching", "Roll back all"]);
});

test("a refresh within the same minute is the same message, byte for byte; in the next minute it says so", () => {
  const story = soaking();
  const first = JSON.stringify(card(story.view()));
  expect(JSON.stringify(card(story.view()))).toBe(first);
  expect(JSON.stringify(card(story.wait(MINUTE).view()))).not.toBe(first);
});

function longStory(stages: number, guards: number, at: number): Rendered {
  const long = longPlan(plan, stages, guards);
  const story = new Story(long);
  story.figures = Object.fromEntries(long.guards.map((guard) => [guard.name, { value: 0.001, at: 0 }]));
  for (let stage = 0; stage < at; stage += 1) story.pass(stage);
  return card(story.begin(at).view());
}

test("40 stages and 20 guards fit, every one of them", () => {
  const message = longStory(40, 20, 25);
  const lines = read(message);
  expect(JSON.stringify(message.blocks).length).toBeLessThanOrEqual(10_000);
  expect(lines.filter((line) => /^[✔▶○]/.test(line))).toHaveLength(40);
  expect(lines.join("\n")).toContain("guard-number-19 0.1 % (≤ 2 %)");
  expect(labelsIn(message).length).toBeGreaterThan(3);
});

test("of more, the middle is cut and counted; the present stage, the first and the last never are", () => {
  const lines = read(longStory(120, 60, 70));
  const line = (mark: string, stage: number): boolean =>
    lines.some((one) => one.startsWith(mark) && one.includes(`stage-with-a-long-name-${stage} `));
  expect([line("✔", 0), line("✔", 69), line("▶", 70), line("○", 71), line("○", 119)]).toEqual(
    Array.from({ length: 5 }, () => true),
  );
  const missing = lines
    .filter((one) => /^… \d+ more stages?$/.test(one))
    .reduce((sum, one) => sum + Number(/\d+/.exec(one)?.[0]), 0);
  expect(missing).toBeGreaterThan(0);
  expect(lines.filter((one) => /^[✔▶○]/.test(one)).length + missing).toBe(120);
});

test("the rollback's message follows it from the decision to the recovery", () => {
  const seqOf = (story: Story): number => story.seqOf("rollback_started");
  const started = soaking().rollBack(2, "started");
  expect(read(alert(started.view(), "rollback", seqOf(started)))).toMatchInlineSnapshot(`
    [
      "ROLLING BACK ingestion: batching",
      "Why  guard failures: 4.2 % > 2 % in 2 of the last 3 polls",
      "When  breach 12:40:39 UTC → decided 12:40:59 UTC",
      "Who  Belay (guard failures)",
      "Now  writing the flags and reading them back",
      "Next  parse-cache stays ON and watched. batching locked: fix the cause, unlock, enable again.",
      "[Roll back all] [Evidence]",
    ]
  `);
  const recovered = soaking().rollBack(2, "recovered");
  const message = alert(recovered.view(), "rollback", seqOf(recovered), "<!subteam^S0ONCALL01>");
  expect(read(message)).toMatchInlineSnapshot(`
    [
      "ROLLED BACK ingestion: batching OFF · 20 s",
      "Why  guard failures: 4.2 % > 2 % in 2 of the last 3 polls",
      "When  breach 12:40:39 UTC → decided 12:40:59 UTC → off 12:40:59 UTC → confirmed by the service 12:41:00 UTC",
      "Who  Belay (guard failures)",
      "Now  recovered 12:42:15 UTC; the restart alone may have cured it · failures 0.03 %",
      "Next  parse-cache stays ON and watched. batching locked: fix the cause, unlock, enable again.",
      "Bound  20 s from the first bad measurement to off; promised at most 2 min 12 s",
      "For @S0ONCALL01",
      "[Unlock batching...] [Evidence]",
    ]
  `);
  expect(message.text).toMatchInlineSnapshot(
    `"Rolled back batching in ingestion (production): guard failures: 4.2 % &gt; 2 % in 2 of the last 3 polls. Production recovered."`,
  );
});

test("a page mentions on-call; a hold does not, and closes when it is over", () => {
  const mention = "<@U0BEN000001>";
  const paged = soaking().tell({
    kind: "paged",
    key: "blind",
    severity: "P1",
    summary: "ingestion is blind: Prometheus answers nothing for 5 min",
  });
  const page = read(alert(paged.view(), "page", paged.seqOf("paged"), mention));
  expect(page[0]).toBe("PAGE P1 · ingestion · production");
  expect(page).toContain("For @U0BEN000001");
  const held = soaking().tell({ kind: "held", reason: "drift", detail: "batching is OFF", by: BELAY });
  const open = alert(held.view(), "hold", held.seqOf("held"), mention);
  expect(read(open).join("\n")).not.toContain("U0BEN");
  expect(labelsIn(open)).toContain("Resume");
  held.tell({ kind: "resumed", reasons: ["drift"], by: ANA }, MINUTE);
  const closed = alert(held.view(), "hold", held.seqOf("held"), mention);
  expect(read(closed)[0]).toBe("ingestion: no longer held (somebody changed a flag)");
  expect(labelsIn(closed)).toEqual([]);
});

test("approval, review and baseline ask, and lose their buttons when answered", () => {
  const story = soaking()
    .tell({ kind: "soak_passed", stage: 2, substage: 0, soakedMs: 2 * HOUR }, HOUR)
    .tell({
      kind: "approval_requested",
      stage: 3,
      from: "release-approvers",
      requester: ANA,
      expiresAt: 1e12,
    });
  const seq = story.seqOf("approval_requested");
  const asks = alert(story.view(), "approval", seq);
  expect(read(asks)[0]).toBe("@ana asks: ingestion, stage neo4j-batch");
  expect(labelsIn(asks)).toEqual(["Approve", "Hold"]);
  story.tell({ kind: "approved", stage: 3, by: BEN }, MINUTE);
  const done = alert(story.view(), "approval", seq);
  expect(read(done).join("\n")).toContain("approved by @ben");
  expect(labelsIn(done)).toEqual([]);

  const review = new Story(plan).pass(0).tell({ kind: "review_opened", stage: 5 });
  const sign = alert(review.view(), "review", review.seqOf("review_opened"));
  expect(labelsIn(sign)).toEqual(["Sign GO", "Sign NO-GO..."]);
  const baseline = new Story(plan).tell({ kind: "baseline_asked", stage: 0, flags: ["batching"] });
  const question = alert(baseline.view(), "baseline", baseline.seqOf("baseline_asked"));
  expect(read(question)[0]).toBe("ingestion asks: turn off batching for the baseline?");
  expect(labelsIn(question)).toEqual(["Turn off", "Stop"]);
});

test("what came from outside is text, never markup", () => {
  const story = soaking().tell({
    kind: "held",
    reason: "guard",
    detail: "<!channel> & <http://evil.example|click> a<b\nsecond line",
    by: { kind: "person", id: "U1", name: "<@U0EVE000001>", via: "slack" },
  });
  for (const message of [
    card(story.view()),
    alert(story.view(), "hold", story.seqOf("held")),
    renderNote("<!here> & more"),
    renderAnswer({ ok: false, code: "x", text: "<!everyone>", lines: ["``` <!channel>"], offers: [] }),
  ]) {
    read(message);
    const texts = [message.text, ...mrkdwnTexts(wire(message.blocks))].join("\n");
    expect(texts).not.toMatch(/<!(channel|here|everyone)|<http|<@U0EVE/);
  }
  expect(read(card(story.view()))[1]).toContain("<!channel> & <http://evil.example|click> a<b second line");
});

test("an answer: the sentence, the lines as in a terminal, the offers", () => {
  const message = renderAnswer({
    ok: false,
    code: "latched",
    text: "parallel is locked. Nothing changed.",
    lines: ["[x] 09:00:00 baseline", "    a < b & c"],
    offers: [
      { label: "Unlock parallel...", command: "rollout unlock parallel", reason: "Why is it safe?" },
      { label: "Help", command: "belay help" },
    ],
  });
  expect(read(message)).toEqual([
    "parallel is locked. Nothing changed.",
    "",
    "[x] 09:00:00 baseline",
    "    a < b & c",
    "",
    "[Unlock parallel...] [Help]",
  ]);
  expect(message.text).toBe("parallel is locked. Nothing changed.");
  expect(message.leftOut).toEqual([]);
});

test("an answer that is too long is split, then cut, and says what is missing and where to see it", () => {
  const line = (index: number): string => `line ${index} ${"x".repeat(90)}`;
  const some = renderAnswer({
    ok: true,
    code: "shown",
    text: "History:",
    lines: Array.from({ length: 50 }, (_, i) => line(i)),
    offers: [],
  });
  expect(read(some).filter((one) => one.startsWith("line "))).toHaveLength(50);
  expect(some.blocks.length).toBeGreaterThan(2);
  const many = renderAnswer({
    ok: true,
    code: "shown",
    text: "History:",
    lines: Array.from({ length: 500 }, (_, i) => line(i)),
    offers: [],
  });
  const lines = read(many);
  const shown = lines.filter((one) => one.startsWith("line ")).length;
  expect(lines.at(-1)).toBe(
    `… ${500 - shown} more lines; the same command by belay do in a terminal shows all.`,
  );
  const wide = renderAnswer({
    ok: true,
    code: "x",
    text: "y".repeat(9_000),
    lines: ["&".repeat(9_000)],
    offers: [],
  });
  expect(read(wide)[0]?.endsWith("…")).toBe(true);
});

test("buttons carry the command, the run and its face; dangerous ones ask first, those with a question do not", () => {
  const { blocks, leftOut } = buttonsOf(
    [
      {
        label: "Roll back parallel",
        command: "rollout rollback run=r-7",
        style: "danger",
        confirm: "Take it back?",
      },
      { label: "Roll back all", command: "rollout rollback all", style: "danger" },
      {
        label: `A label ${"that is much too long ".repeat(6)}`,
        command: "belay help",
        confirm: "x".repeat(500),
      },
      { label: "Unlock...", command: "rollout unlock a", style: "danger", reason: "Why?" },
      { label: "Half", command: `rollout unlock ${"y".repeat(2_100)}` },
    ],
    { run: "r-7", face: 12 },
  );
  expect(messageProblems({ text: "x", blocks })).toEqual([]);
  expect(leftOut).toHaveLength(1);
  const buttons = blocks.flatMap((block) => block.elements.filter((one) => one.type === "button"));
  expect(buttons.map((button) => readValue(button.value))).toMatchObject([
    { command: "rollout rollback run=r-7", seen: { run: "r-7", face: 12 }, question: undefined },
    { command: "rollout rollback all" },
    { command: "belay help" },
    { command: "rollout unlock a", question: "Why?" },
  ]);
  expect(buttons[0]).toMatchObject({
    style: "danger",
    confirm: {
      title: { text: "Roll back parallel?" },
      text: { text: "Take it back?" },
      confirm: { text: "Roll back parallel" },
      deny: { text: "Leave as it is" },
      style: "danger",
    },
  });
  expect(buttons[1]).toMatchObject({ confirm: { text: { text: 'Run "rollout rollback all"?' } } });
  expect(buttons[3]).not.toHaveProperty("confirm");
  expect([undefined, "", "{", "[]", '{"c":""}', '{"c":1}', "null"].map(readValue)).toEqual(
    Array.from({ length: 7 }, () => undefined),
  );
});

test("instants are the reader's own time, with a date when they are far away; cutting never splits an entity", () => {
  const nowWall = Date.UTC(2026, 10, 22, 12, 0, 0);
  const berlin = { zone: "Europe/Berlin", nowWall };
  expect(instant(nowWall + 61_000, berlin)).toBe("<!date^1795348861^{time_secs}|13:01:01 Europe/Berlin>");
  expect(instant(nowWall, berlin, "minutes")).toBe("<!date^1795348800^{time}|13:00 Europe/Berlin>");
  expect(instant(nowWall + 30 * HOUR, berlin)).toBe(
    "<!date^1795456800^{date_short} {time}|2026-11-23 19:00 Europe/Berlin>",
  );
  expect(instant(Number.NaN, berlin)).toBe("at an unknown time");
  expect(escapeCut("a&b<c", 100)).toBe("a&amp;b&lt;c");
  expect(escapeCut("&&&&", 12)).toBe("&amp;&amp;…");
  expect(escapeCut("😀😀😀", 2)).toBe("😀…");
});
