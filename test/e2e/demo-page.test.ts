/** The demo's page in Chromium, before a real service, Prometheus and Belay: what a person types, presses and sees there. */
import { request } from "node:http";
import { type Browser, chromium, type FrameLocator, type Locator, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DemoPage, startPage } from "../../demo/page/server.ts";
import { startWorld, type World } from "../../demo/world/world.ts";

const CHROMIUM_ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
/** The walk to the last stage: five stages, each watched for some eight seconds of real time. */
const WALK_WITHIN_MS = 90_000;
const SOON_MS = 30_000;
const UNLOCK = '/rollout unlock parallel because "the cause is fixed"';

let world: World;
let served: DemoPage;
let browser: Browser;
let page: Page;
let chat: FrameLocator;
const complaints: string[] = [];

beforeAll(async () => {
  world = await startWorld({ speed: 1 });
  served = await startPage(world, { port: 0 });
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: CHROMIUM_ARGS });
  page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.setDefaultTimeout(SOON_MS);
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(served.url);
  await page.waitForSelector("body[data-ready]");
  chat = page.frameLocator("#chat");
  await composer().waitFor();
}, 60_000);

afterAll(async () => {
  await browser?.close();
  await served?.close();
  await world?.stop();
  expect(complaints).toEqual([]);
  expect(world.slack.violations()).toEqual([]);
}, 30_000);

const composer = (): Locator => chat.getByRole("combobox", { name: "Message" });
const messages = (): Locator => chat.locator("#messages > li");
/** Messages of the channel with this heading; private answers have none. */
const headed = (heading: RegExp): Locator =>
  messages().filter({ has: chat.getByRole("heading", { name: heading }) });
const cards = (): Locator => headed(/^Rollout ingestion/);
const rollbacks = (): Locator => headed(/^ROLL(ED|ING) BACK/);
const flag = (name: string): Locator => page.locator("#flags li").filter({ hasText: name });
const button = (name: string): Locator => page.getByRole("button", { name, exact: true });

async function type(line: string): Promise<void> {
  await composer().pressSequentially(line);
  await composer().press("Enter");
}

/** Waits until an element's text fits; says at the deadline what it was. */
async function reads(what: Locator | string, fits: RegExp, timeout = SOON_MS): Promise<void> {
  const element = typeof what === "string" ? page.locator(what) : what;
  const text = async (): Promise<string> => ((await element.textContent()) ?? "").replace(/\s+/g, " ").trim();
  await expect.poll(text, { timeout, interval: 50 }).toMatch(fits);
}

/** The sentence that says what to do next, and the line beside it. */
const isNext = (fits: RegExp): Promise<void> => reads("#next", fits);

async function unlockAndEnable(): Promise<void> {
  await button("Mend").click();
  await isNext(/parallel is locked by the rollback/);
  // The line beside the sentence is put into the message box; only the person sends it.
  await page.locator("#next-line").click();
  await expect.poll(() => composer().inputValue()).toBe(UNLOCK);
  await composer().press("Enter");
  await isNext(/Unlocked. Turn it on again/);
  await type("/rollout enable parallel");
  await reads(flag("parallel"), /ON$/);
}

describe("the demo's page", () => {
  test("says what it is and what to do first; everything fits", async () => {
    expect(await page.title()).toBe("Belay demo");
    expect(await page.locator(".badge").textContent()).toBe("demo workspace, not Slack");
    await isNext(/Start the rollout: type this in the channel.*\/rollout start ingestion/);
    await reads("#rollout-status", /^NOT STARTED$/);
    for (const name of ["parse-cache", "batching", "neo4j-batch", "parallel"])
      await reads(flag(name), /OFF$/);
    await reads("#optimisations", /0 of 4/);
    for (const part of ["service", "prometheus", "slack", "belay"]) await reads(`#${part}-word`, /^up$/);
    await reads("#throughput .value", /^\d.* files\/s$/);
    await expectNothingClipped();
  });

  test("is for this machine only, and does nothing that it was not asked to", async () => {
    const { headers } = await fetch(served.url);
    expect(headers.get("content-security-policy")).toContain(`default-src 'none'; script-src 'self'`);
    expect(headers.get("content-security-policy")).toContain(`frame-src ${world.slack.origin};`);
    expect(await statusFor("evil.example")).toBe(421);
    const post = async (body: string, more: Readonly<Record<string, string>> = {}): Promise<number> =>
      (
        await fetch(`${served.url}act`, {
          method: "POST",
          headers: { "content-type": "application/json", ...more },
          body,
        })
      ).status;
    const kill = '{"do":"kill-belay"}';
    expect(await post(kill, { "content-type": "text/plain" })).toBe(415);
    expect(await post(kill, { origin: "http://evil.example" })).toBe(403);
    expect(await post('{"do":"dance"}')).toBe(400);
    expect(await post("{")).toBe(400);
    expect(await post(`{"do":"${"x".repeat(5_000)}"}`)).toBe(400);
    expect((await fetch(`${served.url}nothing`)).status).toBe(404);
    expect((await fetch(`${served.url}act`)).status).toBe(404);
    expect(world.belay.deaths()).toBe(0);
  });

  test("a wrong line gets a private answer; the right one walks to parallel with one card", async () => {
    await type("/rollout enable paralel");
    await reads(messages().last(), /no stage or flag paralel; did you mean parallel\? Nothing changed\./);
    await type("/rollout start ingestion");
    await reads(cards(), /SCHEDULED|ENABLING|SOAKING/);
    await isNext(/parallel last. It needs nothing from you/);
    await reads(flag("parse-cache"), /ON$/, WALK_WITHIN_MS);
    await reads(flag("parallel"), /ON$/, WALK_WITHIN_MS);
    await reads("#optimisations", /4 of 4/);
    await reads("#rollout-at", /^(Hour|Day) /);
    await isNext(/Press \[Break parallel\]/);
    expect(await page.locator("#failed .mark.flip").count()).toBe(4);
    expect(await cards().count()).toBe(1);
  }, 120_000);

  test("a broken feature is taken back with its cost told; Belay is killed in the look and goes on", async () => {
    await button("Break parallel").click();
    await reads("#failed .warning", /above the limit/);
    await reads("#rollout-status", /^OFF, LOOKING$/);
    const pid = world.belay.pid();
    await button("kill -9 Belay").click();
    await reads("#belay-word", /^down$/);
    await isNext(/Belay is gone/);
    await reads(flag("parallel"), /OFF$/);
    await reads(
      "#cost",
      /^OFF in \d+\.\d s: [1-9]\d* failed files; a five-minute rule would have cost [1-9]/,
    );
    await reads("#belay-detail", new RegExp(`^pid ${pid} → \\d+$`));
    await reads(
      rollbacks(),
      /Why\s+guard failures: \d.*When\s+breach .* decided .* off .* confirmed by the service/,
    );
    await reads(rollbacks(), /Now\s+recovered/);
    await reads(cards(), /ROLLED BACK, HELD/);
    await isNext(/off and locked. Repair the service first: press \[Mend\]/);
    expect([await cards().count(), await rollbacks().count()]).toEqual([1, 1]);
    expect(await page.locator("#failed .mark.rollback").count()).toBe(1);
  });

  test("without Prometheus the card says blind and nothing advances; it resumes by itself", async () => {
    await unlockAndEnable();
    await button("Kill Prometheus").click();
    await isNext(/Press \[Start Prometheus\] and it resumes/);
    await reads("#prometheus-word", /^down$/);
    await reads("#rollout-status", /^HELD, BLIND$/);
    await reads(cards(), /HELD, BLIND/);
    // The picture goes on: it is the service's own.
    await reads("#throughput .value", /^\d.* files\/s$/);
    await button("Start Prometheus").click();
    await reads("#rollout-status", /^(SOAKING|IN REVIEW)$/);
    await reads(cards(), /SOAKING|IN REVIEW/);
    await reads(flag("parallel"), /ON$/);
  });

  test("without Slack the rollback happens all the same, and the channel is told afterwards", async () => {
    await button("Kill Slack").click();
    await reads("#slack-word", /^down$/);
    await chat.getByText("a simulated outage").waitFor();
    await isNext(/Press \[Break parallel\]: the rollback happens all the same/);
    await button("Break parallel").click();
    await reads(flag("parallel"), /OFF$/);
    await reads("#earlier-count", /^1 earlier$/);
    await reads("#cost", /^OFF in \d+\.\d s: [1-9]\d* failed files/);
    expect(await rollbacks().count()).toBe(1);
    await button("Start Slack").click();
    await expect.poll(() => rollbacks().count(), { timeout: SOON_MS }).toBe(2);
    await reads(rollbacks().last(), /Now\s+recovered/);
    await reads(cards(), /ROLLED BACK, HELD/);
    expect(await cards().count()).toBe(1);
    await expectNothingClipped();
  });
});

async function expectNothingClipped(): Promise<void> {
  for (const [width, height] of [
    [1024, 768],
    [1280, 800],
  ] as const) {
    await page.setViewportSize({ width, height });
    expect(await clipped(), `at ${width}`).toEqual([]);
  }
}

/** Texts and buttons of the page that are cut off, wider than their place, or lie over one another. */
function clipped(): Promise<unknown> {
  return page.evaluate(`(() => {
    const wrong = [];
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) wrong.push("the page is wider than the window");
    const all = [...document.querySelectorAll(".live button, .live strong, #optimisations, #flags span, #next-text, .stop span")];
    const shown = all.filter((one) => one.getClientRects().length > 0);
    for (const one of shown) {
      if (one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== "inline") wrong.push("cut: " + one.textContent);
    }
    const boxes = shown.map((one) => [one, one.getBoundingClientRect()]);
    for (const [index, [one, a]] of boxes.entries()) {
      for (const [other, b] of boxes.slice(index + 1)) {
        if (one.contains(other) || other.contains(one)) continue;
        if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
          wrong.push(one.textContent + " lies over " + other.textContent);
      }
    }
    return wrong;
  })()`);
}

/** The answer to a request that names another host. */
function statusFor(host: string): Promise<number | undefined> {
  const { hostname, port } = new URL(served.url);
  return new Promise((resolve, reject) => {
    request({ host: hostname, port, headers: { host } }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    })
      .on("error", reject)
      .end();
  });
}
