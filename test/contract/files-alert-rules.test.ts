/** The shipped alert rules and Alertmanager settings: taken by promtool and amtool, firing when they should, and fitting the shipped files. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { findProgram, type ProgramName } from "../../scripts/setup/programs.mjs";
import type { IncomingAlert } from "../../src/core/alerts/incoming.ts";
import { concerns } from "../../src/core/alerts/matcher.ts";
import { loadFolder } from "../../src/house.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const RULES = join(ROOT, "deploy/prometheus/bot-platform.rules.yaml");
const ALERTMANAGER = join(ROOT, "deploy/alertmanager/alertmanager.yml");
const DEADLINE_MS = 30_000;

const rulesSchema = z.strictObject({
  groups: z.array(
    z.strictObject({
      name: z.string(),
      rules: z.array(
        z.strictObject({
          alert: z.string(),
          expr: z.string(),
          for: z.string().optional(),
          labels: z.record(z.string(), z.string()),
          annotations: z.record(z.string(), z.string()),
        }),
      ),
    }),
  ),
});
const rules = rulesSchema.parse(parse(readFileSync(RULES, "utf8"))).groups.flatMap((group) => group.rules);
const alarms = rules.filter((rule) => rule.alert !== "Watchdog");

/** Runs the tool that is installed beside a program; its exit code, its whole output, and the part on standard output. */
function run(beside: ProgramName, tool: string, args: readonly string[]) {
  const program = findProgram(beside);
  if (program === undefined)
    throw new Error(`${beside} is not installed: apt-get install prometheus prometheus-alertmanager`);
  const near = join(dirname(program), tool);
  const { status, stdout, stderr, error } = spawnSync(existsSync(near) ? near : tool, [...args], {
    encoding: "utf8",
    timeout: DEADLINE_MS,
  });
  if (error !== undefined) throw error;
  return { code: status, said: `${stdout}${stderr}`, stdout };
}

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "belay-rules-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** Series of four samples a minute, and the alerts that must fire (and no others) after so many minutes. */
interface Story {
  readonly series: Readonly<Record<string, string>>;
  readonly minutes: number;
  readonly fires: readonly string[];
}

const UP = { 'up{job="bots"}': "1x960" };
const CALM = {
  ...UP,
  'bot_replies_total{bot="sales"}': "0+600x960",
  'bot_reply_errors_total{bot="sales"}': "0+2x960",
  'bot_reply_seconds_bucket{bot="sales",le="3.2"}': "0+600x960",
  'bot_reply_seconds_bucket{bot="sales",le="5"}': "0+600x960",
  'bot_reply_seconds_bucket{bot="sales",le="+Inf"}': "0+600x960",
  'bot_active_users{bot="sales"}': "40x960",
  bot_db_pool_used: "15x960",
  bot_db_pool_size: "20x960",
  pg_replication_lag_seconds: "0.2x960",
  'process_resident_memory_bytes{job="bots"}': "400000000x960",
};

const STORIES: readonly (readonly [string, Story])[] = [
  ["a calm day", { series: CALM, minutes: 200, fires: [] }],
  [
    "2 % of the replies fail",
    {
      series: { ...CALM, 'bot_reply_errors_total{bot="sales"}': "0+12x960" },
      minutes: 20,
      fires: ["HighErrorRate"],
    },
  ],
  [
    "one reply in ten takes long",
    {
      series: { ...CALM, 'bot_reply_seconds_bucket{bot="sales",le="3.2"}': "0+540x960" },
      minutes: 20,
      fires: ["HighLatency"],
    },
  ],
  ["the bots are dead", { series: { ...CALM, 'up{job="bots"}': "0x960" }, minutes: 20, fires: ["BotsDown"] }],
  ["nobody knows the bots", { series: { 'up{job="other"}': "1x960" }, minutes: 20, fires: ["BotsDown"] }],
  [
    "16 of 20 connections",
    { series: { ...CALM, bot_db_pool_used: "16x960" }, minutes: 20, fires: ["ConnectionPoolNearlyFull"] },
  ],
  [
    "70 users",
    {
      series: { ...CALM, 'bot_active_users{bot="people"}': "30x960" },
      minutes: 20,
      fires: ["ScalingTrigger"],
    },
  ],
  [
    "a replica 4 s behind",
    { series: { ...CALM, pg_replication_lag_seconds: "4x960" }, minutes: 20, fires: ["ReplicationLag"] },
  ],
  [
    "38 MB more each hour",
    {
      series: { ...CALM, 'process_resident_memory_bytes{job="bots"}': "300000000+158333x960" },
      minutes: 239,
      fires: ["MemoryRising"],
    },
  ],
];

/** A test file for promtool: at the end of the story exactly the alerts that fire, each asked for by name. */
function promtoolTest({ series, minutes, fires }: Story): unknown {
  return {
    rule_files: [RULES],
    evaluation_interval: "15s",
    tests: [
      {
        interval: "15s",
        input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
        promql_expr_test: [
          {
            expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
            eval_time: `${minutes}m`,
            exp_samples: ["Watchdog", ...fires].map((name) => ({
              labels: `{alertname="${name}"}`,
              value: 1,
            })),
          },
        ],
      },
    ],
  };
}

describe("the alert rules of the bot platform", () => {
  it("are taken by Prometheus", () => {
    const { code, said } = run("prometheus", "promtool", ["check", "rules", RULES]);
    expect(said).toContain(`SUCCESS: ${rules.length} rules found`);
    expect(code).toBe(0);
  });

  it.each(STORIES)("fire as they should: %s", async (name, story) => {
    const file = join(dir, `${name.replaceAll(/\W+/g, "-")}.json`);
    await writeFile(file, JSON.stringify(promtoolTest(story)));
    const { code, said } = run("prometheus", "promtool", ["test", "rules", file]);
    expect(said).toContain("SUCCESS");
    expect(code).toBe(0);
  });

  it("name service and environment of the flags file, and a runbook that is there", async () => {
    const catalogue = (await loadFolder(ROOT)).catalogues.get("bot-platform");
    for (const { alert, labels, annotations } of alarms) {
      expect(labels, alert).toMatchObject({
        service: catalogue?.file.service,
        environment: catalogue?.file.environment,
      });
      expect(["critical", "warning"]).toContain(labels["severity"]);
      expect(annotations["summary"], alert).toMatch(/\.$/);
      expect(existsSync(join(ROOT, annotations["runbook"] ?? "none")), alert).toBe(true);
    }
  });

  it("take the rollout back for the bots' own faults, never for capacity", async () => {
    const plan = (await loadFolder(ROOT)).plans.get("bots");
    if (plan === undefined) throw new Error("no rollout bots");
    const taking = rules
      .filter(({ alert, labels }) => concerns(plan, firing({ alertname: alert, ...labels })))
      .map((rule) => rule.alert);
    expect(taking).toEqual(["HighErrorRate", "HighLatency", "BotsDown"]);
  });

  it("have the watchdog that the flags file asks for", async () => {
    const watchdog = (await loadFolder(ROOT)).catalogues.get("bot-platform")?.file.alertmanager?.watchdog;
    expect(rules.filter((rule) => rule.alert === watchdog)).toMatchObject([{ expr: "vector(1)" }]);
  });
});

function firing(labels: Readonly<Record<string, string>>): IncomingAlert {
  return { key: "a@0", fingerprint: "a", status: "firing", startsAt: 0, labels, annotations: {} };
}

describe("the settings of Alertmanager", () => {
  it("are taken by Alertmanager", () => {
    const { code, said } = run("alertmanager", "amtool", ["check-config", ALERTMANAGER]);
    expect(said).toContain("SUCCESS");
    expect(code).toBe(0);
  });

  it.each([
    ["HighErrorRate", "belay"],
    ["ScalingTrigger", "belay"],
    ["Watchdog", "nobody"],
  ])("send %s to %s", (alert, receiver) => {
    const { stdout } = run("alertmanager", "amtool", [
      "config",
      "routes",
      "test",
      `--config.file=${ALERTMANAGER}`,
      `alertname=${alert}`,
    ]);
    expect(stdout.trim()).toBe(receiver);
  });

  it("hold no token, and send each alert at once and by itself", () => {
    const text = readFileSync(ALERTMANAGER, "utf8");
    expect(parse(text)).toMatchObject({
      route: { group_by: ["..."], group_wait: "0s" },
      receivers: [
        { name: "nobody" },
        {
          name: "belay",
          webhook_configs: [
            {
              send_resolved: true,
              http_config: { authorization: { type: "Bearer" }, follow_redirects: false },
            },
          ],
        },
      ],
    });
    expect(text).not.toMatch(/credentials:/);
  });
});
