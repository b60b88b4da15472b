/** Belay's own metrics: what is counted shows in a scrape that Prometheus can read, without versions and without names of flags. */
import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { createTelemetry } from "../../src/adapters/telemetry.ts";

/** The value of one series, or undefined when the scrape does not hold it. */
function seriesIn(scrape: string, series: string): number | undefined {
  const line = scrape.split("\n").find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

describe("telemetry", () => {
  it("counts what it is told", async () => {
    const telemetry = createTelemetry();
    telemetry.event("held");
    telemetry.event("held");
    telemetry.verdict("breach");
    telemetry.answered(true);
    telemetry.answered(false);
    telemetry.called("prometheus", "timeout", 5_000);
    telemetry.acknowledged(12);
    telemetry.rolledBack(2_100);
    telemetry.runs({ walking: 2 });
    telemetry.waiting({ urgent: 1, normal: 4 });
    telemetry.unjournaled(3);
    telemetry.beat(1_760_000_000_500);
    const scrape = await telemetry.scrape();
    const expected: Readonly<Record<string, number>> = {
      'belay_events_total{kind="held"}': 2,
      'belay_verdicts_total{verdict="breach"}': 1,
      'belay_verdicts_total{verdict="pass"}': 0,
      'belay_answers_total{ok="true"}': 1,
      'belay_answers_total{ok="false"}': 1,
      'belay_calls_total{outside="prometheus",outcome="timeout"}': 1,
      'belay_call_seconds_sum{outside="prometheus"}': 5,
      'belay_acknowledge_seconds_bucket{le="0.01"}': 0,
      'belay_acknowledge_seconds_bucket{le="0.025"}': 1,
      belay_rollback_off_seconds_sum: 2.1,
      'belay_runs{phase="walking"}': 2,
      'belay_runs{phase="stuck"}': 0,
      'belay_outbox_waiting{lane="urgent"}': 1,
      'belay_outbox_waiting{lane="answer"}': 0,
      belay_unjournaled_events: 3,
      belay_last_beat_timestamp_seconds: 1_760_000_000.5,
    };
    for (const [series, value] of Object.entries(expected))
      expect(seriesIn(scrape, series), series).toBe(value);
  });

  it("sets what is no longer there back to 0", async () => {
    const telemetry = createTelemetry();
    telemetry.runs({ looking: 1 });
    telemetry.runs({});
    expect(seriesIn(await telemetry.scrape(), 'belay_runs{phase="looking"}')).toBe(0);
  });

  it("is not spoilt by a duration that is no number", async () => {
    const telemetry = createTelemetry();
    for (const ms of [Number.NaN, Number.POSITIVE_INFINITY, -3, 1_000]) telemetry.acknowledged(ms);
    expect(seriesIn(await telemetry.scrape(), "belay_acknowledge_seconds_sum")).toBe(1);
    expect(seriesIn(await telemetry.scrape(), "belay_acknowledge_seconds_count")).toBe(2);
  });

  it("keeps each instance to itself", async () => {
    createTelemetry().event("held");
    expect(await createTelemetry().scrape()).not.toContain("held");
  });

  it("writes what Prometheus reads, and no version", async () => {
    const telemetry = createTelemetry();
    telemetry.event("rollback_started");
    telemetry.called("journal", "ok", 1);
    const scrape = await telemetry.scrape();
    expect(telemetry.contentType).toContain("text/plain");
    expect(scrape).not.toContain(process.versions.node);
    expect(scrape.toLowerCase()).not.toMatch(/version| nan\n/);
    const { status, stderr } = spawnSync("promtool", ["check", "metrics"], {
      input: scrape,
      encoding: "utf8",
    });
    // promtool exits with 3 for matters of style; those of Node's own metrics are not ours to change.
    expect([0, 3]).toContain(status);
    expect(stderr.split("\n").filter((line) => line.includes("belay_") || line.includes("error"))).toEqual(
      [],
    );
  });
});
