/** Alerts from end to end: a rule of a real Prometheus fires, a real Alertmanager posts it, and Belay takes back the flag that went live before. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../demo/world/loopback.ts";
import { openSqliteJournal } from "../../src/adapters/journal/sqlite.ts";
import { type RunningAlertmanager, startAlertmanager } from "../support/alertmanager.ts";
import { eventually, until } from "../support/eventually.ts";
import { type Ground, startGround } from "../support/ground.ts";
import { type AlertRule, type RunningPrometheus, startPrometheus } from "../support/prometheus.ts";
import { shortHouse } from "../support/short-house.ts";
import { flagsIn, type ShortWorld, startShortWorld } from "../support/short-world.ts";

const ALERTS_TOKEN = "token-of-alertmanager-for-tests";
const PLACE = { service: "ingestion", environment: "test" };
const NO_GUARD_ACTS = "max: 99%";

/** Two that always fire, and one that fires while the service fails. */
const RULES: readonly AlertRule[] = [
  { alert: "Watchdog", expr: "vector(1)" },
  { alert: "OldTrouble", expr: "vector(1)", labels: PLACE },
  {
    alert: "HighErrorRate",
    expr: "sum(rate(ingestion_failures_total[3s])) / sum(rate(ingestion_files_total[3s])) > 0.15",
    labels: PLACE,
    annotations: { summary: "more than 15 % of files fail" },
  },
];

let ground: Ground;
const stops: (() => Promise<unknown>)[] = [];
let stories = 0;

beforeAll(async () => {
  ground = await startGround();
});

afterEach(async () => {
  await ground.probe.misbehave("none");
  for (const stop of stops.splice(0).reverse()) await stop();
});

afterAll(async () => {
  await ground?.stop();
});

interface Alerting {
  readonly world: ShortWorld;
  readonly alertmanager: RunningAlertmanager;
  readonly rules: RunningPrometheus;
}

/** Belay, and the alerting that knows its door: by `token`, right or wrong. */
async function start(token: string): Promise<Alerting> {
  const [hooksPort, alertsPort] = [await freePort(), await freePort()];
  const alertmanager = await startAlertmanager({
    webhook: `http://127.0.0.1:${hooksPort}/alerts`,
    token,
    port: alertsPort,
  });
  stops.push(alertmanager.stop);
  const rules = await startPrometheus({
    targets: [{ job: "ingestion", addresses: [`127.0.0.1:${ground.service.port}`] }],
    scrapeMs: 1_000,
    alerting: { rules: RULES, alertmanagers: [alertmanager.address] },
  });
  stops.push(rules.stop);
  const world = await startShortWorld({
    dir: join(ground.dir, `story-${++stories}`),
    house: house(alertmanager.url),
    env: { BELAY_ALERTS_TOKEN: ALERTS_TOKEN, BELAY_HOOKS_PORT: String(hooksPort) },
  });
  stops.push(() => world.stop());
  // Both that always fire have begun before any flip.
  await until("the first alerts", async () => (await firing(alertmanager)).length === 2);
  return { world, alertmanager, rules };
}

function house(alertmanagerUrl: string): Readonly<Record<string, string>> {
  const files = shortHouse({
    serviceUrl: ground.service.origin,
    prometheusUrl: ground.prometheus.url,
    flagsPath: ground.flagsPath,
    cacheSoak: "1s",
    parallelSoak: "10m",
  });
  const flags = files["flags/short.yaml"] ?? "";
  const schedule = files["schedules/short.yaml"] ?? "";
  const alertmanager = `alertmanager: { url: "${alertmanagerUrl}", watchdog: Watchdog, interval: 1s }\n`;
  return {
    "flags/short.yaml": flags
      .replace("max: 10%", NO_GUARD_ACTS)
      .replace("flags:\n", `${alertmanager}flags:\n`),
    "schedules/short.yaml": `${schedule.replace("unwind: gradual", "unwind: newest")}rollback_on:\n  - alertname: [HighErrorRate, OldTrouble]\n`,
  };
}

async function firing({ url }: RunningAlertmanager): Promise<readonly unknown[]> {
  const response = await fetch(`${url}/api/v2/alerts?active=true`);
  const alerts: unknown = await response.json();
  return Array.isArray(alerts) ? alerts : [];
}

/** Both flags are on, and the last one is watched. */
async function allOn({ world }: Alerting): Promise<void> {
  expect((await world.command("rollout start short")).ok).toBe(true);
  await world.event("stage_enabled", { withinMs: 40_000, holds: (event) => event["stage"] === 1 });
}

const causeOf = (event: { readonly [key: string]: unknown }): unknown => event["cause"];

describe("an alert", () => {
  it("that begins after the flip takes the flag back, says so, and its end changes nothing; an older one does nothing", async () => {
    const alerting = await start(ALERTS_TOKEN);
    const { world, alertmanager } = alerting;
    await allOn(alerting);
    await ground.probe.misbehave("errors");
    const started = await world.event("rollback_started", { withinMs: 20_000 });
    expect(causeOf(started.event)).toMatchObject({
      kind: "alert",
      name: "HighErrorRate",
      detail: expect.stringMatching(/^\S+ m?s after parallel went live: more than 15 % of files fail$/),
    });
    await world.event("rollback_off");
    expect(flagsIn(ground.flagsPath)).toMatchObject({
      FEATURE_PARALLEL: "false",
      FEATURE_PARSE_CACHE: "true",
    });
    await world.event("recovered", { withinMs: 30_000 });
    // The alert ends: nothing is taken back again, and nothing comes on.
    await until("the alert has ended", async () => (await firing(alertmanager)).length === 2);
    const { run } = await world.run();
    const after = await world.events(run);
    expect(after.filter(({ event }) => event.kind === "rollback_started")).toHaveLength(1);
    expect(flagsIn(ground.flagsPath)).toMatchObject({ FEATURE_PARALLEL: "false" });
    const text = await eventually("the rollback's message", () =>
      world.slack
        .channelMessages("ingestion-ops")
        .map((message) => world.slack.textOf(message))
        .find((one) => one.includes("Belay (alert HighErrorRate)")),
    );
    expect(text).toMatch(/alert HighErrorRate fired .*, \S+ m?s after parallel went live/);
    expect(world.log()).toContain("it began before");
    expect(world.slack.violations()).toEqual([]);
    await world.belay.stop();
    // Told by the webhook and again by every answer, each firing is one.
    const journal = openSqliteJournal({ path: join(world.state, "journal.db"), reservePath: undefined });
    const [known, unjudged] = [await journal.knownAlertKeys(0), await journal.unjudgedAlerts()];
    journal.close();
    expect(known).toHaveLength(RULES.length);
    expect(unjudged).toEqual([]);
  });

  it("whose delivery is refused is found by asking Alertmanager", async () => {
    const alerting = await start("not-the-token-that-belay-knows");
    const { world } = alerting;
    await allOn(alerting);
    await ground.probe.misbehave("errors");
    const started = await world.event("rollback_started", { withinMs: 20_000 });
    expect(causeOf(started.event)).toMatchObject({ kind: "alert", name: "HighErrorRate" });
    expect(world.log()).toContain('"status":401');
    expect(world.log()).not.toContain("not-the-token-that-belay-knows");
    expect(world.log()).not.toContain(ALERTS_TOKEN);
  });
});
