/** The shipped watch of the bot platform: what it probes, restarts and posts, and that a demo runs it on other ports. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { createPrometheus } from "../../src/adapters/prometheus.ts";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import { loadFolder } from "../../src/house.ts";
import { folder } from "../support/folder.ts";
import { startPrometheus } from "../support/prometheus.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

describe("the shipped watch of the bot platform", () => {
  it("probes, restarts and posts what the platform needs", async () => {
    const { watches } = await loadFolder(ROOT);
    expect([...watches.keys()]).toEqual(["bot-platform"]);
    const plan = watches.get("bot-platform");
    expect(plan).toMatchObject({
      service: "bots",
      environment: "production",
      zone: "Europe/Helsinki",
      channel: "#bot-ops",
      usersChannel: "#bots",
      budget: { most: 3, withinMs: 30 * MINUTE },
      alertmanager: { watchdog: "Watchdog" },
    });
    expect(
      plan?.probes.map((probe) => [probe.name, probe.check.kind, probe.page, probe.restart, probe.runbook]),
    ).toEqual([
      ["ollama", "http", "P0", "ollama", "dependency-restart"],
      ["bots", "http", "P0", "bots", "dependency-restart"],
      ["db", "tcp", "P0", undefined, "dependency-restart"],
      ["pool", "promql", "P1", undefined, "connection-pool-exhaustion"],
      ["users", "promql", "P2", undefined, "scale-out"],
      ["replication", "promql", "P1", undefined, "replication-lag"],
    ]);
    for (const probe of plan?.probes ?? [])
      expect(probe).toMatchObject({ intervalMs: MINUTE, fail: 3, ok: 2, recoverWithinMs: 5 * MINUTE });
    expect(plan?.jobs.map((job) => [job.name, job.cron, job.action, job.missed, job.graceMs])).toEqual([
      [
        "nightly-restart",
        "0 3 * * *",
        { kind: "restart", target: "bots", onlyIf: "memory" },
        "run-once",
        2 * HOUR,
      ],
      ["morning", "0 9 * * *", { kind: "post", post: "health" }, "run-once", 3 * HOUR],
      ["handover", "0 18 * * *", { kind: "post", post: "handover" }, "report", 0],
      ["review", "30 9 * * *", { kind: "post", post: "first-week-review" }, "skip", 0],
    ]);
    expect(plan?.trends).toMatchObject([{ name: "memory", limit: 625 * 1024 ** 2, horizonMs: 24 * HOUR }]);
  });

  it("runs in a demo on other ports without being edited", async () => {
    const dir = await folder({
      "overlay.yaml": `environment: demo
provider: { kind: file }
view: { http: http://127.0.0.1:1111/features, pointer: /flags }
prometheus: { url: http://127.0.0.1:2222, scrape_interval: 1s }
alertmanager: { url: http://127.0.0.1:3333, watchdog: Watchdog }
interval: 1s
window: 5s
watches:
  bot-platform:
    targets:
      ollama: { restart: { process: { command: [/usr/bin/env, node, model.ts], pidfile: /tmp/model.pid } } }
      bots: { restart: { process: { command: [/usr/bin/env, node, bots.ts], pidfile: /tmp/bots.pid } } }
    probes:
      ollama: { http: http://127.0.0.1:4444/api/tags, recover_within: 1m }
      bots: { http: http://127.0.0.1:1111/healthz, recover_within: 1m }
      db: { tcp: 127.0.0.1:5555 }
      replication: off
`,
    });
    const loaded = await loadFolder(ROOT, { overlay: join(dir, "overlay.yaml") });
    expect(loaded.problems).toEqual([]);
    const plan = loaded.watches.get("bot-platform");
    expect(plan).toMatchObject({ environment: "demo", prometheus: { url: "http://127.0.0.1:2222" } });
    expect(plan?.probes.map(({ name, intervalMs }) => [name, intervalMs])).toEqual(
      ["ollama", "bots", "db", "pool", "users"].map((name) => [name, SECOND]),
    );
    expect(JSON.stringify(plan)).not.toMatch(/11434|8100|5432|9090|9093|\.service/);
  });

  it("asks only what Prometheus takes", async () => {
    const prometheus = await startPrometheus({ targets: [], scrapeMs: 1_000 });
    const metrics = createPrometheus({ url: prometheus.url, timeoutMs: 5_000 });
    const plan = (await loadFolder(ROOT)).watches.get("bot-platform");
    const asked = [
      ...(plan?.probes.map(({ check }) => check) ?? []).filter((check) => check.kind === "promql"),
      ...(plan?.trends ?? []),
    ];
    expect(asked).toHaveLength(4);
    for (const { query, freshness } of asked)
      for (const one of [query, freshness])
        expect(await metrics.query(one, Date.now())).toMatchObject({ kind: "body" });
    metrics.close();
    await prometheus.stop();
  });
});
