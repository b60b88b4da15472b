/** Watches in schedules/: loaded beside rollouts, each mistake with its line and column, and under overlays; and what `rollback_on` becomes. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Loaded } from "../../src/adapters/files/folder.ts";
import { formatProblem } from "../../src/adapters/files/problem.ts";
import { MINUTE, SECOND } from "../../src/core/time.ts";
import { loadFolder } from "../../src/house.ts";
import { type Files, FLAGS, folder, GOOD, load, placeOf } from "../support/folder.ts";

const WATCH = `# A comment in front.
watch: platform
flags: main
users_channel: "#users"
zone: Europe/Helsinki
targets:
  model: { restart: model.service, up_within: 20s }
probes:
  model: { http: http://127.0.0.1:1/tags, timeout: 5s, restart: model }
  pool: { promql: 'max_over_time(used[10m]) / size', max: 80% }
  db: { tcp: 127.0.0.1:5432 }
jobs:
  morning: { cron: "0 9 * * *", post: health }
`;
const WITH_WATCH: Files = { ...GOOD, "schedules/platform.yaml": WATCH };

function said({ problems }: Loaded): readonly string[] {
  return problems.map(formatProblem);
}

async function loadWith(files: Files, overlay: string): Promise<Loaded> {
  const dir = await folder({ ...files, "overlay.yaml": overlay });
  return loadFolder(dir, { overlay: join(dir, "overlay.yaml") });
}

describe("a watch in schedules/", () => {
  it("is loaded beside the rollouts", async () => {
    const loaded = await load(WITH_WATCH);
    expect(said(loaded)).toEqual([]);
    expect([...loaded.plans.keys()]).toEqual(["demo"]);
    expect([...loaded.watches.keys()]).toEqual(["platform"]);
    expect(loaded.watches.get("platform")).toMatchObject({
      service: "ingestion",
      source: "main",
      probes: [{ name: "model" }, { name: "pool" }, { name: "db" }],
      jobs: [{ name: "morning", zone: "Europe/Helsinki" }],
    });
  });

  it("takes the flags file of its own name when it names none", async () => {
    const { watches, problems } = await load({
      "flags/platform.yaml": FLAGS,
      "schedules/platform.yaml": WATCH.replace("flags: main\n", ""),
    });
    expect(problems).toEqual([]);
    expect(watches.get("platform")?.source).toBe("platform");
  });

  it("may watch nothing of a rollout, and the other way round", async () => {
    const { watches, plans } = await load({ "flags/main.yaml": FLAGS, "schedules/platform.yaml": WATCH });
    expect([watches.size, plans.size]).toEqual([1, 0]);
    expect((await load(GOOD)).watches.size).toBe(0);
  });

  it.each<readonly [string, string, string, string | RegExp]>([
    ["zone: Europe/Helsinki\n", "", "watch: platform", "`zone` is missing: expected text"],
    ["flags: main", "flags: ^mian", "", "expected a file in flags/ (main), found no flags/mian.yaml"],
    ["flags: main\n", "", "platform\n", "expected a file in flags/ (main), found no flags/platform.yaml"],
    ["jobs:\n", "^rollout: x\njobs:\n", "", "unknown key `rollout`"],
    ["tcp: 127.0.0.1:5432", "tcp: ^db", "", 'expected HOST:PORT such as 127.0.0.1:5432, found "db"'],
    ["tcp: 127.0.0.1:5432", "tcp: 127.0.0.1:5432, ^pgae: P0", "", "unknown key `pgae`"],
    ["restart: model }", "restart: ^modle }", "", 'expected a target of this file (model), found "modle"'],
    [
      "http: http://127.0.0.1:1/tags",
      "http: ^http://me:hunter2@h/",
      "",
      'expected a URL without user and password, token or key (secrets never stand in files), found "http://***@h/"',
    ],
    [
      "/ size",
      "^> size",
      "",
      "the comparison `>` hides series, so that blind looks healthy: write the limit as max or min",
    ],
    [
      "[10m]) / size', max: 80%",
      "[10m]) ^> size', max: 80%",
      "",
      "the comparison `>` hides series, so that blind looks healthy: write the limit as max or min",
    ],
    ['"0 9 * * *"', '"0 ^25 * * *"', "", "hour: expected *, 0 to 23, a list, a range or a step, found 25"],
    ["{ restart: model.service,", "{ exec: [^model],", "", /^expected the absolute path of a program/],
    ["  db:", "  ^Db:", "", 'expected a name of lower-case letters, digits and dashes, found "Db"'],
    ["  db: { tcp: 127.0.0.1:5432 }", "  ^db: {}", "", "expected exactly one of http, tcp or promql"],
  ])("with %j as %j", async (from, marked, missing, message) => {
    expect(WATCH.split(from)).toHaveLength(2);
    const bad = WATCH.replace(from, () => marked.replace("^", ""));
    const at = marked.indexOf("^");
    const mark = at === -1 ? missing : bad.slice(WATCH.indexOf(from) + at);
    const place = at === -1 ? placeOf("schedules/platform.yaml", bad, mark) : placeAtEnd(bad, mark.length);
    const loaded = await load({ ...WITH_WATCH, "schedules/platform.yaml": bad });
    expect(said(loaded)).toEqual([
      typeof message === "string"
        ? `${place}: error: ${message}`
        : expect.stringMatching(
            new RegExp(`^${place.replaceAll(".", "\\.")}: error: ${message.source.slice(1)}`),
          ),
    ]);
    expect([...loaded.watches.keys(), ...loaded.plans.keys()]).toEqual(["demo"]);
  });

  it("that has the wrong shape is told its query's faults too", async () => {
    const bad = WATCH.replace("/ size", "== size").replace("flags: main", "flags: [x]");
    expect(said(await load({ ...WITH_WATCH, "schedules/platform.yaml": bad }))).toEqual([
      `${placeOf("schedules/platform.yaml", bad, "flags:")}: error: expected text, found a list`,
      expect.stringContaining(placeOf("schedules/platform.yaml", bad, "== size")),
    ]);
  });

  it("is not loaded over a flags file with an error, which is told there alone", async () => {
    const loaded = await load({ ...WITH_WATCH, "flags/main.yaml": FLAGS.replace("[cache]", "[nothing]") });
    expect([loaded.watches.size, loaded.problems.length]).toEqual([0, 1]);
  });

  it("in two files is told at both, and neither is taken", async () => {
    const loaded = await load({ ...WITH_WATCH, "schedules/zwin.yml": WATCH });
    expect(said(loaded)).toEqual([
      "schedules/platform.yaml:2:8: error: watch platform is defined in schedules/zwin.yml too",
      "schedules/zwin.yml:2:8: error: watch platform is defined in schedules/platform.yaml too",
    ]);
    expect([...loaded.watches.keys(), ...loaded.plans.keys()]).toEqual(["demo"]);
  });

  it("may be slow to recover, which is only a warning", async () => {
    const slow = WATCH.replace("up_within: 20s", "up_within: 2m");
    const loaded = await load({ ...WITH_WATCH, "schedules/platform.yaml": slow });
    expect(said(loaded)).toEqual([
      expect.stringMatching(
        `${placeOf("schedules/platform.yaml", slow, "model: { http")}: warning: a recovery may take 365 s`,
      ),
    ]);
    expect(loaded.watches.size).toBe(1);
  });
});

describe("rollback_on", () => {
  const withMatchers = (yaml: string): Files => ({
    ...GOOD,
    "flags/main.yaml": `${FLAGS}alertmanager: { url: http://127.0.0.1:9093, watchdog: Watchdog, interval: 5s }\n`,
    "schedules/demo.yaml": `${GOOD["schedules/demo.yaml"]}rollback_on: ${yaml}\n`,
  });

  it("becomes matchers of label and values, and the Alertmanager goes with them", async () => {
    const { plans, problems } = await load(
      withMatchers("[{ severity: critical }, { alertname: [A, B], team: bots }]"),
    );
    expect(problems).toEqual([]);
    expect(plans.get("demo")).toMatchObject({
      rollbackOn: [
        { labels: { severity: ["critical"] } },
        { labels: { alertname: ["A", "B"], team: ["bots"] } },
      ],
      outside: {
        alertmanager: { url: "http://127.0.0.1:9093", watchdog: "Watchdog", interval: 5 * SECOND },
      },
    });
  });

  it.each<readonly [string, string, string]>([
    ["[{ ^service: bots }]", "an alert must always name this service and environment", '"service"'],
    ["[{ ^environment: x }]", "an alert must always name this service and environment", '"environment"'],
    ["[{ ^env: x }]", "an alert must always name this service and environment", '"env"'],
    ["[{ ^a-b: x }]", "expected the name of a label", '"a-b"'],
    ["[^{}]", "expected at least one label", "a mapping"],
    ["[{ severity: ^1 }]", "expected a label's value or a list of values, as texts", "1"],
    ["[{ ^severity: [] }]", "expected at least one value", "a list"],
  ])("%s is a mistake", async (marked, message, what) => {
    const files = withMatchers(marked.replace("^", ""));
    const text = String(files["schedules/demo.yaml"]);
    const place = placeOf("schedules/demo.yaml", text, marked.replace("^", ""), marked.indexOf("^"));
    const loaded = await load(files);
    expect(said(loaded)).toEqual([`${place}: error: ${message}, found ${what}`]);
    expect(loaded.plans.size).toBe(0);
  });

  it("without an Alertmanager to ask is warned of", async () => {
    const loaded = await load({
      ...GOOD,
      "schedules/demo.yaml": `${GOOD["schedules/demo.yaml"]}rollback_on: [{ severity: critical }]\n`,
    });
    expect(said(loaded)).toEqual([
      "schedules/demo.yaml:6:1: warning: flags/main names no `alertmanager`: an alert whose delivery is lost would not be noticed",
    ]);
    expect(loaded.plans.size).toBe(1);
  });
});

describe("an overlay over a watch", () => {
  const OVERLAY = `environment: demo
prometheus: { url: http://127.0.0.1:9999, scrape_interval: 1s }
alertmanager: { url: http://127.0.0.1:9998 }
interval: 500ms
window: 5s
watches:
  platform:
    targets: { model: { http: { post: http://127.0.0.1:7/restart } } }
    probes:
      model: { http: http://127.0.0.1:7/tags, fail: 1, ok: 1, recover_within: 1m }
      db: { tcp: 127.0.0.1:8, interval: 4s, timeout: 3s }
    jobs:
      morning: { cron: "* * * * *", zone: UTC }
`;

  it("replaces what it names", async () => {
    const loaded = await loadWith(WITH_WATCH, OVERLAY);
    expect(said(loaded)).toEqual([]);
    const plan = loaded.watches.get("platform");
    expect(plan).toMatchObject({
      environment: "demo",
      prometheus: { url: "http://127.0.0.1:9999" },
      alertmanager: { url: "http://127.0.0.1:9998" },
      targets: [{ name: "model", replicas: [{ kind: "http", post: "http://127.0.0.1:7/restart" }] }],
      jobs: [{ name: "morning", cron: "* * * * *", zone: "UTC", action: { kind: "post", post: "health" } }],
    });
    expect(plan?.probes).toMatchObject([
      {
        name: "model",
        check: { kind: "http", url: "http://127.0.0.1:7/tags" },
        // The polls of an overlay may be shorter than those of a probe; its file's timeout of 5 s would not fit.
        intervalMs: SECOND,
        timeoutMs: SECOND / 2,
        fail: 1,
        ok: 1,
        recoverWithinMs: MINUTE,
        restart: "model",
      },
      {
        name: "pool",
        check: { kind: "promql", query: "max_over_time(used[5s]) / size", max: 0.8 },
        intervalMs: SECOND,
        timeoutMs: SECOND / 2,
        fail: 3,
      },
      {
        name: "db",
        check: { kind: "tcp", host: "127.0.0.1", port: 8 },
        intervalMs: 4 * SECOND,
        timeoutMs: 3 * SECOND,
      },
    ]);
  });

  it("leaves out what is off, and keeps what it does not name", async () => {
    const loaded = await loadWith(
      WITH_WATCH,
      "watches: { platform: { probes: { db: off }, jobs: { morning: off } } }",
    );
    expect(said(loaded)).toEqual([]);
    const plan = loaded.watches.get("platform");
    expect(plan?.probes.map(({ name, intervalMs }) => [name, intervalMs])).toEqual([
      ["model", MINUTE],
      ["pool", MINUTE],
    ]);
    expect(plan?.jobs).toEqual([]);
    expect(plan?.targets).toMatchObject([{ replicas: [{ kind: "unit", restart: "model.service" }] }]);
  });

  it("that does not name a watch leaves it out, so that a demo restarts nothing of production", async () => {
    const loaded = await loadWith(WITH_WATCH, "environment: demo\n");
    expect(said(loaded)).toEqual([]);
    expect([loaded.plans.size, loaded.watches.size]).toEqual([1, 0]);
  });

  it("does not hide the watch's own mistakes", async () => {
    const bad = WATCH.replace("/ size", "== size");
    const loaded = await loadWith({ ...WITH_WATCH, "schedules/platform.yaml": bad }, OVERLAY);
    expect(said(loaded)).toEqual([
      expect.stringContaining(placeOf("schedules/platform.yaml", bad, "== size")),
    ]);
    expect(loaded.plans.size).toBe(1);
  });

  it.each<readonly [string, string, string, string | RegExp]>([
    ["a watch that is not there", "  platform:", "  ^platfrom:", "expected a watch of schedules/ (platform)"],
    [
      "a probe that is not there",
      "      db:",
      "      ^dbb:",
      "watch platform has no such name among its probes (model, pool, db)",
    ],
    [
      "a target that is not there",
      "{ model: { http: { post",
      "{ ^modle: { http: { post",
      "watch platform has no such name among its targets (model)",
    ],
    [
      "a probe of another kind",
      "tcp: 127.0.0.1:8",
      "http: ^http://h",
      "probe db of watch platform is not http",
    ],
    [
      "a program by name",
      "{ http: { post: http://127.0.0.1:7/restart } }",
      "{ exec: [^x] }",
      /expected the absolute path of a program.*found "x"$/,
    ],
    ["a timeout too long", "timeout: 3s", "timeout: ^9s", /expected a time below the interval \(4 s\)/],
    ["a cron that is none", '"* * * * *"', '"* ^24 * * *"', /^.*hour: expected/],
    ["an unknown key", "tcp: 127.0.0.1:8,", "^tpc: 127.0.0.1:8,", "unknown key `tpc`"],
  ])("with %s loads nothing", async (_, from, marked, message) => {
    expect(OVERLAY.split(from)).toHaveLength(2);
    const bad = OVERLAY.replace(from, () => marked.replace("^", ""));
    const loaded = await loadWith(WITH_WATCH, bad);
    const at = marked.indexOf("^");
    const place =
      at === -1 ? "overlay.yaml:" : placeOf("overlay.yaml", bad, bad.slice(OVERLAY.indexOf(from) + at));
    const [problem, ...rest] = said(loaded);
    expect(problem).toContain(place);
    expect(problem).toMatch(message);
    expect(rest).toEqual([]);
    expect([loaded.plans.size, loaded.watches.size, loaded.catalogues.size]).toEqual([0, 0, 0]);
  });

  it("is not to blame for a watch whose file is broken", async () => {
    const loaded = await loadWith(
      { ...WITH_WATCH, "schedules/platform.yaml": WATCH.replace("zone: Europe/Helsinki\n", "") },
      OVERLAY,
    );
    expect(said(loaded)).toEqual([expect.stringContaining("`zone` is missing")]);
    expect(loaded.plans.size).toBe(1);
  });
});

/** The place of the character so many before the end. */
function placeAtEnd(text: string, fromEnd: number): string {
  const before = text.slice(0, text.length - fromEnd).split("\n");
  return `schedules/platform.yaml:${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
}
