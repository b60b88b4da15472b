/** A Prometheus that tells the truth about production, except while it lies. */
import type { Answer } from "../../../src/core/measurement.ts";
import type { Metrics, RangeAnswer } from "../../../src/engine/ports.ts";
import type { Caller } from "../calls.ts";
import { isIn, type Lie, MOST_SHARE, type Scenario, WINDOW_MS } from "../scenario.ts";
import type { Random, Timeline } from "../timeline.ts";
import { lieAbout } from "./lies.ts";
import type { Processes } from "./processes.ts";
import type { Health, Production } from "./production.ts";

const WINDOW_S = WINDOW_MS / 1_000;
/** Share of failed work in a second that is well, and what one that fails adds. */
const USUAL_SHARE = 0.001;
const FAILING_SHARE = 0.2;

/** One true answer that was served, so that a promise can ask what Belay had seen. */
export interface Served {
  readonly at: number;
  readonly query: string;
  readonly passing: boolean;
}

interface Truth {
  readonly answer: Answer;
  readonly passing: boolean;
}

export class Prometheus {
  readonly #scenario: Scenario;
  readonly #production: Production;
  readonly #processes: Processes;
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #served: Served[] = [];

  constructor(
    scenario: Scenario,
    seen: { readonly production: Production; readonly processes: Processes },
    timeline: Timeline,
    random: Random,
  ) {
    this.#scenario = scenario;
    this.#production = seen.production;
    this.#processes = seen.processes;
    this.#timeline = timeline;
    this.#random = random;
  }

  /** True answers so far, in the order in which they were given. */
  get served(): readonly Served[] {
    return this.#served;
  }

  /** What it lies about now; undefined while it tells the truth. */
  lie(): Lie | undefined {
    return this.#scenario.lies.find((one) => isIn(one, this.#timeline.now()))?.lie;
  }

  /** Prometheus as one process reaches it. */
  port(caller: Caller): Metrics {
    return {
      query: (query) => this.#query(caller, query),
      queryRange: (query, fromWall, toWall, stepMs) =>
        this.#queryRange(caller, query, fromWall, toWall, stepMs),
    };
  }

  #query(caller: Caller, query: string): Promise<Answer> {
    const lie = this.lie();
    const askedAt = this.#timeline.now();
    if (lie !== undefined)
      return caller.later(lie === "timeout" ? 5_000 : this.#random.between(1, 40), () =>
        lieAbout(lie, query, this.#timeline.now() / 1_000),
      );
    return caller.later(this.#random.between(1, 60), () => this.#serve(query, askedAt));
  }

  #queryRange(
    caller: Caller,
    query: string,
    fromWall: number,
    toWall: number,
    stepMs: number,
  ): Promise<RangeAnswer> {
    if (this.lie() !== undefined)
      return caller.later(30, () => ({ kind: "down", reason: "refused", detail: "connection refused" }));
    return caller.later(this.#random.between(5, 120), () => {
      const points = [];
      for (let wall = fromWall; wall <= toWall; wall += stepMs)
        points.push({ wall, answer: this.#serve(query, wall) });
      return { kind: "points", points };
    });
  }

  /** The true answer as of `at` (ms), and a note that it was given. */
  #serve(query: string, at: number): Answer {
    const second = Math.floor(at / 1_000);
    const recent = this.#production.healthBefore(second, WINDOW_S);
    const told = this.#processes.answer(query, second, recent.at(-1) === "away");
    if (told !== undefined) return told;
    const { answer, passing } = truthOf(query, second, recent);
    this.#served.push({ at, query, passing });
    return answer;
  }
}

/** What is true at `second`, given the health of the seconds before it. A dead service has no series of its own. */
function truthOf(query: string, second: number, recent: readonly Health[]): Truth {
  const isAway = recent.at(-1) === "away";
  if (query === "up") return { answer: vectorOf(second, isAway ? "0" : "1"), passing: !isAway };
  if (query === "others") return { answer: vectorOf(second, "1"), passing: true };
  if (query === "fresh:up") return { answer: vectorOf(second, String(second)), passing: true };
  if (query.startsWith("fresh:"))
    return { answer: vectorOf(second, isAway ? undefined : String(second)), passing: !isAway };
  const failing = recent.filter((one) => one === "failing").length;
  const share = USUAL_SHARE + FAILING_SHARE * (recent.length === 0 ? 0 : failing / recent.length);
  return { answer: vectorOf(second, String(share)), passing: !isAway && share <= MOST_SHARE };
}

function vectorOf(second: number, value: string | undefined): Answer {
  const result = value === undefined ? [] : [{ metric: {}, value: [second, value] }];
  return { kind: "body", body: { status: "success", data: { resultType: "vector", result } } };
}
