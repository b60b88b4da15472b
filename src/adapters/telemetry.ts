/** Belay's own metrics: what it counts about itself, as plain functions, and the text of a scrape. Labels are closed sets; they hold no names of flags. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { RolloutEvent } from "../core/event.ts";
import type { Phase } from "../core/rollout/state.ts";
import type { Verdict } from "../core/verdict.ts";
import type { Lane } from "../engine/messages.ts";

/** Whom Belay calls: the outside worlds of its ports. */
export type Outside = "journal" | "flag_store" | "service_view" | "prometheus" | "chat" | "pager" | "target";

/** `unknown`: it may have been done although no answer came. */
export type Outcome = "ok" | "failed" | "timeout" | "unknown";

const OPEN_PHASES: readonly Phase[] = ["walking", "rolling_back", "looking", "stuck"];
const LANES: readonly Lane[] = ["urgent", "answer", "normal"];
const VERDICTS: readonly Verdict[] = ["pass", "breach", "no_evidence", "provider_down", "inconclusive"];

/** Names the versions of Node and its parts, or gives no number between two scrapes that come close together. */
const LEFT_OUT = [
  "nodejs_version_info",
  ...["", "min_", "max_", "mean_", "stddev_", "p50_", "p90_", "p99_"].map(
    (part) => `nodejs_eventloop_lag_${part}seconds`,
  ),
];

/** No function throws. Durations are ms here and seconds in the metrics. */
export interface Telemetry {
  /** A rollout event was journaled. */
  event(kind: RolloutEvent["kind"]): void;
  /** A guard was judged. */
  verdict(verdict: Verdict): void;
  /** A command was acknowledged, `ms` after it arrived. */
  acknowledged(ms: number): void;
  /** A command was answered; `ok` is whether it did what it said. */
  answered(ok: boolean): void;
  /** A call to something outside ended. */
  called(outside: Outside, outcome: Outcome, ms: number): void;
  /** A rollback's flags were read back as off, `ms` after its first bad measurement was seen. */
  rolledBack(ms: number): void;
  /** How many live or stuck runs there are in each phase. */
  runs(counts: Readonly<Partial<Record<Phase, number>>>): void;
  /** How many messages wait in each lane. */
  waiting(counts: Readonly<Partial<Record<Lane, number>>>): void;
  /** Decisions that count already but are not in the journal. */
  unjournaled(events: number): void;
  /** The engine went through its loop; `wall` is Unix ms. An alert on its age notices a Belay that stands still. */
  beat(wall: number): void;
  /** The text of a scrape. */
  scrape(): Promise<string>;
  /** The content type of `scrape`. */
  readonly contentType: string;
}

export function createTelemetry(): Telemetry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of LEFT_OUT) registry.removeSingleMetric(name);
  const { events, verdicts, answers, calls } = counters(registry);
  const { ackS, rollbackS, callS } = histograms(registry);
  const { runs, waiting, unjournaled, beat } = gauges(registry);
  const setAll = <Name extends string>(
    gauge: Gauge<string>,
    label: string,
    names: readonly Name[],
    counts: Readonly<Partial<Record<Name, number>>>,
  ): void => {
    for (const name of names) gauge.set({ [label]: name }, counts[name] ?? 0);
  };
  for (const verdict of VERDICTS) verdicts.inc({ verdict }, 0);
  setAll(runs, "phase", OPEN_PHASES, {});
  setAll(waiting, "lane", LANES, {});

  return {
    event: (kind) => events.inc({ kind }),
    verdict: (verdict) => verdicts.inc({ verdict }),
    acknowledged: (ms) => observe(ackS, {}, ms),
    answered: (ok) => answers.inc({ ok: String(ok) }),
    called(outside, outcome, ms) {
      calls.inc({ outside, outcome });
      observe(callS, { outside }, ms);
    },
    rolledBack: (ms) => observe(rollbackS, {}, ms),
    runs: (counts) => setAll(runs, "phase", OPEN_PHASES, counts),
    waiting: (counts) => setAll(waiting, "lane", LANES, counts),
    unjournaled: (count) => unjournaled.set(count),
    beat: (wall) => beat.set(wall / 1_000),
    scrape: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

/** A duration that is no number would make the sum of all of them none. */
function observe(histogram: Histogram<string>, labels: Readonly<Record<string, string>>, ms: number): void {
  if (Number.isFinite(ms)) histogram.observe(labels, Math.max(0, ms) / 1_000);
}

function counters(registry: Registry) {
  const counter = (name: string, help: string, labelNames: string[]) =>
    new Counter({ name, help, labelNames, registers: [registry] });
  return {
    events: counter("belay_events_total", "Rollout events journaled, by kind.", ["kind"]),
    verdicts: counter("belay_verdicts_total", "Guards judged, by verdict.", ["verdict"]),
    answers: counter("belay_answers_total", "Commands answered; ok=false is a refusal or a failure.", ["ok"]),
    calls: counter("belay_calls_total", "Calls to what is outside Belay, by how they ended.", [
      "outside",
      "outcome",
    ]),
  };
}

function histograms(registry: Registry) {
  const histogram = (name: string, help: string, labelNames: string[], buckets: number[]) =>
    new Histogram({ name, help, labelNames, buckets, registers: [registry] });
  return {
    ackS: histogram(
      "belay_acknowledge_seconds",
      "From a command's arrival to its acknowledgement.",
      [],
      [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 3],
    ),
    callS: histogram(
      "belay_call_seconds",
      "How long calls to what is outside Belay took.",
      ["outside"],
      [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30],
    ),
    rollbackS: histogram(
      "belay_rollback_off_seconds",
      "From the first bad measurement of a breach to its flags read back as off.",
      [],
      [0.5, 1, 2, 3, 5, 10, 20, 35, 60, 120, 300, 600],
    ),
  };
}

function gauges(registry: Registry) {
  const gauge = (name: string, help: string, labelNames: string[]) =>
    new Gauge({ name, help, labelNames, registers: [registry] });
  return {
    runs: gauge("belay_runs", "Live or stuck rollout runs, by phase.", ["phase"]),
    waiting: gauge("belay_outbox_waiting", "Messages not yet delivered, by lane.", ["lane"]),
    unjournaled: gauge(
      "belay_unjournaled_events",
      "Decisions that count already but are not in the journal.",
      [],
    ),
    beat: gauge(
      "belay_last_beat_timestamp_seconds",
      "Unix time at which the engine last went through its loop.",
      [],
    ),
  };
}
