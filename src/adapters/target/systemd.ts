/** A target that is a systemd unit: restarted and looked at with `systemctl`. */
import { execFile } from "node:child_process";
import { createTurns, OutsideFault, type Target } from "../../engine/ports.ts";
import { passFileClock } from "./file-clock.ts";
import { type Look, waitUntilUp } from "./up.ts";

const DEFAULT_TIMEOUT_MS = 5_000;
const DEFAULT_SETTLE_MS = 250;
const MAX_OUTPUT_BYTES = 64 * 1024;
const UNIT = /^[A-Za-z0-9][A-Za-z0-9@._-]{0,200}\.service$/;
const PROPERTIES = [
  "LoadState",
  "ActiveState",
  "SubState",
  "Result",
  "MainPID",
  "InvocationID",
  "ExecMainStartTimestamp",
  "Job",
] as const;

export interface SystemdTargetOptions {
  /** A service unit, `ingestion.service`. */
  readonly unit: string;
  /** The program to call; found on PATH when it is a bare name. */
  readonly systemctl?: string | undefined;
  /** Talks to the user's own manager instead of the system's. */
  readonly user?: boolean | undefined;
  /** Environment of systemctl; Belay's own when not given. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** Deadline of one call of systemctl, ms; 5 s when not given. */
  readonly timeoutMs?: number | undefined;
  /** How long the unit must stay active after its restart, ms; 250 when not given. */
  readonly settleMs?: number | undefined;
  /** From the restart until the unit is up, ms. */
  readonly upWithinMs: number;
  /** Asks the service itself whether it is up. */
  readonly isUp?: (() => Promise<boolean>) | undefined;
}

type Properties = Readonly<Record<(typeof PROPERTIES)[number], string>>;
type Call = (verb: "reset-failed" | "restart" | "show", ...args: readonly string[]) => Promise<string>;

/** Needs systemd 247 or newer (for exact time stamps). Throws when `unit` is no name of a service unit. */
export function createSystemdTarget(options: SystemdTargetOptions): Target {
  const { unit, upWithinMs, isUp, settleMs = DEFAULT_SETTLE_MS } = options;
  if (!UNIT.test(unit))
    throw new Error(`expected a systemd unit such as ingestion.service, found ${JSON.stringify(unit)}`);
  const turns = createTurns();
  const call = callerOf(options);
  const show = async (): Promise<Properties> => {
    const names = PROPERTIES.flatMap((name) => ["-p", name]);
    return parseShow(await call("show", "--timestamp=us+utc", ...names));
  };

  async function restart(): Promise<void> {
    const before = await show();
    if (before.LoadState !== "loaded") throw notLoaded(unit, before);
    // A unit that failed too often refuses to start until its counter is reset; one that did not fail refuses the reset.
    await call("reset-failed").catch(ignoreFault);
    await passFileClock();
    await call("restart", "--no-block");
    await waitUntilUp({
      what: unit,
      look: async () => lookAt(await show(), before),
      isUp,
      settleMs,
      upWithinMs,
    });
  }

  return {
    restart: () => turns(restart),
    async status() {
      const now = await show();
      const running =
        (now.ActiveState === "active" || now.ActiveState === "reloading") && now.MainPID !== "0";
      return { running, startedAt: running ? wallMsOf(now.ExecMainStartTimestamp) : undefined };
    },
  };
}

function ignoreFault(error: unknown): void {
  if (!(error instanceof OutsideFault)) throw error;
}

function notLoaded(unit: string, found: Properties): OutsideFault {
  const why =
    found.LoadState === "not-found"
      ? "systemd knows no such unit"
      : `systemd says ${found.LoadState || "nothing of it"}`;
  return new OutsideFault(`${unit} cannot be restarted: ${why}`, { recoverable: false });
}

/** What the unit's properties say after a restart. While its job waits, and until its invocation changes, they still speak of the old process. */
function lookAt(now: Properties, before: Properties): Look {
  if (now.Job !== "" && now.Job !== "0") return { kind: "coming" };
  switch (now.ActiveState) {
    case "active":
      return now.InvocationID !== before.InvocationID && now.SubState === "running"
        ? { kind: "running", run: now.InvocationID }
        : { kind: "coming" };
    case "failed":
      return { kind: "gone", why: `the unit failed (${now.Result})` };
    case "inactive":
      return { kind: "gone", why: `its process ended (${now.Result})` };
    default:
      return { kind: "coming" };
  }
}

function callerOf(options: SystemdTargetOptions): Call {
  const {
    unit,
    systemctl = "systemctl",
    user = false,
    environment,
    timeoutMs = DEFAULT_TIMEOUT_MS,
  } = options;
  const scope = user ? ["--user"] : [];
  return (verb, ...args) => {
    const all = [...scope, "--no-ask-password", "--no-pager", verb, ...args, "--", unit];
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const how = {
      encoding: "utf8",
      timeout: timeoutMs,
      killSignal: "SIGKILL",
      maxBuffer: MAX_OUTPUT_BYTES,
      ...(environment === undefined ? {} : { env: environment }),
    } as const;
    execFile(systemctl, all, how, (error, output, complaint) => {
      if (error === null) resolve(output);
      else reject(callFault(error, complaint, { verb, unit, systemctl, timeoutMs }));
    });
    return promise;
  };
}

interface CallName {
  readonly verb: string;
  readonly unit: string;
  readonly systemctl: string;
  readonly timeoutMs: number;
}

function callFault(error: Error, complaint: string, call: CallName): OutsideFault {
  const doing = `systemctl ${call.verb} ${call.unit}`;
  if ("killed" in error && error.killed === true) {
    return new OutsideFault(`${doing} took longer than ${call.timeoutMs} ms`, {
      recoverable: true,
      cause: error,
    });
  }
  if ("code" in error && (error.code === "ENOENT" || error.code === "EACCES")) {
    return new OutsideFault(`${call.systemctl} cannot be run; is this a machine with systemd?`, {
      recoverable: false,
      cause: error,
    });
  }
  const said = complaint.trim().split("\n")[0]?.slice(0, 300) || "it failed without a word";
  if (/authentication required|access denied|permission denied|not authorized/i.test(said)) {
    return new OutsideFault(`${doing}: ${said}; a polkit rule must let Belay's user manage this unit`, {
      recoverable: false,
      cause: error,
    });
  }
  if (/not found|not loaded/i.test(said))
    return new OutsideFault(`${doing}: ${said}`, { recoverable: false, cause: error });
  return new OutsideFault(`${doing}: ${said}`, { recoverable: true, cause: error });
}

function parseShow(output: string): Properties {
  const found = new Map<string, string>();
  for (const line of output.split("\n")) {
    const cut = line.indexOf("=");
    if (cut > 0) found.set(line.slice(0, cut), line.slice(cut + 1).trim());
  }
  const value = (name: (typeof PROPERTIES)[number]): string => found.get(name) ?? "";
  return {
    LoadState: value("LoadState"),
    ActiveState: value("ActiveState"),
    SubState: value("SubState"),
    Result: value("Result"),
    MainPID: value("MainPID"),
    InvocationID: value("InvocationID"),
    ExecMainStartTimestamp: value("ExecMainStartTimestamp"),
    Job: value("Job"),
  };
}

/** `Sun 2026-11-22 04:46:45.123456 UTC` in ms since the epoch, with fractions; undefined for anything else. */
function wallMsOf(text: string): number | undefined {
  const match = /(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})\.(\d{6}) UTC$/.exec(text);
  if (match === null) return undefined;
  return Date.parse(`${match[1]}T${match[2]}Z`) + Number(match[3]) / 1000;
}
