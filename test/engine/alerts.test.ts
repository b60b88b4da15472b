/** The desk that takes alerts, on virtual time and with rollouts of the real core: each alert once, with or without a journal, through restarts and storms. */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { IncomingAlert } from "../../src/core/alerts/incoming.ts";
import type { AlertmanagerEntry } from "../../src/core/files/flags-file.ts";
import type { PageRequest } from "../../src/core/oncall/page.ts";
import type { Plan } from "../../src/core/plan.ts";
import { hasHold } from "../../src/core/rollout/state.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import { Alerts, type AlertsDeps } from "../../src/engine/alerts.ts";
import { type Clock, OutsideFault } from "../../src/engine/ports.ts";
import { Walk } from "../core/walk.ts";
import { planOf } from "../support/plans.ts";
import { createSubjectMemory } from "../support/subject-memory.ts";

const ON_ERRORS: Partial<Plan> = { rollbackOn: [{ labels: { alertname: ["HighErrorRate"] } }] };

interface Logged {
  readonly level: "info" | "warn" | "error";
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>> | undefined;
}

/** Time that passes when the test says so, for the desk and its rollouts alike. */
class Bench {
  readonly walks: Walk[] = [];
  readonly journal = createSubjectMemory();
  readonly meta = new Map<string, string>();
  readonly pages: PageRequest[] = [];
  readonly logged: Logged[] = [];
  /** Keys of every call that stored alerts. */
  readonly stored: string[][] = [];
  /** What Alertmanager does when it is asked. */
  answer: (entry: AlertmanagerEntry) => Promise<readonly IncomingAlert[]> = async () => [];
  asked = 0;
  hangs = false;
  steady = 1_000 * MINUTE;
  wall = Date.UTC(2026, 0, 5, 9);
  desk: Alerts;
  #timers: { at: number; act: () => void }[] = [];

  constructor(...plans: readonly Partial<Plan>[]) {
    for (const extra of plans.length === 0 ? [ON_ERRORS] : plans) {
      const walk = new Walk(planOf(extra)).start({ run: `r-${this.walks.length + 1}` });
      this.walks.push(walk);
    }
    this.desk = new Alerts(this.#deps());
    while (this.walks.some((one) => one.state.stages[1]?.status !== "soaking")) this.#second();
    for (let second = 0; second < 60; second++) this.#second();
  }

  get walk(): Walk {
    const [first] = this.walks;
    if (first === undefined) throw new Error("no rollout");
    return first;
  }

  /** Another process on the same journal; the old one is dead. */
  async restart(): Promise<void> {
    this.desk.stop();
    this.#timers = [];
    this.desk = new Alerts(this.#deps());
    await this.#within(this.desk.start());
  }

  async start(): Promise<this> {
    await this.#within(this.desk.start());
    return this;
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= SECOND) {
      this.#second();
      await settled();
    }
  }

  /** How a promise ends, while time passes. */
  async outcome(promise: Promise<unknown>): Promise<string> {
    return this.#within(
      promise.then(
        () => "ok",
        (error: unknown) => String(error),
      ),
    );
  }

  tell(...alerts: readonly IncomingAlert[]): Promise<string> {
    return this.outcome(this.desk.take(alerts));
  }

  rollbacks(walk = this.walk): number {
    return walk.kinds().filter((kind) => kind === "rollback_started").length;
  }

  told(level: Logged["level"]): readonly string[] {
    return this.logged.filter((one) => one.level === level).map((one) => one.message);
  }

  async #within<T>(promise: Promise<T>): Promise<T> {
    let isDone = false;
    const done = promise.finally(() => {
      isDone = true;
    });
    await settled();
    for (let second = 0; second < 600 && !isDone; second++) await this.pass(SECOND);
    return done;
  }

  #second(): void {
    this.steady += SECOND;
    this.wall += SECOND;
    for (const timer of this.#timers.filter(({ at }) => at <= this.steady)) {
      this.#timers = this.#timers.filter((one) => one !== timer);
      timer.act();
    }
    for (const walk of this.walks) {
      walk.alerts = this.desk.forRun(walk.plan);
      if (walk.state.endedAt === undefined) walk.pass(SECOND);
      walk.steady = this.steady;
      walk.wall = this.wall;
    }
  }

  #deps(): AlertsDeps {
    const level = (name: Logged["level"]) => (message: string, fields?: Logged["fields"]) =>
      void this.logged.push({ level: name, message, fields });
    return {
      clock: this.#clock(),
      log: { info: level("info"), warn: level("warn"), error: level("error") },
      journal: {
        ...this.journal,
        meta: async (key) => this.meta.get(key),
        setMeta: async (key, value) => void this.meta.set(key, value),
        takeAlerts: (alerts, wall) => {
          this.stored.push(alerts.map(({ key }) => key));
          return this.hangs ? new Promise(() => undefined) : this.journal.takeAlerts(alerts, wall);
        },
      },
      runs: () => this.walks.map(({ plan, state }) => ({ plan, state })),
      judge: async () => {
        for (const walk of this.walks) {
          walk.alerts = this.desk.forRun(walk.plan);
          walk.settle();
        }
      },
      connect: (entry) => ({
        firing: () => {
          this.asked++;
          return this.answer(entry);
        },
      }),
      page: (page) => void this.pages.push(page),
    };
  }

  #clock(): Clock {
    return {
      now: () => ({ steady: this.steady, wall: this.wall }),
      random: () => 0.5,
      after: (ms, act) => {
        const timer = { at: this.steady + ms, act };
        this.#timers.push(timer);
        return () => {
          this.#timers = this.#timers.filter((one) => one !== timer);
        };
      },
    };
  }
}

/** Everything that can go on without time passing has gone on. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function firing(startsAt: number, labels: Readonly<Record<string, string>> = {}): IncomingAlert {
  const all = { alertname: "HighErrorRate", service: "svc", environment: "production", ...labels };
  const fingerprint = createHash("sha256").update(JSON.stringify(all)).digest("hex").slice(0, 16);
  return {
    key: `${fingerprint}@${startsAt}`,
    fingerprint,
    status: "firing",
    startsAt,
    labels: all,
    annotations: {},
  };
}

const resolved = (alert: IncomingAlert, endsAt: number): IncomingAlert => ({
  ...alert,
  status: "resolved",
  endsAt,
});

describe("an alert that concerns a rollout", () => {
  it("is acted on at once, stored, and not judged again after a restart", async () => {
    const bench = await new Bench().start();
    const alert = firing(bench.wall);
    const taken = bench.desk.take([alert]);
    await Promise.resolve();
    expect(bench.rollbacks()).toBe(1);
    await taken;
    await settled();
    expect(bench.stored).toEqual([[alert.key]]);
    expect(await bench.journal.unjudgedAlerts()).toEqual([]);
    await bench.restart();
    await bench.pass(10 * MINUTE);
    expect(bench.rollbacks()).toBe(1);
  });

  it("is one alert however often it is told, also at the same time", async () => {
    const bench = await new Bench().start();
    const alert = firing(bench.wall);
    const told = Array.from({ length: 20 }, () => bench.desk.take([alert, alert]));
    expect(await bench.outcome(Promise.all(told))).toBe("ok");
    await bench.tell(alert);
    expect(await bench.journal.knownAlertKeys(0)).toEqual([alert.key]);
    const calls = bench.stored.length;
    await bench.tell(alert);
    expect(bench.stored).toHaveLength(calls);
    expect(bench.rollbacks()).toBe(1);
    expect(bench.desk.counts()).toMatchObject({ told: 42, fresh: 1 });
  });

  it("acts without the journal, is told to come again, and is stored then", async () => {
    const bench = await new Bench().start();
    bench.journal.mood("away");
    const alert = firing(bench.wall);
    expect(await bench.tell(alert)).toContain("the journal is away");
    expect(bench.rollbacks()).toBe(1);
    bench.journal.mood("well");
    expect(await bench.tell(alert)).toBe("ok");
    expect(await bench.journal.knownAlertKeys(0)).toEqual([alert.key]);
    await bench.pass(10 * MINUTE);
    expect(bench.rollbacks()).toBe(1);
  });

  it("acts at once while the journal hangs, and its sender is not kept waiting", async () => {
    const bench = await new Bench().start();
    bench.hangs = true;
    const from = bench.steady;
    const told = bench.tell(firing(bench.wall));
    await Promise.resolve();
    expect(bench.rollbacks()).toBe(1);
    expect(await told).toContain("no answer in 1500 ms");
    expect(bench.steady - from).toBeLessThanOrEqual(3 * SECOND);
  });

  it("that was stored just before the end is judged at the next start", async () => {
    const bench = new Bench();
    await bench.journal.takeAlerts([firing(bench.wall)], bench.wall);
    expect(bench.rollbacks()).toBe(0);
    await bench.restart();
    expect(bench.rollbacks()).toBe(1);
    expect(await bench.journal.unjudgedAlerts()).toEqual([]);
  });

  it("whose end comes first acts all the same; an end alone is nothing, and is not stored", async () => {
    const bench = await new Bench().start();
    const alert = firing(bench.wall);
    expect(await bench.tell(resolved(alert, bench.wall))).toBe("ok");
    expect(bench.rollbacks()).toBe(0);
    expect(bench.stored).toEqual([]);
    await bench.tell(alert);
    expect(bench.rollbacks()).toBe(1);
    await bench.tell(resolved(alert, bench.wall));
    expect(bench.desk.forRun(bench.walk.plan)?.firings[0]?.status).toBe("resolved");
    await bench.pass(MINUTE);
    expect(bench.walk.setting("b").kind).toBe("off");
  });

  it("that has not begun yet by our clock acts when it has", async () => {
    const bench = await new Bench().start();
    await bench.tell(firing(bench.wall + 2 * MINUTE));
    expect(bench.rollbacks()).toBe(0);
    await bench.pass(MINUTE + SECOND);
    expect(bench.rollbacks()).toBe(1);
  });

  it("and changes nothing is told once in the log, with the reason, and a flood of them does not fill it", async () => {
    const bench = await new Bench().start();
    const old = firing(bench.wall - HOUR);
    await bench.tell(old, old);
    await bench.tell(old);
    expect(bench.logged).toEqual([
      {
        level: "info",
        message: "an alert changes nothing",
        fields: { alert: "HighErrorRate", run: "r-1", why: "it began before b went live" },
      },
    ]);
    for (let index = 0; index < 500; index++)
      await bench.desk.take([firing(bench.wall - HOUR - index, { instance: `i${index}` })]);
    expect(bench.logged.length).toBeLessThanOrEqual(60);
  });
});

describe("an alert that concerns no rollout", () => {
  it.each([
    ["of another service", { service: "other" }],
    ["of another environment", { environment: "staging" }],
    ["of another name", { alertname: "Watchdog" }],
  ])("%s is stored and changes nothing", async (_, labels) => {
    const bench = await new Bench().start();
    const alert = firing(bench.wall, labels);
    expect(await bench.tell(alert)).toBe("ok");
    await bench.pass(2 * MINUTE);
    expect(bench.rollbacks()).toBe(0);
    expect(bench.walk.state.holds).toEqual([]);
    expect(await bench.journal.knownAlertKeys(0)).toEqual([alert.key]);
    expect(await bench.journal.unjudgedAlerts()).toEqual([]);
    expect(bench.desk.forRun(bench.walk.plan)?.firings).toEqual([]);
  });

  it("is not known to a rollout that asks for no alerts", async () => {
    const bench = await new Bench({}).start();
    await bench.tell(firing(bench.wall));
    expect(bench.rollbacks()).toBe(0);
    expect(bench.desk.forRun(bench.walk.plan)).toBeUndefined();
  });
});

describe("a storm", () => {
  const OTHER: Partial<Plan> = { rollout: "other", service: "other" };

  it("in one post holds every live rollout, takes nothing back, and pages once", async () => {
    const bench = await new Bench(ON_ERRORS, OTHER).start();
    const alerts = [firing(bench.wall), firing(bench.wall, { service: "checkout" })];
    await bench.tell(...alerts);
    await bench.tell(...alerts, firing(bench.wall, { service: "search" }));
    await bench.pass(30 * SECOND);
    for (const walk of bench.walks) {
      expect(bench.rollbacks(walk)).toBe(0);
      expect(walk.state.holds.map(({ reason }) => reason)).toEqual(["alert_storm"]);
    }
    expect(bench.pages).toEqual([
      {
        key: `alerts.storm.${alerts[0]?.key}`,
        severity: "P1",
        summary:
          "Alerts of checkout and svc within a minute. Held: demo (r-1), other (r-2). Look for a common cause; meanwhile no alert rolls back, guards still do.",
        service: "svc",
        environment: "production",
        source: "alert",
        wall: expect.any(Number),
      },
    ]);
  });

  it("is over after a quiet minute: the hold stays, and an alert from after it acts, none from in it", async () => {
    const bench = await new Bench().start();
    await bench.tell(firing(bench.wall, { service: "checkout" }));
    await bench.pass(30 * SECOND);
    await bench.tell(firing(bench.wall));
    await bench.pass(50 * SECOND);
    await bench.tell(firing(bench.wall, { service: "search" }));
    await bench.pass(40 * SECOND);
    await bench.tell(firing(bench.wall - SECOND, { instance: "b" }));
    await bench.pass(5 * MINUTE);
    expect(bench.rollbacks()).toBe(0);
    expect(hasHold(bench.walk.state, "alert_storm")).toBe(true);
    expect(bench.pages).toHaveLength(1);
    await bench.tell(firing(bench.wall, { instance: "c" }));
    expect(bench.rollbacks()).toBe(1);
  });

  it("that begins after an alert took a stage back still holds the others", async () => {
    const bench = await new Bench(ON_ERRORS, OTHER).start();
    await bench.tell(firing(bench.wall));
    expect(bench.rollbacks()).toBe(1);
    await bench.pass(20 * SECOND);
    await bench.tell(firing(bench.wall, { service: "checkout" }));
    expect(bench.walks[1]?.state.holds.map(({ reason }) => reason)).toEqual(["alert_storm"]);
    await bench.pass(10 * MINUTE);
    expect(bench.rollbacks()).toBe(1);
  });

  it("holds nothing twice after a restart in it, and its alerts take nothing back when they are told again", async () => {
    const bench = await new Bench().start();
    const alerts = [firing(bench.wall), firing(bench.wall, { service: "checkout" })];
    await bench.tell(...alerts);
    await bench.restart();
    await bench.pass(SECOND);
    bench.walk.ask({ kind: "resume" });
    await bench.tell(...alerts);
    await bench.pass(10 * SECOND);
    expect(bench.walk.state.holds).toEqual([]);
    await bench.pass(2 * MINUTE);
    await bench.tell(...alerts);
    await bench.pass(MINUTE);
    expect(bench.rollbacks()).toBe(0);
    expect(bench.pages).toHaveLength(1);
  });

  it("is not seen in old alerts told anew, nor in one service's many, nor in another environment's", async () => {
    const bench = await new Bench().start();
    await bench.tell(firing(bench.wall - HOUR), firing(bench.wall - HOUR, { service: "checkout" }));
    await bench.tell(
      firing(bench.wall, { service: "a", environment: "staging" }),
      firing(bench.wall, { service: "b", environment: "staging" }),
      firing(bench.wall, { service: "c", alertname: "Other" }),
    );
    for (let index = 0; index < 5; index++)
      await bench.tell(firing(bench.wall, { service: "checkout", instance: `i${index}` }));
    expect(bench.pages).toEqual([]);
    expect(bench.walk.state.holds).toEqual([]);
  });

  it("leaves a rollout's own guards their say", async () => {
    const bench = await new Bench().start();
    await bench.tell(firing(bench.wall), firing(bench.wall, { service: "checkout" }));
    bench.walk.says.set("failures", 0.5);
    await bench.pass(30 * SECOND);
    expect(bench.walk.last("rollback_started")?.cause.kind).toBe("breach");
  });
});

describe("Alertmanager, asked besides the webhook", () => {
  const asking = (alertmanager: Partial<AlertmanagerEntry> = {}): Partial<Plan> => ({
    ...ON_ERRORS,
    outside: { ...planOf().outside, alertmanager: { url: "http://127.0.0.1:9093", ...alertmanager } },
  });
  const watchdog = firing(0, { alertname: "Watchdog", service: "alerting" });

  it("finds an alert whose delivery was lost, within its interval", async () => {
    const bench = await new Bench(asking()).start();
    await bench.pass(15 * SECOND);
    const alert = firing(bench.wall);
    bench.answer = async () => [alert];
    await bench.pass(10 * SECOND);
    expect(bench.rollbacks()).toBe(1);
    expect(await bench.journal.knownAlertKeys(0)).toEqual([alert.key]);
    await bench.pass(MINUTE);
    expect(bench.stored).toEqual([[alert.key]]);
  });

  it("is asked at its interval, and not at all where no live rollout wants its alerts", async () => {
    const bench = await new Bench(
      asking({ interval: 30 * SECOND }),
      asking({ interval: 30 * SECOND }),
    ).start();
    bench.asked = 0;
    await bench.pass(2 * MINUTE);
    expect(bench.asked).toBe(4);
    for (const walk of bench.walks) walk.ask({ kind: "stop", confirmed: true });
    await bench.pass(2 * MINUTE);
    expect(bench.asked).toBe(4);
    const { rollbackOn: _none, ...without } = asking();
    const idle = await new Bench(without).start();
    await idle.pass(MINUTE);
    expect(idle.asked).toBe(0);
  });

  it("is asked at once when a webhook left alerts out", async () => {
    const bench = await new Bench(asking({ interval: HOUR })).start();
    await bench.pass(5 * SECOND);
    bench.answer = async () => [firing(bench.wall)];
    expect(await bench.outcome(bench.desk.take([], 12))).toBe("ok");
    await settled();
    expect(bench.rollbacks()).toBe(1);
    expect(bench.told("warn")).toEqual([
      "a webhook left out 12 alerts; Alertmanager is asked for all of them",
    ]);
    expect(bench.desk.counts().truncated).toBe(12);
  });

  it("that fails for more than a minute leaves the rollout blind, until it answers", async () => {
    const bench = await new Bench(asking()).start();
    await bench.pass(15 * SECOND);
    bench.answer = () => Promise.reject(new OutsideFault("connection refused", { recoverable: true }));
    await bench.pass(MINUTE);
    expect(bench.walk.state.holds).toEqual([]);
    await bench.pass(15 * SECOND);
    expect(bench.walk.state.holds).toMatchObject([
      { reason: "blind", detail: "alerts (Alertmanager has not answered for 1 min: connection refused)" },
    ]);
    bench.answer = async () => [];
    await bench.pass(15 * SECOND);
    expect(bench.walk.state.holds).toEqual([]);
    expect(bench.told("warn")).toEqual(["Alertmanager does not answer"]);
  });

  it("that hangs is no answer", async () => {
    const bench = await new Bench(asking()).start();
    await bench.pass(15 * SECOND);
    bench.answer = () => new Promise(() => undefined);
    await bench.pass(80 * SECOND);
    expect(bench.walk.state.holds[0]?.detail).toContain("Alertmanager: no answer in 5000 ms");
  });

  it("without the alert that always fires leaves the rollout blind at once, until that is back", async () => {
    const bench = await new Bench(asking({ watchdog: "Watchdog" })).start();
    bench.answer = async () => [watchdog];
    await bench.pass(15 * SECOND);
    await bench.pass(15 * SECOND);
    expect(bench.walk.state.holds).toEqual([]);
    bench.answer = async () => [];
    await bench.pass(11 * SECOND);
    expect(bench.walk.state.holds).toMatchObject([
      {
        reason: "blind",
        detail: "alerts (the alert Watchdog, which always fires, does not: alerting itself is broken)",
      },
    ]);
    bench.answer = async () => [watchdog];
    await bench.pass(11 * SECOND);
    expect(bench.walk.state.holds).toEqual([]);
  });

  it("that has not answered since a restart neither makes blind at once nor ends a blindness", async () => {
    const bench = await new Bench(asking({ watchdog: "Watchdog" })).start();
    await bench.pass(15 * SECOND);
    expect(hasHold(bench.walk.state, "blind")).toBe(true);
    bench.answer = () => Promise.reject(new OutsideFault("connection refused", { recoverable: true }));
    await bench.restart();
    await bench.pass(30 * SECOND);
    expect(hasHold(bench.walk.state, "blind")).toBe(true);
    expect(bench.desk.forRun(bench.walk.plan)).toMatchObject({ isUnasked: true });
    await bench.pass(40 * SECOND);
    expect(bench.desk.forRun(bench.walk.plan)?.blind).toContain("has not answered");
  });

  it("says so when there is none to ask for what a webhook left out", async () => {
    const bench = await new Bench().start();
    await bench.outcome(bench.desk.take([], 1));
    expect(bench.told("warn")).toEqual([
      "a webhook left out 1 alerts; no Alertmanager is named that could be asked for all of them",
    ]);
  });
});

describe("limits", () => {
  it("no flood of firings is remembered without end, and what is new acts all the same", async () => {
    const bench = await new Bench().start();
    for (let index = 0; index < 3_000; index++)
      await bench.desk.take([firing(bench.wall - HOUR, { instance: `i${index}` })]);
    expect(bench.desk.forRun(bench.walk.plan)?.firings).toHaveLength(1_000);
    await bench.tell(firing(bench.wall));
    expect(bench.rollbacks()).toBe(1);
  });

  it("firings with long labels are remembered by their size", async () => {
    const bench = await new Bench().start();
    const long = Object.fromEntries(
      Array.from({ length: 60 }, (_, index) => [`l${index}`, "x".repeat(1_000)]),
    );
    for (let index = 0; index < 200; index++)
      await bench.desk.take([firing(bench.wall - HOUR, { ...long, instance: `i${index}` })]);
    const { firings = [] } = bench.desk.forRun(bench.walk.plan) ?? {};
    expect(firings.length).toBeLessThan(140);
    expect(firings.length).toBeGreaterThan(100);
  });

  it("a firing is forgotten after a day", async () => {
    const bench = await new Bench().start();
    await bench.tell(firing(bench.wall - HOUR));
    bench.steady += DAY + SECOND;
    await bench.tell(firing(bench.wall - HOUR, { instance: "b" }));
    expect(bench.desk.forRun(bench.walk.plan)?.firings).toHaveLength(1);
  });

  it("what waits for a journal that hangs is turned away when there is too much of it, and acts all the same", async () => {
    const bench = await new Bench().start();
    bench.hangs = true;
    const many = Array.from({ length: 9_990 }, (_, index) => firing(bench.wall - HOUR, { i: `${index}` }));
    const first = bench.outcome(bench.desk.take(many));
    const more = Array.from({ length: 20 }, (_, index) => firing(bench.wall, { more: `${index}` }));
    expect(await bench.outcome(bench.desk.take(more))).toContain("too many alerts wait for the journal");
    expect(bench.rollbacks()).toBe(1);
    expect(await first).toContain("no answer");
  });
});
