/** From the probes of a watch as written to what is asked, how often, and what follows. */
import { MINUTE, SECOND } from "../time.ts";
import type { Probe, ProbeCheck, WatchTarget } from "../watch/plan.ts";
import { freshnessOf, type Inspect } from "./guard-entry.ts";
import { found, type Mistake, mistake, warning } from "./mistake.ts";
import type { ProbeFile } from "./watch-file.ts";

const DEFAULT_INTERVAL_MS = 60 * SECOND;
const DEFAULT_TIMEOUT_MS = 5 * SECOND;
const DEFAULT_RECOVER_WITHIN_MS = 5 * MINUTE;
const DEFAULT_FAIL = 3;
const DEFAULT_OK = 2;

type Path = readonly (string | number)[];

export interface ProbeContext {
  readonly inspect: Inspect;
  /** Names of the runbooks, with and without their ending. */
  readonly runbooks: ReadonlySet<string>;
  readonly targets: readonly WatchTarget[];
  /** The targets that the file names, with or without a mistake. */
  readonly targetNames: readonly string[];
  readonly usersChannel: string | undefined;
}

/** The probes in the order of the file; mistakes are added, with paths into the watch. */
export function probesFrom(
  probes: Readonly<Record<string, ProbeFile>>,
  context: ProbeContext,
  mistakes: Mistake[],
): readonly Probe[] {
  return Object.entries(probes).flatMap(([name, entry]): Probe[] => {
    const path = ["probes", name];
    const check = checkFrom(entry, path, context.inspect, mistakes);
    const intervalMs = entry.interval ?? DEFAULT_INTERVAL_MS;
    const probe = {
      name,
      intervalMs,
      timeoutMs: entry.timeout ?? Math.min(DEFAULT_TIMEOUT_MS, intervalMs / 2),
      fail: entry.fail ?? DEFAULT_FAIL,
      ok: entry.ok ?? DEFAULT_OK,
      recoverWithinMs: entry.recover_within ?? DEFAULT_RECOVER_WITHIN_MS,
      ...(entry.restart === undefined ? {} : { restart: entry.restart }),
      ...(entry.page === undefined ? {} : { page: entry.page }),
      ...(entry.degraded === undefined ? {} : { degraded: entry.degraded }),
      ...(entry.runbook === undefined ? {} : { runbook: entry.runbook }),
    };
    if (probe.timeoutMs >= intervalMs)
      mistakes.push(
        mistake(
          [...path, "timeout"],
          `expected a time below the interval (${intervalMs / SECOND} s): one check at a time`,
        ),
      );
    checkFollows(entry, path, context, mistakes);
    checkRecovery(probe, path, context.targets, mistakes);
    return check === undefined ? [] : [{ ...probe, check }];
  });
}

function checkFrom(
  entry: ProbeFile,
  path: Path,
  inspect: Inspect,
  mistakes: Mistake[],
): ProbeCheck | undefined {
  const { http, expect, contains, tcp, promql, max, min } = entry;
  if ([http, tcp, promql].filter((one) => one !== undefined).length !== 1) {
    mistakes.push(mistake(path, "expected exactly one of http, tcp or promql"));
    return undefined;
  }
  for (const [key, value] of Object.entries({ expect, contains }))
    if (value !== undefined && http === undefined)
      mistakes.push(mistake([...path, key], `\`${key}\` is for http: nothing here answers with it`));
  for (const [key, value] of Object.entries({ max, min }))
    if (value !== undefined && promql === undefined)
      mistakes.push(mistake([...path, key], `\`${key}\` is for promql: nothing here yields a number`));
  if (http !== undefined)
    return {
      kind: "http",
      url: http,
      status: expect ?? { from: 200, to: 299 },
      ...(contains === undefined ? {} : { body: contains }),
    };
  if (tcp !== undefined) return { kind: "tcp", host: tcp.host, port: tcp.port };
  return promqlFrom(entry, promql ?? "", path, inspect, mistakes);
}

function promqlFrom(
  { max, min }: ProbeFile,
  query: string,
  path: Path,
  inspect: Inspect,
  mistakes: Mistake[],
): ProbeCheck {
  const { faults, selectors } = inspect(query);
  const at = [...path, "promql"];
  mistakes.push(
    ...faults.map(({ message, offset }): Mistake => ({ path: at, message, offset, level: "error" })),
  );
  if (faults.length === 0 && selectors.length === 0)
    mistakes.push(mistake(at, "the query reads no series, so its freshness cannot be proved"));
  if (max === undefined && min === undefined) mistakes.push(mistake(path, "expected max, min or both"));
  if (max !== undefined && min !== undefined && max.value < min.value)
    mistakes.push(mistake([...path, "max"], "max is below min: nothing could be well"));
  return {
    kind: "promql",
    query,
    freshness: freshnessOf(selectors),
    unit: max?.unit ?? min?.unit ?? "none",
    ...(max === undefined ? {} : { max: max.value }),
    ...(min === undefined ? {} : { min: min.value }),
  };
}

function checkFollows(entry: ProbeFile, path: Path, context: ProbeContext, mistakes: Mistake[]): void {
  const { restart, degraded, runbook } = entry;
  if (restart !== undefined && !context.targetNames.includes(restart))
    mistakes.push(
      mistake(
        [...path, "restart"],
        `expected a target of this file (${context.targetNames.join(", ") || "it has none"}), found ${found(restart)}`,
      ),
    );
  if (degraded !== undefined && context.usersChannel === undefined)
    mistakes.push(
      mistake([...path, "degraded"], "expected `users_channel` in this file: where would the users read it?"),
    );
  if (runbook !== undefined && !context.runbooks.has(runbook))
    mistakes.push(
      mistake(
        [...path, "runbook"],
        `expected a runbook in runbooks/, found no ${runbook.replace(/\.md$/, "")}.md there`,
      ),
    );
}

/** From the first bad check until it counts as well again, when everything takes as long as it may. */
function checkRecovery(
  probe: Omit<Probe, "check">,
  path: Path,
  targets: readonly WatchTarget[],
  mistakes: Mistake[],
): void {
  const target = targets.find((one) => one.name === probe.restart);
  if (target === undefined) return;
  const failingMs = (probe.fail - 1) * probe.intervalMs + probe.timeoutMs;
  const restartMs = target.upWithinMs * Math.max(1, target.replicas.length);
  const totalMs = failingMs + restartMs + probe.ok * probe.intervalMs;
  if (totalMs <= probe.recoverWithinMs) return;
  const s = (ms: number): number => Math.ceil(ms / SECOND);
  mistakes.push(
    warning(
      path,
      `a recovery may take ${s(totalMs)} s (failing ${s(failingMs)} + restart ${s(restartMs)} + well again ${s(probe.ok * probe.intervalMs)}), more than the ${s(probe.recoverWithinMs)} s of recover_within`,
    ),
  );
}
