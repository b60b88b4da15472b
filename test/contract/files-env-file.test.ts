/** Environment files as files name them: a restart that could never be in time is warned of where it stands, and stops no file from loading. */
import { describe, expect, it } from "vitest";
import { formatProblem } from "../../src/adapters/files/problem.ts";
import { FLAGS, GOOD, load } from "../support/folder.ts";

const PROCESS = (stop: string): string =>
  `{ process: { command: [/bin/svc], pidfile: /run/svc.pid${stop === "" ? "" : `, stop_timeout: ${stop}`} } }`;

/** The flags file with this provider, one setting a line from line 3 on, and what `belay check` says of it. */
async function warningsOf(provider: string): Promise<readonly string[]> {
  const text = FLAGS.replace(/^provider:.*$/m, provider);
  const loaded = await load({ ...GOOD, "flags/main.yaml": text });
  expect(loaded.problems.filter(({ level }) => level === "error")).toEqual([]);
  return loaded.problems.map(formatProblem);
}

const one = (stop: string, within: string): string =>
  `provider:\n  kind: env-file\n  path: /etc/x.env\n  restart: ${PROCESS(stop)}${within === "" ? "" : `\n  restart_within: ${within}`}`;

describe("restart_within against stop_timeout", () => {
  it.each([
    ["12s", "", "10s"],
    ["11s", "", "10 s"],
    ["26s", "25s", "25 s"],
    ["5s", "5s", "5 s"],
  ] as const)(
    "restart_within %s, stop_timeout '%s': fine with two seconds to start, else warned of",
    async (within, stop, stopShown) => {
      const warnings = await warningsOf(one(stop, within));
      if (within === "12s") return expect(warnings).toEqual([]);
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toMatch(/^flags\/main\.yaml:7:19: /);
      expect(warnings[0]).toContain(`stop_timeout (${stopShown})`);
      expect(warnings[0]).toMatch(/expected a restart_within of at least (12|27|7) s/);
    },
  );

  it("is warned of at the process where restart_within is left out", async () => {
    const [warning, ...more] = await warningsOf(one("40s", ""));
    expect(more).toEqual([]);
    expect(warning).toMatch(/^flags\/main\.yaml:6:\d+: .*restart_within \(30 s\).*at least 42 s$/);
    expect(await warningsOf(one("", ""))).toEqual([]);
    expect(await warningsOf(one("28s", ""))).toEqual([]);
  });

  it("is warned of once for several instances, by the slowest of them", async () => {
    const instances = ["1s", "40s", "20s"].map(
      (stop, i) => `    - { path: /etc/${i}.env, restart: ${PROCESS(stop).replace("svc.pid", `${i}.pid`)} }`,
    );
    const list = `provider:\n  kind: env-file\n  instances:\n${instances.join("\n")}`;
    const [warning, ...more] = await warningsOf(`${list}\n  restart_within: 10s`);
    expect(more).toEqual([]);
    expect(warning).toMatch(/^flags\/main\.yaml:9:\d+: .*at least 42 s$/);
    const byPlace = await warningsOf(list);
    expect(byPlace).toHaveLength(1);
    expect(byPlace[0]).toMatch(/^flags\/main\.yaml:7:\d+: .*at least 42 s$/);
  });

  it("says nothing of a unit, whose stop systemd limits", async () => {
    expect(await warningsOf(one("", "1s").replace(/restart: \{.*$/m, "restart: x.service"))).toEqual([]);
  });

  it("is told of a second lever too", async () => {
    const lever = `second_lever:\n  kind: env-file\n  path: /etc/y.env\n  restart: ${PROCESS("")}\n  restart_within: 3s`;
    const [warning] = await warningsOf(`provider: { kind: file }\n${lever}`);
    expect(warning).toMatch(/^flags\/main\.yaml:8:19: .*at least 12 s$/);
  });
});
