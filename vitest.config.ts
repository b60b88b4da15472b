/** Which tests run where: unit tests side by side, those with real servers after them, and the end-to-end ones one file at a time. */
import { defineConfig } from "vitest/config";
import { ShortReport } from "./test/report.ts";

/** Two workers: the figures of the README are for two cores, and more would only make timings worse. */
const WORKERS = 2;

/** End-to-end tests that may run beside each other. */
const APART = [
  "oncall",
  "bots-service",
  "bots-scene",
  "import-scene",
  "clock-jumps",
  "commands",
  "demo-interrupt",
  "demo-service",
  "demo-service-flags",
  "port-calls",
  "observe",
  "second-lever",
  "launchdarkly",
  "unleash",
].map((name) => `test/e2e/${name}.test.ts`);

const shared = {
  environment: "node",
  pool: "forks",
  teardownTimeout: 10_000,
} as const;

/** CI names a file for the short report. */
const REPORT = process.env.BELAY_TEST_REPORT;

/**
 * CI tries a test with real processes a second time: a slow moment of its machine is no finding, and what needed the second try is named at
 * the end of CI's output. The core's tests and properties have one try everywhere.
 */
const RETRIES = REPORT === undefined ? 0 : 1;

/** A project's time limits in ms: one for each test, one for each hook. */
function limits(testMs: number, hookMs: number): { testTimeout: number; hookTimeout: number } {
  return { testTimeout: testMs, hookTimeout: hookMs };
}

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: WORKERS,
    reporters: REPORT === undefined ? ["default"] : ["default", new ShortReport(REPORT)],
    projects: [
      {
        test: {
          ...shared,
          ...limits(10_000, 10_000),
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/contract/**", "test/e2e/**", "test/simulation/**"],
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...shared,
          ...limits(30_000, 30_000),
          name: "contract",
          retry: RETRIES,
          // Many of them wait for deadlines.
          maxWorkers: 3,
          include: ["test/contract/**/*.test.ts", "test/simulation/**/*.test.ts"],
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...shared,
          ...limits(60_000, 60_000),
          name: "e2e",
          retry: RETRIES,
          include: ["test/e2e/**/*.test.ts"],
          exclude: APART,
          // Each starts Prometheus, the service and Belay, and some measure latency: never two at once, never beside other tests.
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          ...shared,
          ...limits(60_000, 60_000),
          name: "apart",
          retry: RETRIES,
          // They wait for processes and deadlines most of the time, and measure no latency: three at once leave the demo's services room.
          maxWorkers: 3,
          include: APART,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
