/** From a watch as people write it to the plan of probes, restarts, jobs and blackouts; and each mistake with its path. */
import { Cron } from "croner";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { inspect } from "../../src/adapters/files/promql.ts";
import { endOf, parseDate, startOf } from "../../src/core/files/calendar-date.ts";
import { catalogueFrom } from "../../src/core/files/catalogue.ts";
import { compileWatch } from "../../src/core/files/compile-watch.ts";
import { minutesOfDay, readCron, shortestGapMinutes } from "../../src/core/files/cron.ts";
import { flagsFileSchema } from "../../src/core/files/flags-file.ts";
import { fromZod, type Mistake } from "../../src/core/files/mistake.ts";
import { secretInUrl, withoutSecrets } from "../../src/core/files/secret.ts";
import { target, watchSchema } from "../../src/core/files/watch-file.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import type { WatchPlan } from "../../src/core/watch/plan.ts";
import { checkProvider } from "../../src/providers.ts";

type Data = Readonly<Record<string, unknown>>;

const FLAGS: Data = {
  service: "bots",
  environment: "production",
  provider: { kind: "file" },
  view: { http: "http://127.0.0.1:8100/features", pointer: "/flags" },
  prometheus: { url: "http://127.0.0.1:9090", scrape_interval: "15s" },
  alertmanager: { url: "http://127.0.0.1:9093", watchdog: "Watchdog" },
  flags: { cache: { key: "cache" } },
  guards: { memory: { kind: "trend", query: "max(rss_bytes)", limit: "125MiB", horizon: "4h" } },
};

const WATCH: Data = {
  watch: "platform",
  channel: "#ops",
  users_channel: "#users",
  zone: "Europe/Helsinki",
  targets: { model: { restart: "model.service" } },
  probes: { model: { http: "http://127.0.0.1:1/tags", restart: "model" } },
};

const RUNBOOKS: ReadonlySet<string> = new Set(["scale-out", "scale-out.md"]);

function compiled(data: Data): { readonly plan?: WatchPlan; readonly lines: readonly string[] } {
  const flags = flagsFileSchema.parse(FLAGS);
  const { catalogue, mistakes } = catalogueFrom("main", flags, { inspect, provider: checkProvider });
  expect(mistakes).toEqual([]);
  const parsed = watchSchema.safeParse(data);
  if (!parsed.success) return { lines: lines(fromZod(parsed.error, data)) };
  const made = compileWatch(parsed.data, catalogue, { inspect, runbooks: RUNBOOKS });
  return { plan: made.plan, lines: lines(made.mistakes) };
}

function lines(mistakes: readonly Mistake[]): readonly string[] {
  return mistakes.map(
    (one) => `${one.level === "warning" ? "warning " : ""}${one.path.join(".")}: ${one.message}`,
  );
}

function good(data: Data): WatchPlan {
  const { plan, lines: found } = compiled(data);
  expect(found).toEqual([]);
  if (plan === undefined) throw new Error("no plan");
  return plan;
}

const withProbe = (probe: Data, more: Data = {}): Data => ({ ...WATCH, probes: { x: probe }, ...more });
const withJob = (job: Data, more: Data = {}): Data => ({ ...WATCH, jobs: { x: job }, ...more });
const withTarget = (target: unknown): Data => ({ ...WATCH, targets: { model: target } });
const withBlackout = (blackout: Data): Data => ({ ...WATCH, blackouts: [blackout] });

describe("a watch", () => {
  it("takes service, environment, Prometheus, Alertmanager and trends from its flags file", () => {
    expect(good(WATCH)).toMatchObject({
      watch: "platform",
      service: "bots",
      environment: "production",
      source: "main",
      zone: "Europe/Helsinki",
      channel: "#ops",
      usersChannel: "#users",
      prometheus: { url: "http://127.0.0.1:9090", scrape_interval: 15 * SECOND },
      alertmanager: { url: "http://127.0.0.1:9093", watchdog: "Watchdog" },
      budget: { most: 3, withinMs: 30 * MINUTE },
      jobs: [],
      blackouts: [],
      trends: [
        {
          name: "memory",
          query: "max(rss_bytes)",
          freshness: "min(timestamp(rss_bytes))",
          limit: 125 * 1024 ** 2,
          unit: "bytes",
          horizonMs: 4 * HOUR,
        },
      ],
    });
  });

  it("fills in what a probe leaves open", () => {
    expect(good(WATCH).probes).toEqual([
      {
        name: "model",
        check: { kind: "http", url: "http://127.0.0.1:1/tags", status: { from: 200, to: 299 } },
        intervalMs: MINUTE,
        timeoutMs: 5 * SECOND,
        fail: 3,
        ok: 2,
        recoverWithinMs: 5 * MINUTE,
        restart: "model",
      },
    ]);
    expect(good(withProbe({ tcp: "db:5432", interval: "2s" })).probes[0]?.timeoutMs).toBe(SECOND);
  });

  it.each<readonly [string, Data, object]>([
    [
      "http with a status and a text",
      { http: "https://x.example/a?b=c", expect: 204, contains: "ok" },
      { kind: "http", url: "https://x.example/a?b=c", status: { from: 204, to: 204 }, body: "ok" },
    ],
    ["http with a range", { http: "http://h", expect: "200-399" }, { status: { from: 200, to: 399 } }],
    ["tcp", { tcp: "db.internal:5432" }, { kind: "tcp", host: "db.internal", port: 5432 }],
    ["tcp by IPv6", { tcp: "[::1]:1" }, { kind: "tcp", host: "::1", port: 1 }],
    [
      "promql",
      { promql: "used / size", max: "80%", min: 0 },
      {
        kind: "promql",
        query: "used / size",
        freshness: "clamp_max(min(timestamp(used)), scalar(min(timestamp(size))))",
        max: 0.8,
        min: 0,
        unit: "percent",
      },
    ],
  ])("has a probe of kind %s", (_, probe, check) => {
    expect(good(withProbe(probe)).probes[0]?.check).toMatchObject(check);
  });

  it("knows every way to restart", () => {
    const plan = good({
      ...withProbe({ tcp: "h:1" }),
      targets: {
        model: { restart: "model.service", up_within: "2m" },
        child: { restart: { process: { command: ["/bin/x"], pidfile: "/run/x.pid" } } },
        web: { http: { post: "http://127.0.0.1:1/restart", up: "http://127.0.0.1:1/up" } },
        run: { exec: ["/usr/local/bin/restart", "--now"], up: "http://127.0.0.1:2/up" },
        both: { replicas: [{ restart: "bot@1.service" }, { exec: ["/bin/two"] }] },
      },
    });
    expect(plan.targets).toEqual([
      {
        name: "model",
        replicas: [{ kind: "unit", restart: "model.service" }],
        upWithinMs: 2 * MINUTE,
      },
      {
        name: "child",
        replicas: [{ kind: "unit", restart: { process: { command: ["/bin/x"], pidfile: "/run/x.pid" } } }],
        upWithinMs: 30 * SECOND,
      },
      {
        name: "web",
        replicas: [{ kind: "http", post: "http://127.0.0.1:1/restart", up: "http://127.0.0.1:1/up" }],
        upWithinMs: 30 * SECOND,
      },
      {
        name: "run",
        replicas: [{ kind: "exec", argv: ["/usr/local/bin/restart", "--now"], up: "http://127.0.0.1:2/up" }],
        upWithinMs: 30 * SECOND,
      },
      {
        name: "both",
        replicas: [
          { kind: "unit", restart: "bot@1.service" },
          { kind: "exec", argv: ["/bin/two"] },
        ],
        upWithinMs: 30 * SECOND,
      },
    ]);
  });

  it("has jobs of each kind", () => {
    const { jobs } = good({
      ...WATCH,
      jobs: {
        night: {
          cron: "0 3 * * *",
          restart: "model",
          only_if: "memory",
          missed: "run-once",
          grace: "2h",
          overlap: "queue",
          jitter: "2m",
        },
        once: { cron: " 30 9 * * mon-fri ", zone: "UTC", post: "health", missed: "run-once" },
        drill: { cron: "0 14 1 * *", drill: "page", until: "2026-12-06" },
      },
    });
    expect(jobs).toEqual([
      {
        name: "night",
        cron: "0 3 * * *",
        zone: "Europe/Helsinki",
        action: { kind: "restart", target: "model", onlyIf: "memory" },
        missed: "run-once",
        graceMs: 2 * HOUR,
        overlap: "queue",
        jitterMs: 2 * MINUTE,
      },
      {
        name: "once",
        cron: "30 9 * * mon-fri",
        zone: "UTC",
        action: { kind: "post", post: "health" },
        missed: "run-once",
        graceMs: HOUR,
        overlap: "skip",
        jitterMs: 0,
      },
      {
        name: "drill",
        cron: "0 14 1 * *",
        zone: "Europe/Helsinki",
        action: { kind: "drill" },
        missed: "skip",
        graceMs: 0,
        overlap: "skip",
        jitterMs: 0,
        // The whole of 6 December: midnight in Helsinki is 22:00 UTC.
        until: Date.UTC(2026, 11, 6, 22) - 1,
      },
    ]);
  });

  it("has blackouts by the week and by date", () => {
    const { blackouts } = good({
      ...WATCH,
      blackouts: [
        { hours: "Sun 02:00-04:00", because: "a" },
        { hours: " 22:00-2:00", zone: "UTC", because: "b" },
        { from: "2026-12-24", to: "2026-12-27", because: "c" },
        { from: "2026-12-24 09:30", to: "2026-12-24T10:00", zone: "UTC", because: "d" },
      ],
    });
    expect(blackouts).toEqual([
      { kind: "hours", text: "Sun 02:00-04:00", zone: "Europe/Helsinki", because: "a" },
      { kind: "hours", text: "22:00-2:00", zone: "UTC", because: "b" },
      {
        kind: "dates",
        from: Date.UTC(2026, 11, 23, 22),
        to: Date.UTC(2026, 11, 27, 22),
        because: "c",
      },
      {
        kind: "dates",
        from: Date.UTC(2026, 11, 24, 9, 30),
        to: Date.UTC(2026, 11, 24, 10),
        because: "d",
      },
    ]);
  });

  it("may be nothing but jobs", () => {
    const { probes: _, ...rest } = WATCH;
    expect(good({ ...rest, jobs: { x: { cron: "0 9 * * *", post: "health" } } }).probes).toEqual([]);
  });

  it("warns when a recovery may take longer than it should", () => {
    const slow = { http: "http://h", restart: "model", recover_within: "4m" };
    expect(compiled(withProbe(slow)).lines).toEqual([
      "warning probes.x: a recovery may take 275 s (failing 125 + restart 30 + well again 120), more than the 240 s of recover_within",
    ]);
    expect(compiled(withProbe({ ...slow, interval: "30s" })).lines).toEqual([]);
  });

  it("warns when a day and a weekday are given", () => {
    expect(compiled(withJob({ cron: "0 9 1 * mon", post: "health" })).lines).toEqual([
      "warning jobs.x.cron: both a day and a weekday are given: it fires when either matches, not only when both do",
    ]);
  });
});

describe("mistakes in a watch", () => {
  it.each<readonly [string, Data, readonly (string | RegExp)[]]>([
    ["nothing to do", { watch: "x", zone: "UTC" }, ["watch: expected probes or jobs: this watches nothing"]],
    ["no zone", { watch: "x", probes: {} }, ["zone: `zone` is missing: expected text"]],
    ["a zone that is none", { ...WATCH, zone: "Mars/Olympus" }, [/^zone: expected a time zone such as/]],
    ["an unknown key", { ...WATCH, colour: 1 }, ["colour: unknown key `colour`"]],
    ["a rollout's key", { ...WATCH, rollout: "x" }, ["rollout: unknown key `rollout`"]],
    [
      "a probe of no kind",
      withProbe({ page: "P0" }),
      ["probes.x: expected exactly one of http, tcp or promql"],
    ],
    [
      "a probe of two kinds",
      withProbe({ http: "http://h", tcp: "h:1" }),
      ["probes.x: expected exactly one of http, tcp or promql"],
    ],
    [
      "a password in a URL",
      withProbe({ http: "http://me:hunter2@h/x" }),
      [
        'probes.x.http: expected a URL without user and password, token or key (secrets never stand in files), found "http://***@h/x"',
      ],
    ],
    [
      "a password in a URL that is written oddly",
      withProbe({ http: "http:/me:hunter2@h" }),
      [/^probes\.x\.http: expected an http\(s\) URL/, /URL without user.*, found "http:\/\*\*\*@h"$/],
    ],
    [
      "a token in a URL",
      { ...WATCH, targets: { model: { http: { post: "http://h/x?a=1&api_token=hunter2" } } } },
      [/^targets\.model\.http\.post: expected a URL without user.*"http:\/\/h\/x\?a=1&api_token=\*\*\*"$/],
    ],
    [
      "a URL of another kind",
      withProbe({ http: "file:///etc/passwd" }),
      [/^probes\.x\.http: expected an http/],
    ],
    [
      "no port",
      withProbe({ tcp: "h" }),
      ['probes.x.tcp: expected HOST:PORT such as 127.0.0.1:5432, found "h"'],
    ],
    ["a port too high", withProbe({ tcp: "h:70000" }), [/^probes\.x\.tcp: expected HOST:PORT/]],
    [
      "a status that is none",
      withProbe({ http: "http://h", expect: 99 }),
      [/^probes\.x\.expect: expected a status/],
    ],
    ["a status range that falls", withProbe({ http: "http://h", expect: "300-200" }), [/expected a status/]],
    [
      "a limit without a number",
      withProbe({ tcp: "h:1", max: 3 }),
      ["probes.x.max: `max` is for promql: nothing here yields a number"],
    ],
    [
      "a status without http",
      withProbe({ tcp: "h:1", expect: 200 }),
      ["probes.x.expect: `expect` is for http: nothing here answers with it"],
    ],
    ["a query without a limit", withProbe({ promql: "x" }), ["probes.x: expected max, min or both"]],
    [
      "limits that cross",
      withProbe({ promql: "x", max: 1, min: 2 }),
      ["probes.x.max: max is below min: nothing could be well"],
    ],
    [
      "a query of nothing",
      withProbe({ promql: "1 + 1", max: 3 }),
      ["probes.x.promql: the query reads no series, so its freshness cannot be proved"],
    ],
    [
      "a query that hides blindness",
      withProbe({ promql: "x or vector(0)", max: 3 }),
      [/^probes\.x\.promql: `vector\(0\)` beside `or` reads no series/],
    ],
    [
      "an interval too short",
      withProbe({ tcp: "h:1", interval: "500ms" }),
      ['probes.x.interval: expected an interval of at least 1s, found "500ms"'],
    ],
    [
      "a timeout as long as the interval",
      withProbe({ tcp: "h:1", interval: "5s", timeout: "5s" }),
      ["probes.x.timeout: expected a time below the interval (5 s): one check at a time"],
    ],
    [
      "a count of 0",
      withProbe({ tcp: "h:1", fail: 0 }),
      ["probes.x.fail: expected a number from 1 to 20, found 0"],
    ],
    [
      "a target that is not there",
      withProbe({ tcp: "h:1", restart: "modle" }),
      ['probes.x.restart: expected a target of this file (model), found "modle"'],
    ],
    [
      "a severity that is none",
      withProbe({ tcp: "h:1", page: "P9" }),
      ['probes.x.page: expected page: P0, P1 or P2, found "P9"'],
    ],
    [
      "a runbook that is not there",
      withProbe({ tcp: "h:1", runbook: "fire" }),
      ["probes.x.runbook: expected a runbook in runbooks/, found no fire.md there"],
    ],
    [
      "users without a channel",
      { watch: "x", zone: "UTC", probes: { x: { tcp: "h:1", degraded: "slow" } } },
      ["probes.x.degraded: expected `users_channel` in this file: where would the users read it?"],
    ],
    ["no way to restart", withTarget({}), ["targets.model: expected exactly one of restart, http or exec"]],
    [
      "two ways to restart",
      withTarget({ restart: "x.service", exec: ["/bin/x"] }),
      ["targets.model: expected exactly one of restart, http or exec"],
    ],
    [
      "replicas and a way",
      withTarget({ restart: "x.service", replicas: [{ restart: "y.service" }] }),
      ["targets.model: target model: expected either replicas, or one way to restart it"],
    ],
    [
      "one thing twice",
      withTarget({ up_within: "1s", replicas: [{ restart: "x.service" }, { restart: "x.service" }] }),
      ["targets.model.replicas.1: this is restarted by target model already: expected each thing once"],
    ],
    [
      "a program by name",
      withTarget({ exec: ["systemctl"] }),
      [
        'targets.model.exec.0: expected the absolute path of a program, such as /usr/local/bin/restart-bot, found "systemctl"',
      ],
    ],
    [
      "a program by a detour",
      withTarget({ exec: ["/usr/bin/../sbin/x"] }),
      [/^targets\.model\.exec\.0: expected the absolute path/],
    ],
    [
      "a shell's line",
      withTarget({ exec: ["/bin/sh", "-ec", "rm -rf $X"] }),
      [
        "targets.model.exec.0: a shell would read a line that is not checked: expected the program itself with its arguments",
      ],
    ],
    [
      "a command as text",
      withTarget({ exec: "/bin/x --now" }),
      ['targets.model.exec: expected a list, found "/bin/x --now"'],
    ],
    [
      "`up` beside a unit",
      withTarget({ restart: "x.service", up: "http://h" }),
      ["targets.model.up: `up` stands beside exec, or inside http"],
    ],
    [
      "a unit that is none",
      withTarget({ restart: "x; reboot" }),
      [/^targets\.model\.restart: expected a systemd unit/],
    ],
    [
      "a job without an action",
      withJob({ cron: "0 9 * * *" }),
      ["jobs.x: expected exactly one of restart, post or drill"],
    ],
    [
      "a job with two",
      withJob({ cron: "0 9 * * *", post: "health", restart: "model" }),
      ["jobs.x: expected exactly one of restart, post or drill"],
    ],
    [
      "a post that is none",
      withJob({ cron: "0 9 * * *", post: "weather" }),
      [/^jobs\.x\.post: expected post: health, handover or first-week-review/],
    ],
    [
      "a condition without a restart",
      withJob({ cron: "0 9 * * *", post: "health", only_if: "memory" }),
      ["jobs.x.only_if: `only_if` is for restart"],
    ],
    [
      "a condition that is no trend",
      withJob({ cron: "0 9 * * *", restart: "model", only_if: "moon" }),
      ['jobs.x.only_if: expected a guard of kind trend in flags/main (memory), found "moon"'],
    ],
    [
      "a restart of nothing known",
      withJob({ cron: "0 9 * * *", restart: "modle" }),
      ['jobs.x.restart: expected a target of this file (model), found "modle"'],
    ],
    [
      "a grace for nothing",
      withJob({ cron: "0 9 * * *", post: "health", grace: "1h" }),
      ["jobs.x.grace: `grace` is for `missed: run-once`: how late may a missed one still run?"],
    ],
    [
      "a jitter that meets the next fire",
      withJob({ cron: "*/5 * * * *", post: "health", jitter: "5m" }),
      ["jobs.x.jitter: expected less than the 5 min between two fires, found 5 min"],
    ],
    [
      "a date that is none",
      withJob({ cron: "0 9 * * *", post: "health", until: "2026-02-30" }),
      ['jobs.x.until: expected a date such as 2026-12-24 or "2026-12-24 09:30", found "2026-02-30"'],
    ],
    [
      "a cron that is none",
      withJob({ cron: "0 25 * * *", post: "health" }),
      ["jobs.x.cron: hour: expected *, 0 to 23, a list, a range or a step, found 25"],
    ],
    [
      "a drill at night",
      withJob({ cron: "30 22 * * *", drill: "page" }),
      ["jobs.x.cron: a drill pages somebody: expected times from 07:00 until 22:00 of its zone, found 22:30"],
    ],
    ["a drill before the morning", withJob({ cron: "59 6,7 * * *", drill: "page" }), [/found 06:59$/]],
    [
      "a drill that jitters into the night",
      withJob({ cron: "58 21 * * *", drill: "page", jitter: "2m" }),
      [/found 21:58 with a jitter of 2 min$/],
    ],
    [
      "a drill made up for",
      withJob({ cron: "0 14 * * *", drill: "page", missed: "run-once" }),
      ["jobs.x.missed: a drill that was missed is not made up for, since it might be night by then"],
    ],
    [
      "a blackout of nothing",
      withBlackout({ because: "x" }),
      ["blackouts.0: expected either hours, or from and to"],
    ],
    [
      "a blackout of both",
      withBlackout({ hours: "02:00-04:00", from: "2026-12-24", to: "2026-12-25", because: "x" }),
      ["blackouts.0: expected either hours, or from and to"],
    ],
    [
      "a blackout without an end",
      withBlackout({ from: "2026-12-24", because: "x" }),
      ["blackouts.0: expected both from and to"],
    ],
    [
      "a blackout without a reason",
      withBlackout({ hours: "02:00-04:00" }),
      ["blackouts.0.because: `because` is missing: expected text"],
    ],
    [
      "a blackout that ends before it begins",
      withBlackout({ from: "2026-12-24", to: "2026-12-20", because: "x" }),
      ['blackouts.0.to: expected a date after 2026-12-24, found "2026-12-20"'],
    ],
    [
      "hours that are none",
      withBlackout({ hours: "Sun 2-4", because: "x" }),
      ['blackouts.0.hours: expected hours such as "Sun 02:00-04:00" or "22:00-02:00", found "Sun 2-4"'],
    ],
    ["hours of no length", withBlackout({ hours: "02:00-02:00", because: "x" }), [/^blackouts\.0\.hours/]],
    ["hours of no day", withBlackout({ hours: "Sol 02:00-04:00", because: "x" }), [/^blackouts\.0\.hours/]],
    [
      "hours after midnight that do not exist",
      withBlackout({ hours: "24:00-02:00", because: "x" }),
      [/^blackouts\.0\.hours/],
    ],
    [
      "a name of the prototype",
      { ...WATCH, probes: { constructor: { tcp: "h:1" } } },
      ['probes.constructor: expected a name that is not a reserved word, found "constructor"'],
    ],
    ["a channel that is none", { ...WATCH, users_channel: "users" }, [/^users_channel: expected a channel/]],
  ])("%s", (_, data, expected) => {
    const { lines: found } = compiled(data);
    expect(found).toEqual(
      expected.map((one) => (typeof one === "string" ? one : expect.stringMatching(one))),
    );
  });

  it("are all told at once", () => {
    const { lines: found } = compiled({
      ...WATCH,
      targets: { model: { exec: ["x"] } },
      probes: { a: {}, b: { tcp: "h:1", restart: "no" } },
      jobs: { c: { cron: "x", post: "health" } },
      blackouts: [{ because: "x" }],
    });
    expect(found.map((line) => line.slice(0, line.indexOf(":")))).toEqual([
      "targets.model.exec.0",
      "probes.a",
      "probes.b.restart",
      "jobs.c.cron",
      "blackouts.0",
    ]);
  });
});

describe("whatever stands in a watch", () => {
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom("5s", "0 3 * * *", "http://h", "h:1", "model", "UTC", "P0", "2026-12-24", "80%", 3),
  );
  const entry = (keys: readonly string[]): fc.Arbitrary<unknown> =>
    fc.oneof(
      { weight: 5, arbitrary: fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: 5 }) },
      { weight: 1, arbitrary: value },
    );
  const named = (keys: readonly string[]): fc.Arbitrary<unknown> =>
    fc.dictionary(fc.constantFrom("model", "a", "b"), entry(keys), { maxKeys: 3 });
  const watch = fc.record(
    {
      targets: named(Object.keys(target.shape)),
      probes: named(Object.keys(watchSchema.shape.probes.unwrap().valueType.shape)),
      jobs: named(Object.keys(watchSchema.shape.jobs.unwrap().valueType.shape)),
      blackouts: fc.array(entry(["hours", "zone", "from", "to", "because"]), { maxLength: 3 }),
    },
    { requiredKeys: [] },
  );

  it("ends in a plan or in mistakes with a path into it", () => {
    fc.assert(
      fc.property(watch, (parts) => {
        const data = { ...WATCH, ...parts };
        const { plan, lines: found } = compiled(data);
        expect(plan !== undefined || found.length > 0).toBe(true);
        for (const line of found)
          expect(line).toMatch(/^(warning )?(watch|targets|probes|jobs|blackouts)\b.*: ./s);
      }),
      { numRuns: 500 },
    );
  });

  it("never tells a secret of a URL", () => {
    const parts = fc.tuple(
      fc.constantFrom("http:", "https:", "HTTP:", " http:", "ftp:"),
      fc.constantFrom("/", "//", "///", "\\\\", "\\"),
      fc.constantFrom("me:hunter2@", "hunter2@", ":hunter2@", "me@x:hunter2@"),
      fc.constantFrom("h", "h:99", "[::1]", ""),
      fc.constantFrom("", "/x", "/x?a=1", "?token=hunter2", "?a=1&API_KEY=hunter2#f"),
    );
    fc.assert(
      fc.property(parts, (text) => {
        const { lines: found } = compiled({ ...WATCH, probes: { x: { http: text.join("") } } });
        expect(found).not.toEqual([]);
        expect(found.join("\n")).not.toContain("hunter2");
      }),
    );
  });
});

describe("secrets", () => {
  it.each([
    ["http://u:p@h/x", "http://***@h/x"],
    ["http:\\\\u:p@h", "http:\\\\***@h"],
    ["https://h/?Token=abc&x=1#f", "https://h/?Token=***&x=1#f"],
    ["https://h/?key=abc", "https://h/?key=***"],
    ["https://h/a@b", "https://h/a@b"],
    ["https://h/?monkey=1", "https://h/?monkey=1"],
    ["https://hooks.slack.com/services/T0/B0/abc", "https://hooks.slack.com/***"],
    ["https://discord.com/api/webhooks/1/abc?wait=1", "https://discord.com/api/webhooks/***"],
    ["https://x.webhook.office.com/abc/def", "https://x.webhook.office.com/***"],
  ])("in %s are not repeated", (text, shown) => {
    expect(withoutSecrets(text)).toBe(shown);
    expect(secretInUrl(text) !== undefined).toBe(URL.canParse(text) && text !== shown);
  });
});

describe("a cron expression", () => {
  it.each<readonly [string, string, number]>([
    ["", "expected five fields such as 0 3 * * * (minute hour day month weekday), found 0", 0],
    ["@daily", "expected five fields such as 0 3 * * * (minute hour day month weekday), found 1", 0],
    ["0 0 3 * * *", "expected five fields such as 0 3 * * * (minute hour day month weekday), found 6", 0],
    ["60 * * * *", "minute: expected *, 0 to 59, a list, a range or a step, found 60", 0],
    ["0 3 0 * *", "day: expected *, 1 to 31, a list, a range or a step, found 0", 4],
    ["0 3 * foo *", "month: expected *, 1 to 12 or jan to dec, a list, a range or a step, found foo", 6],
    ["0 3 * * 8", "weekday: expected *, 0 to 7 or sun to sat, a list, a range or a step, found 8", 8],
    ["0 3 * * fri-mon", "weekday: expected a range that rises, found fri-mon", 8],
    ["0 3 * * 6-0", "weekday: expected a range that rises, found 6-0", 8],
    ["5/10 * * * *", "minute: a step needs `*` or a range before it, such as */10, found 5/10", 0],
    ["*/0 * * * *", "minute: expected a step from 1 to 59, found */0", 0],
    ["1,,2 * * * *", "minute: expected *, 0 to 59, a list, a range or a step, found nothing", 0],
    ["0 0 L * *", "day: expected *, 1 to 31, a list, a range or a step, found L", 4],
    ["0 0 * * mon#2", "weekday: expected *, 0 to 7 or sun to sat, a list, a range or a step, found mon#2", 8],
    ["0 0 31 2,4 *", "it never fires: no such month has a day 31", 4],
    ["0 0 jan * *", "day: expected *, 1 to 31, a list, a range or a step, found jan", 4],
  ])("%j is a mistake", (text, message, offset) => {
    expect(readCron(text)).toEqual({ kind: "fault", message, offset });
  });

  it.each<readonly [string, object]>([
    ["0 3 * * *", { minutes: [0], hours: [3], eitherDay: false }],
    ["*/20 9-11/2 * * *", { minutes: [0, 20, 40], hours: [9, 11] }],
    ["5,1-3,2 * * * *", { minutes: [1, 2, 3, 5] }],
    ["0 0 * JAN,jul-SEP *", { months: [1, 7, 8, 9] }],
    ["0 0 * * FRI-SUN", { weekdays: [0, 5, 6] }],
    ["0 0 * * sun-tue", { weekdays: [0, 1, 2] }],
    ["0 0 * * 5-7", { weekdays: [0, 5, 6] }],
    ["0 0 29 2 *", { days: [29], months: [2] }],
    ["0 0 31 2 mon", { eitherDay: true }],
  ])("%j is read", (text, fields) => {
    expect(readCron(text)).toMatchObject({ kind: "fields", fields });
  });

  it.each([
    ["* * * * *", 1],
    ["*/15 * * * *", 15],
    ["50 23 * * *", 24 * 60],
    ["0 0,23 * * *", 60],
    ["0,59 * * * *", 1],
  ])("%j has at least so many minutes between fires", (text, gap) => {
    const read = readCron(text);
    expect(read.kind === "fields" ? shortestGapMinutes(read.fields) : undefined).toBe(gap);
  });

  const value = (from: number, to: number): fc.Arbitrary<string> =>
    fc.oneof(
      fc.constant("*"),
      fc.integer({ min: from, max: to }).map(String),
      fc.integer({ min: 1, max: to }).map((step) => `*/${step}`),
      fc
        .tuple(fc.integer({ min: from, max: to }), fc.integer({ min: from, max: to }))
        .map(([a, b]) => `${a}-${b}`),
      fc
        .tuple(
          fc.integer({ min: from, max: to }),
          fc.integer({ min: from, max: to }),
          fc.integer({ min: 1, max: 9 }),
        )
        .map(([a, b, step]) => `${Math.min(a, b)}-${Math.max(a, b)}/${step}`),
    );
  const field = (from: number, to: number): fc.Arbitrary<string> =>
    fc.array(value(from, to), { minLength: 1, maxLength: 3 }).map((items) => items.join(","));
  const expression = fc
    .tuple(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7))
    .map((fields) => fields.join(" "));

  it("that is taken means to the calendar what it means here", () => {
    fc.assert(
      fc.property(expression, fc.integer({ min: 0, max: 364 }), (text, day) => {
        const read = readCron(text);
        if (read.kind === "fault") return;
        const { fields } = read;
        const cron = new Cron(text, { timezone: "UTC", paused: true });
        const from = new Date(Date.UTC(2026, 0, 1) + day * DAY);
        for (const fire of cron.nextRuns(5, from)) {
          const onDay = fields.days.includes(fire.getUTCDate());
          const onWeekday = fields.weekdays.includes(fire.getUTCDay());
          expect(fields.months).toContain(fire.getUTCMonth() + 1);
          expect(fields.eitherDay ? onDay || onWeekday : onDay && onWeekday, text).toBe(true);
          expect(minutesOfDay(fields)).toContain(fire.getUTCHours() * 60 + fire.getUTCMinutes());
        }
        // A 29 February may be eight years away; anything else that never fires is refused.
        expect(cron.nextRun(from) !== null, text).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

describe("a date", () => {
  it.each([
    "2026-13-01",
    "2026-00-10",
    "2026-02-29",
    "2026-1-1",
    "1999-01-01",
    "2026-01-01 24:00",
    "today",
    "",
  ])("%j is none", (text) => {
    expect(parseDate(text)).toBeUndefined();
  });

  it.each<readonly [string, string, number, number]>([
    ["2026-12-24", "UTC", Date.UTC(2026, 11, 24), Date.UTC(2026, 11, 25)],
    ["2028-02-29", "Asia/Kolkata", Date.UTC(2028, 1, 28, 18, 30), Date.UTC(2028, 1, 29, 18, 30)],
    ["2026-01-01", "Pacific/Kiritimati", Date.UTC(2025, 11, 31, 10), Date.UTC(2026, 0, 1, 10)],
    ["2026-01-01", "Pacific/Pago_Pago", Date.UTC(2026, 0, 1, 11), Date.UTC(2026, 0, 2, 11)],
    // 23 and 25 hours long.
    ["2026-03-29", "Europe/Helsinki", Date.UTC(2026, 2, 28, 22), Date.UTC(2026, 2, 29, 21)],
    ["2026-10-25", "Europe/Helsinki", Date.UTC(2026, 9, 24, 21), Date.UTC(2026, 9, 25, 22)],
    // Midnight is skipped: the day begins at one.
    ["2026-09-06", "America/Santiago", Date.UTC(2026, 8, 6, 4), Date.UTC(2026, 8, 7, 3)],
    // 03:30 is skipped in spring and happens twice in autumn.
    ["2026-03-29 03:30", "Europe/Helsinki", Date.UTC(2026, 2, 29, 1, 30), Date.UTC(2026, 2, 29, 1, 30)],
    ["2026-10-25 03:30", "Europe/Helsinki", Date.UTC(2026, 9, 25, 0, 30), Date.UTC(2026, 9, 25, 0, 30)],
    ["2026-04-05 01:45", "Australia/Lord_Howe", Date.UTC(2026, 3, 4, 14, 45), Date.UTC(2026, 3, 4, 14, 45)],
  ])("%s in %s", (text, zone, from, to) => {
    const date = parseDate(text);
    if (date === undefined) throw new Error("no date");
    expect([startOf(date, zone), endOf(date, zone)]).toEqual([from, to]);
  });

  it("of every day of UTC begins where the calendar says", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: Date.UTC(2000, 0, 1) / DAY, max: Date.UTC(2999, 11, 31) / DAY }),
        (day) => {
          const date = parseDate(new Date(day * DAY).toISOString().slice(0, 10));
          expect(date === undefined ? undefined : startOf(date, "UTC")).toBe(day * DAY);
        },
      ),
    );
  });
});
