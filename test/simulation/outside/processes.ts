/** The service's process as its metrics show it: the version that runs, and when it began, be it by a deploy, a restart or a flip of ours. */
import type { Answer } from "../../../src/core/measurement.ts";
import { type Deploy, FIRST_VERSION, STARTED_QUERY, VERSION_QUERY } from "../deploy-play.ts";
import type { Flags } from "./flags.ts";

export class Processes {
  readonly #deploys: readonly Deploy[];
  readonly #flags: Flags;

  constructor(deploys: readonly Deploy[] | undefined, flags: Flags) {
    this.#deploys = deploys ?? [];
    this.#flags = flags;
  }

  /** The deploys and restarts that no flip caused, up to `at` (ms), oldest first. */
  until(at: number): readonly Deploy[] {
    return this.#deploys.filter((one) => one.at <= at);
  }

  /** What is true of the process at `second`; undefined for a query of something else. One that is away shows nothing. */
  answer(query: string, second: number, isAway: boolean): Answer | undefined {
    if (query !== VERSION_QUERY && query !== STARTED_QUERY) return undefined;
    const at = second * 1_000;
    const before = this.until(at);
    const version = before.findLast((one) => one.version !== undefined)?.version ?? FIRST_VERSION;
    const starts = [...before.map((one) => one.at), ...this.#flags.starts.filter((one) => one <= at)];
    const series =
      query === VERSION_QUERY
        ? { metric: { version }, value: [second, "1"] }
        : { metric: {}, value: [second, String(Math.max(0.001, ...starts) / 1_000)] };
    const result = isAway ? [] : [series];
    return { kind: "body", body: { status: "success", data: { resultType: "vector", result } } };
  }
}
