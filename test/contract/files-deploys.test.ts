/** `deploys` of a flags file: completed where it says little, and each mistake with its place in the file. */
import { describe, expect, it } from "vitest";
import { formatProblem } from "../../src/adapters/files/problem.ts";
import { FLAGS, GOOD, load, placeOf } from "../support/folder.ts";

const withEntry = (entry: string): string => `${FLAGS}deploys: ${entry}\n`;

describe("deploys", () => {
  it.each([
    ["{}", { started: 'process_start_time_seconds{job="ingestion"}' }],
    [
      '{ version: app_info, started: "max(boot_seconds)" }',
      { version: "app_info", label: "version", started: "max(boot_seconds)" },
    ],
    [
      "{ version: app_info, label: tag }",
      { version: "app_info", label: "tag", started: 'process_start_time_seconds{job="ingestion"}' },
    ],
  ])("%s is what a plan keeps", async (entry, kept) => {
    const { plans, problems } = await load({ ...GOOD, "flags/main.yaml": withEntry(entry) });
    expect(problems.filter(({ level }) => level === "error")).toEqual([]);
    expect(plans.get("demo")?.deploys).toEqual(kept);
  });

  it("is not there where the file says nothing", async () => {
    expect((await load(GOOD)).plans.get("demo")).not.toHaveProperty("deploys");
  });

  it.each([
    ["{ version: 'app_info{tag=^}' }", /PromQL|expected|unexpected/i],
    ["{ version: app_info, started: ^1 + 1 }", /reads no series/],
    ["{ label: ^tag }", /expected `version` too/],
    ["{ version: app_info, ^colour: red }", /unknown key `colour`/],
  ])("%s is a mistake at its place", async (marked, words) => {
    const text = withEntry(marked.replace("^", ""));
    const into = withEntry(marked).indexOf("^") - withEntry(marked).indexOf(marked);
    const { problems } = await load({ ...GOOD, "flags/main.yaml": text });
    const errors = problems.filter(({ level }) => level === "error").map(formatProblem);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain(placeOf("flags/main.yaml", text, marked.replace("^", ""), into));
    expect(errors[0]).toMatch(words);
  });
});
