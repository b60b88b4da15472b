/** Deploys and restarts of a service that a real Prometheus scrapes, at the real engine: noticed in time, held, told in `changes`, and noticed by a Belay that was down. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createClock } from "../../src/adapters/clock.ts";
import { inspect } from "../../src/adapters/files/promql.ts";
import { createFileStore, seedFileStore } from "../../src/adapters/flags/file.ts";
import { createIds } from "../../src/adapters/ids.ts";
import { openSpool } from "../../src/adapters/journal/spool.ts";
import { openSqliteJournal, type SqliteJournal } from "../../src/adapters/journal/sqlite.ts";
import { createPrometheus } from "../../src/adapters/prometheus.ts";
import type { Recorded } from "../../src/core/event.ts";
import { deploysOf } from "../../src/core/files/deploys-entry.ts";
import { freshnessOf } from "../../src/core/files/guard-entry.ts";
import type { Plan } from "../../src/core/plan.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { CommandAnswer } from "../../src/engine/messages.ts";
import type { Metrics } from "../../src/engine/ports.ts";
import { eventually, until } from "../support/eventually.ts";
import { type Exporter, startExporter } from "../support/exporter.ts";
import { type RunningPrometheus, startPrometheus } from "../support/prometheus.ts";
import { SMALL_PLAN } from "../support/slack-engine.ts";

const SCRAPE_MS = 1_000;
/** A deploy is noticed within this time of being visible in Prometheus. */
const NOTICED_WITHIN_MS = 10_000;

/** One replica as its metrics show it; `startedS`: Unix seconds. */
interface Replica {
  readonly exporter: Exporter;
  version: string;
  startedS: number;
  /** Whether the guard finds it bad. */
  bad: 0 | 1;
}

let replicas: Replica[];
let prometheus: RunningPrometheus;
let metrics: Metrics & { close(): void };

const nowS = (): number => Date.now() / 1_000;

async function startReplica(): Promise<Replica> {
  const replica: Omit<Replica, "exporter"> = { version: "1.4.2", startedS: nowS() - 3_600, bad: 0 as const };
  const text = (): string =>
    `app_info{version="${replica.version}"} 1\nprocess_start_time_seconds ${replica.startedS.toFixed(3)}\napp_bad ${replica.bad}\n`;
  return Object.assign(replica, { exporter: await startExporter(text) });
}

beforeAll(async () => {
  replicas = [await startReplica(), await startReplica()];
  const addresses = replicas.map(({ exporter }) => exporter.address);
  prometheus = await startPrometheus({ targets: [{ job: "parser", addresses }], scrapeMs: SCRAPE_MS });
  metrics = createPrometheus({ url: prometheus.url, timeoutMs: 2_000 });
  await until("both replicas are scraped", async () => (await shown("1.4.2")) === 2, { withinMs: 30_000 });
}, 60_000);

afterAll(async () => {
  metrics?.close();
  await prometheus?.stop();
  for (const { exporter } of replicas ?? []) await exporter.close();
});

/** How many replicas show a version in Prometheus. */
async function shown(version: string): Promise<number> {
  const answer = await metrics.query(`count(app_info{version="${version}"}) or vector(0)`, Date.now());
  const match = /"value":\[[^,]+,"(\d+)"\]/.exec(JSON.stringify(answer));
  return Number(match?.[1] ?? Number.NaN);
}

const QUERY = 'max(app_bad{job="parser"})';
const DEPLOYS = { version: 'app_info{job="parser"}' };
const PLAN: Plan = {
  ...SMALL_PLAN,
  scrapeMs: SCRAPE_MS,
  queryTimeoutMs: 2_000,
  stages: SMALL_PLAN.stages.slice(0, 1).map((stage) => ({
    ...stage,
    substages: stage.substages.map((sub) => ({ ...sub, soakMs: 600_000 })),
  })),
  guards: SMALL_PLAN.guards.map((guard) => ({
    ...guard,
    query: QUERY,
    freshness: freshnessOf(inspect(QUERY).selectors),
  })),
  deploys: deploysOf(DEPLOYS, "parser"),
};

/** One Belay on its files. */
class Belay {
  readonly sent: { readonly key: string; readonly kind: string }[] = [];
  /** Goes on while Belay is down, as the real one does. */
  readonly #clock = createClock({ notBefore: 1 });
  readonly #dir = mkdtempSync(join(tmpdir(), "belay-deploys-"));
  #journal: SqliteJournal | undefined;
  #engine: Engine | undefined;

  async start(): Promise<void> {
    const path = join(this.#dir, "flags.json");
    await seedFileStore(path, Object.values(PLAN.flags));
    const journal = openSqliteJournal({ path: join(this.#dir, "journal.db") });
    this.#journal = journal;
    const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
    this.#engine = new Engine({
      clock: this.#clock,
      log,
      ids: createIds(),
      journal,
      spool: openSpool(join(this.#dir, "spool.jsonl"), log),
      chat: {
        post: async ({ key, body }) => {
          this.sent.push({ key, kind: body.kind });
          return { channel: "C1", ts: key };
        },
        update: async () => undefined,
      },
      plans: () => new Map([[PLAN.rollout, PLAN]]),
      connect: () => ({ flags: createFileStore({ path }), metrics, readEveryMs: 500 }),
      mayOf: () => ({ operator: true, groups: [] }),
      defaultChannel: undefined,
      refreshMs: 1_000,
      zone: "UTC",
    });
    await this.#engine.start();
  }

  stop(): void {
    this.#engine?.stop();
    this.#journal?.close();
    this.#engine = undefined;
    this.#journal = undefined;
  }

  drop(): void {
    this.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  async ask(text: string): Promise<CommandAnswer> {
    const actor = { kind: "person" as const, id: "U1", name: "ana", via: "slack" as const };
    const key = `${text}:${performance.now()}`;
    const accepted = await this.#engine?.submit({ key, text, actor, replyTo: { kind: "none" } });
    if (accepted?.kind !== "accepted") throw new Error(`${text}: ${accepted?.kind}`);
    return accepted.answer;
  }

  async events(kind: Recorded["event"]["kind"]): Promise<readonly Recorded[]> {
    const stored = await this.#journal?.lastRunOf(PLAN.rollout);
    const all = stored === undefined ? [] : ((await this.#journal?.events(stored.state.run)) ?? []);
    return all.filter(({ event }) => event.kind === kind);
  }

  async holds(): Promise<readonly string[]> {
    return ((await this.#journal?.lastRunOf(PLAN.rollout))?.state.holds ?? []).map(({ reason }) => reason);
  }
}

let belay: Belay;

describe("a service whose replicas are deployed one after the other", () => {
  beforeEach(async () => {
    belay = new Belay();
    await belay.start();
    await belay.ask("rollout start parser");
    await until("the stage soaks and its versions are known", async () => {
      const [enabled, seen] = [await belay.events("stage_enabled"), await belay.events("versions_seen")];
      return enabled.length > 0 && seen.length > 0;
    });
    // Starts within a scrape of the flip are not told from it.
    await until("a scrape has passed since", async () => {
      const [enabled] = await belay.events("stage_enabled");
      return Date.now() - (enabled?.wall ?? Number.NaN) > SCRAPE_MS;
    });
  });

  afterEach(() => belay.drop());

  it("holds within ten seconds of the first, once, says so, and `changes` tells of it", async () => {
    const [first, second] = replicas;
    if (first === undefined || second === undefined) throw new Error("no replicas");
    Object.assign(first, { version: "1.5.0", startedS: nowS() });
    await until("Prometheus shows it", async () => (await shown("1.5.0")) === 1);
    const visible = Date.now();
    const found = await eventually("it is noticed", async () => (await belay.events("deploy_found"))[0]);
    expect(found.event).toMatchObject({ what: "deploy", detail: "1.4.2 -> 1.5.0 was deployed" });
    expect(found.wall - visible).toBeLessThanOrEqual(NOTICED_WITHIN_MS);
    expect(await belay.holds()).toEqual(["unattributed"]);
    await until("it is told", () => belay.sent.some(({ key }) => key.includes(":hold:")));
    Object.assign(second, { version: "1.5.0", startedS: nowS() });
    await until("Prometheus shows both", async () => (await shown("1.5.0")) === 2);
    const { text, lines } = await belay.ask("belay changes");
    expect(text).toBe("Changes in the last 2 h, newest last:");
    expect(lines).toEqual([
      expect.stringMatching(
        /^\d\d:\d\d:\d\d {2}parser \(r-\w+\): cache ON, by Belay for stage cache; @ana started it$/,
      ),
      expect.stringMatching(
        /^\d\d:\d\d:\d\d {2}parser \(r-\w+\): inside the soak, .* 1\.4\.2 -> 1\.5\.0 was deployed/,
      ),
      expect.stringMatching(/^No history: file of parser keeps none/),
    ]);
    expect(await belay.ask("rollout resume")).toMatchObject({ ok: true });
    expect((await belay.events("held")).length).toBe(1);
  });

  it("is told with the rollback when it breaks the service at once", async () => {
    const [first] = replicas;
    if (first === undefined) throw new Error("no replica");
    Object.assign(first, { version: "2.0.0", startedS: nowS(), bad: 1 });
    const found = await eventually("it is noticed", async () => (await belay.events("deploy_found"))[0]);
    const decided = await eventually(
      "it rolls back",
      async () => (await belay.events("rollback_started"))[0],
    );
    expect(found.event).toMatchObject({ detail: expect.stringContaining("-> 2.0.0 was deployed") });
    const cause = decided.event.kind === "rollback_started" ? decided.event.cause : undefined;
    const isLater = found.event.kind === "deploy_found" && found.event.withRollback === true;
    expect(isLater || JSON.stringify(cause).includes("2.0.0 was deployed")).toBe(true);
    Object.assign(first, { bad: 0 });
    await until("Prometheus shows it well again", async () =>
      JSON.stringify(await metrics.query("max(app_bad)", Date.now())).includes('"0"'),
    );
  });

  it("is noticed by a Belay that was down when one was restarted", async () => {
    belay.stop();
    const [first] = replicas;
    if (first === undefined) throw new Error("no replica");
    first.startedS = nowS();
    await belay.start();
    const found = await eventually("it is noticed", async () => (await belay.events("deploy_found"))[0]);
    expect(found.event).toMatchObject({ what: "restart", detail: "a process of parser was restarted" });
    await until("it holds", async () => (await belay.holds()).includes("unattributed"));
  });
});
