/** Writes what a test run has to tell, in a few lines: each failure with the head of its message, and each test that needed a second try. */
import { writeFileSync } from "node:fs";
import type { Reporter, TestCase, TestModule } from "vitest/node";

/** Lines of a failure's message; the run's own output has the rest. */
const MOST_LINES = 6;

function headOf(message: string | undefined, indent: string): string {
  const lines = (message ?? "no message").split("\n").filter((line) => line.trim() !== "");
  return lines
    .slice(0, MOST_LINES)
    .map((line) => `${indent}${line}`)
    .join("\n");
}

function nameOf(test: TestCase): string {
  return `${test.module.relativeModuleId} > ${test.fullName}`;
}

function linesOf(test: TestCase): readonly string[] {
  const { state, errors = [] } = test.result();
  const messages = errors.map(({ message }) => headOf(message, "    ")).join("\n");
  if (state === "failed") return [`failed: ${nameOf(test)}\n${messages}`];
  return test.diagnostic()?.flaky === true
    ? [`passed only at its second try: ${nameOf(test)}\n${messages}`]
    : [];
}

/** The file is empty when there is nothing to tell. */
export class ShortReport implements Reporter {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  onTestRunEnd(
    modules: readonly TestModule[],
    unhandled: readonly { readonly message?: string; readonly stack?: string }[],
  ): void {
    const lines = [
      ...modules.flatMap((module) => [
        ...module
          .errors()
          .map((error) => `failed: ${module.relativeModuleId}\n${headOf(error.message, "    ")}`),
        ...[...module.children.allTests()].flatMap(linesOf),
      ]),
      ...unhandled.map(
        (error) => `failed outside of a test:\n${headOf(error.stack ?? error.message, "    ")}`,
      ),
    ];
    writeFileSync(this.#path, lines.map((line) => `${line}\n`).join(""));
  }
}
