/** The workspace's chat page in Chromium, with the real Bolt behind it: what a person can do there, and sees. */
import { request } from "node:http";
import type { App } from "@slack/bolt";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type FakeSlack, startFakeSlack } from "../fakes/slack/server.ts";
import { startSocketBot, type TestBot } from "../fakes/slack/test-bot.ts";
import { SOCKET_MANIFEST } from "../fakes/slack/test-manifest.ts";

const OPS = "#ingestion-ops";
const CHROMIUM_ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

let browser: Browser;
let slack: FakeSlack;
let bot: TestBot;
let complaints: string[];
let pages: Page[];

beforeAll(async () => {
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: CHROMIUM_ARGS });
});
afterAll(() => browser.close());
beforeEach(async () => {
  slack = await startFakeSlack({ manifest: SOCKET_MANIFEST });
  bot = await startSocketBot(slack, listeners, 200);
  complaints = [];
  pages = [];
});
afterEach(async () => {
  for (const page of pages) await page.close();
  await bot.stop();
  await slack.stop();
  expect(complaints).toEqual([]);
});

const plain = (text: string) => ({ type: "plain_text" as const, text });

function listeners(app: App): void {
  app.command("/rollout", async ({ ack, command, respond, client: web }) => {
    await ack();
    if (command.text === "unlock") {
      await web.views.open({
        trigger_id: command.trigger_id,
        view: {
          type: "modal",
          callback_id: "unlock",
          title: plain("Unlock"),
          submit: plain("Unlock it"),
          blocks: [
            {
              type: "input",
              block_id: "why",
              label: plain("Because"),
              element: { type: "plain_text_input", action_id: "text" },
            },
          ],
        },
      });
    } else if (command.text === "card") {
      await web.chat.postMessage({ channel: command.channel_id, text: "Card", blocks: card("SOAKING") });
    } else await respond({ text: `*Nothing changed*: \`${command.text}\`` });
  });
  app.action("rollback", async ({ ack, body, client: web, respond }) => {
    await ack();
    const ts = body.type === "block_actions" ? (body.message?.ts ?? "") : "";
    await web.chat.update({
      channel: body.channel?.id ?? "",
      ts,
      text: "Rolled back",
      blocks: [{ type: "header", text: plain(`ROLLED BACK by ${body.user.id}`) }],
    });
    await respond({ replace_original: false, response_type: "ephemeral", text: "You did that." });
  });
  app.view("unlock", async ({ ack, view }) => {
    if (view.state.values.why?.text?.value === "no") {
      await ack({ response_action: "errors", errors: { why: "Say more." } });
    } else await ack();
  });
  app.event("app_mention", async ({ event, say }) => {
    await say({
      text: `at <!date^1700000000^{date_num} {time}|never>`,
      thread_ts: event.thread_ts ?? event.ts,
    });
  });
}

function card(status: string) {
  return [
    { type: "header" as const, text: plain(`Rollout · ${status}`) },
    {
      type: "table" as const,
      rows: [
        [{ type: "raw_text" as const, text: "criterion" }],
        [{ type: "raw_text" as const, text: "p95" }],
      ],
    },
    {
      type: "actions" as const,
      elements: [
        {
          type: "button" as const,
          action_id: "rollback",
          style: "danger" as const,
          text: plain("Roll back"),
          confirm: {
            title: plain("Roll back?"),
            text: plain("All off."),
            confirm: plain("Yes, roll back"),
            deny: plain("Keep"),
          },
        },
      ],
    },
  ];
}

async function open(path: string, timezoneId = "Europe/Helsinki"): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 700, height: 800 }, timezoneId });
  const page = await context.newPage();
  pages.push(page);
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(`${slack.origin}${path}`);
  await page.waitForSelector("body[data-ready]");
  return page;
}

const composer = (page: Page) => page.getByRole("combobox", { name: "Message" });

async function send(page: Page, line: string): Promise<void> {
  await composer(page).fill(line);
  await composer(page).press("Enter");
}

test("it says what it is, and who is speaking", async () => {
  const page = await open("/?embed=1&as=ben");
  expect(await page.title()).toBe("#ingestion-ops – demo workspace, not Slack");
  expect(await page.getByText("demo workspace, not Slack").filter({ visible: true }).count()).toBe(1);
  expect(await page.getByLabel("Speaking as").inputValue()).toBe(slack.userId("ben"));
  expect((await fetch(`${slack.origin}/favicon.ico`)).headers.get("content-type")).toContain("image/svg+xml");
});

test("a command is completed with Tab and answered privately; another person does not see the answer", async () => {
  const page = await open("/?as=ana");
  const other = await open("/?as=ben");
  await composer(page).pressSequentially("/ro");
  expect(
    await page.getByRole("listbox", { name: "Suggestions" }).getByRole("option").allTextContents(),
  ).toEqual(["/rollout [verb] [name]Roll a feature out in stages"]);
  await composer(page).press("Tab");
  await composer(page).pressSequentially("status");
  await composer(page).press("Enter");
  const note = page.getByRole("article").filter({ hasText: "Nothing changed: status" });
  await note.waitFor();
  expect(await note.getByText("Only visible to you").isVisible()).toBe(true);
  await slack.say("kim", OPS, "good morning");
  await other.getByText("good morning").waitFor();
  expect(await other.getByText("Nothing changed").count()).toBe(0);
  await page.getByLabel("Speaking as").selectOption({ label: "Ben Okafor" });
  await page.getByText("Nothing changed").waitFor({ state: "detached" });
});

test("a dangerous button asks first; the card changes in place on every page", async () => {
  const page = await open("/?as=ana");
  const other = await open("/?as=ben");
  await send(page, "/rollout card");
  await page.getByRole("columnheader", { name: "criterion" }).waitFor();
  await page.getByRole("button", { name: "Roll back" }).click();
  const dialog = page.getByRole("dialog", { name: "Roll back?" });
  await dialog.waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  expect(slack.acks().filter((ack) => ack.type === "interactive")).toEqual([]);
  await page.getByRole("button", { name: "Roll back" }).click();
  await page.getByRole("button", { name: "Yes, roll back" }).click();
  await other.getByRole("heading", { name: `ROLLED BACK by ${slack.userId("ana")}` }).waitFor();
  await page.getByText("You did that.").waitFor();
  expect(await page.getByRole("button", { name: "Roll back" }).count()).toBe(0);
  expect(await other.getByText("You did that.").count()).toBe(0);
  expect(slack.channelMessages(OPS)).toHaveLength(1);
  expect(slack.violations()).toEqual([]);
});

test("a mention in a thread is answered there, with times in the viewer's own zone", async () => {
  const page = await open("/?as=ana", "Asia/Tokyo");
  await send(page, "@belay what time is it?");
  await page.getByRole("button", { name: /1 reply/ }).click();
  const answer = page.locator(".replies").getByRole("article").first();
  expect(await answer.locator(".shown").textContent()).toMatch(/^at \S*2023\S* 07:13$/);
  await page.getByLabel("Reply in thread", { exact: true }).fill("@belay and now?");
  await page.getByRole("button", { name: "Reply", exact: true }).click();
  await expect.poll(() => page.locator(".replies").getByRole("article").count()).toBe(3);
});

test("a form keeps what was typed when it is refused, and closes when it is taken", async () => {
  const page = await open("/?as=ana");
  await send(page, "/rollout unlock");
  const dialog = page.getByRole("dialog", { name: "Unlock" });
  await dialog.waitFor();
  await dialog.getByRole("button", { name: "Unlock it" }).click();
  await dialog.getByText("Please complete this required field.").waitFor();
  await dialog.getByLabel("Because").fill("no");
  await dialog.getByRole("button", { name: "Unlock it" }).click();
  await dialog.getByText("Say more.").waitFor();
  expect(await dialog.getByLabel("Because").inputValue()).toBe("no");
  await dialog.getByLabel("Because").fill("it is fixed");
  await dialog.getByRole("button", { name: "Unlock it" }).click();
  await dialog.waitFor({ state: "hidden" });
});

test("what a message says is text, never markup", async () => {
  const page = await open("/?as=ana");
  const hostile = '<img src=x onerror="document.title=1"> & <b>bold</b> *strong* FEATURE_PARSE_CACHE_ON';
  await slack.say("ben", OPS, hostile);
  const shown = page.getByRole("article").last().locator(".shown");
  await shown.waitFor();
  expect(await shown.textContent()).toBe(hostile.replaceAll("*", ""));
  expect(await shown.locator("img, b").count()).toBe(0);
  expect(await shown.locator("strong").allTextContents()).toEqual(["strong"]);
});

test("who reads older messages stays there and is told of new ones; nothing is wider than a small window", async () => {
  for (let count = 1; count <= 40; count += 1)
    await slack.say(count % 2 === 0 ? "ben" : "kim", OPS, `line ${count}`);
  const page = await open("/?as=ana");
  const scroller = page.locator("#scroller");
  await scroller.evaluate((element) => element.scrollTo(0, 0));
  await slack.say("ben", OPS, "the newest");
  await page.getByRole("button", { name: "New messages" }).click();
  await expect.poll(() => page.getByText("the newest").isVisible()).toBe(true);
  await page.getByRole("button", { name: "New messages" }).waitFor({ state: "hidden" });
  await page.setViewportSize({ width: 400, height: 700 });
  const overflow = await page.evaluate(
    "document.documentElement.scrollWidth - document.documentElement.clientWidth",
  );
  expect(overflow).toBe(0);
});

test("an outage is shown, and the page finds back after the server was away", async () => {
  const page = await open("/?as=ana");
  await slack.down({ keepPage: true });
  await page.getByText("a simulated outage").waitFor();
  await send(page, "/rollout status");
  await page.getByText('/rollout failed with the error "dispatch_failed"').waitFor();
  await slack.up();
  await page.getByText("a simulated outage").waitFor({ state: "hidden" });

  await slack.down();
  await page.getByText("No connection to the workspace").waitFor();
  await slack.up();
  await page.getByText("No connection to the workspace").waitFor({ state: "hidden" });
  await slack.say("ben", OPS, "back again");
  await page.getByText("back again").waitFor();
  await slack.waitForSockets(1, { timeoutMs: 15_000 });
  // The browser itself reports the lost stream.
  complaints = complaints.filter(
    (one) =>
      !/ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE|CONNECTION_RESET)/.test(one),
  );
});

test("a permalink opens its channel and marks the message; a page around it may write a draft", async () => {
  const posted = await slack.say("ben", OPS, "the one");
  const ts = posted.message?.ts ?? "";
  const page = await open(`/archives/${slack.channelId(OPS)}/p${ts.replace(".", "")}`);
  expect(await page.locator(".revealed").getByText("the one").isVisible()).toBe(true);
  const drafted = await open("/?as=ana&draft=%2Frollout%20enable%20parallel");
  expect(await composer(drafted).inputValue()).toBe("/rollout enable parallel");
  expect(slack.acks()).toEqual([]);
});

test("the page's endpoints: this machine only, JSON only, and a clear no to nonsense", async () => {
  const post = (path: string, body: string, headers: Record<string, string> = {}) =>
    fetch(`${slack.origin}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body,
    });
  const line = JSON.stringify({ as: "ana", channel: OPS, line: "hello" });
  expect((await post("/page/type", line, { "content-type": "text/plain" })).status).toBe(415);
  expect((await post("/page/type", '{"as":"ana"}')).status).toBe(400);
  expect((await post("/page/type", line.replace("ana", "nobody"))).status).toBe(400);
  expect((await post("/page/nothing", line)).status).toBe(404);
  expect(slack.channelMessages(OPS)).toEqual([]);
  expect((await post("/page/type", line)).status).toBe(200);
  expect(slack.channelMessages(OPS)).toHaveLength(1);
  const [host = "", port = ""] = new URL(slack.origin).host.split(":");
  const status = await new Promise((resolve, reject) => {
    request({ host, port, path: "/page/state", headers: { host: "evil.example" } }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    })
      .on("error", reject)
      .end();
  });
  expect(status).toBe(403);
});
