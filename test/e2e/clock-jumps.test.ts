/** A real process whose wall clock is set forward and back while it runs, and while it is dead: each minute's fire is claimed once and none is lost. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findProgram } from "../../scripts/setup/programs.mjs";
import { openSqliteJournal } from "../../src/adapters/journal/sqlite.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import { eventually } from "../support/eventually.ts";
import { claimed } from "../support/schedules-world.ts";

const SCRIPT = fileURLToPath(new URL("../support/jumping-jobs.ts", import.meta.url));
const JOB = "bots/minutely";
/** The tick for a silent node-cron comes after 61 s / 50. */
const DIVISOR = 50;
/** A minute begins this soon after the clock was set, so that nobody waits for it for long. */
const BEFORE_MINUTE_MS = 2 * SECOND;

interface Said {
  readonly wall: number;
  readonly journaled?: string;
  readonly event?: {
    readonly kind: string;
    readonly how?: string;
    readonly instant?: number;
    readonly why?: string;
  };
  readonly result?: string;
  readonly ran?: boolean;
  readonly started?: boolean;
  readonly warning?: string;
  readonly error?: string;
}

let dir: string;
let children: ChildProcess[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "belay-clock-jumps-"));
  children = [];
});

afterEach(async () => {
  for (const child of children) await end(child, "SIGKILL");
  await rm(dir, { recursive: true, force: true });
});

/** Path of the library that the program `faketime` puts under the programs it starts. */
function fakeTimeLibrary(): string {
  const program = findProgram("faketime");
  if (program === undefined)
    throw new Error(
      "libfaketime is needed to make a real clock jump: `sudo apt-get install faketime` (macOS: `brew install libfaketime`)",
    );
  const library = execFileSync(program, ["-f", "+0s", "/bin/sh", "-c", 'printf %s "$LD_PRELOAD"'], {
    encoding: "utf8",
  });
  const found = library.split(":").find((one) => one.includes("libfaketime"));
  if (found === undefined)
    throw new Error(`${program} preloads no libfaketime here; LD_PRELOAD is "${library}"`);
  return found;
}

/** The wall clock of the process, as a distance from the real one. */
class FakeClock {
  readonly file: string;
  #offsetMs = 0;

  constructor(file: string) {
    this.file = file;
  }

  now(): number {
    return Date.now() + this.#offsetMs;
  }

  /** Sets it by about so much, to shortly before a full minute; resolves to the wall instant of that minute. */
  async jump(ms: number): Promise<number> {
    const minute = Math.ceil((this.now() + ms + BEFORE_MINUTE_MS) / MINUTE) * MINUTE;
    this.#offsetMs = minute - BEFORE_MINUTE_MS - Date.now();
    const seconds = (this.#offsetMs / SECOND).toFixed(3);
    // Read at every look at the clock, so it must never be half written.
    await writeFile(`${this.file}.new`, `${this.#offsetMs < 0 ? "" : "+"}${seconds}\n`);
    await rename(`${this.file}.new`, this.file);
    return minute;
  }
}

function start(clock: FakeClock, said: Said[]): ChildProcess {
  const child = spawn(process.execPath, [SCRIPT, join(dir, "journal.db"), String(DIVISOR)], {
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      PATH: process.env["PATH"],
      TZ: "UTC",
      LD_PRELOAD: fakeTimeLibrary(),
      FAKETIME_TIMESTAMP_FILE: clock.file,
      FAKETIME_NO_CACHE: "1",
      // The monotonic clock of a machine does not jump when its wall clock is set.
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      FAKETIME_DONT_RESET: "1",
    },
  });
  children.push(child);
  createInterface({ input: child.stdout }).on("line", (line) => {
    const one: Said = JSON.parse(line);
    said.push(one);
  });
  return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
}

function heard(said: readonly Said[], what: string, is: (one: Said) => boolean): Promise<Said> {
  const instead = (): string => JSON.stringify(said.slice(-5));
  return eventually(what, () => said.find(is), { withinMs: 25_000, instead });
}

function ranAt(minute: number): (one: Said) => boolean {
  return ({ event, result }) =>
    result === "ok" && event?.kind === "fired" && event.how === "on_time" && event.instant === minute;
}

describe("a clock that jumps under a real process", () => {
  it("+2 h, -2 h, and +24 h while it is dead: no double, no silent miss", async () => {
    const clock = new FakeClock(join(dir, "offset"));
    const said: Said[] = [];

    const first = await clock.jump(0);
    let child = start(clock, said);
    await heard(said, "the process is up", (one) => one.started === true);
    expect(Math.abs((said.find((one) => one.started)?.wall ?? 0) - clock.now())).toBeLessThan(MINUTE);
    await heard(said, "the first fire on time", ranAt(first));

    const second = await clock.jump(2 * HOUR);
    await heard(said, "a fire on time after +2 h", ranAt(second));
    await heard(
      said,
      "the missed ones are passed over",
      ({ event }) => event?.kind === "passed_over" && event.why === "missed",
    );

    const before = said.filter((one) => one.ran === true).length;
    const third = await clock.jump(-2 * HOUR);
    await heard(said, "the clock is known to be behind", ({ event }) => event?.kind === "clock_back");
    // Until a minute has begun that had its fire before.
    await eventually("the repeated minute has begun", () =>
      clock.now() > third + 3 * SECOND ? true : undefined,
    );
    expect(said.filter((one) => one.ran === true)).toHaveLength(before);

    await end(child, "SIGKILL");
    const fourth = await clock.jump(DAY);
    child = start(clock, said);
    await heard(said, "a fire on time after +24 h", ranAt(fourth));
    await end(child, "SIGTERM");

    const journal = openSqliteJournal({ path: join(dir, "journal.db") });
    const events = await journal.subjectEvents("job", JOB);
    journal.close();
    const added = events[0]?.event;
    expect(added?.kind).toBe("added");
    const { instants, spans } = claimed(events);
    expect(new Set(instants).size).toBe(instants.length);
    expect(instants.length).toBeGreaterThan(100);
    const known = new Set(instants);
    const lost: string[] = [];
    const from = added?.kind === "added" ? Math.floor(added.upTo / MINUTE) * MINUTE + MINUTE : Number.NaN;
    for (let minute = from; minute <= fourth; minute += MINUTE)
      if (!known.has(minute) && !spans.some((span) => minute >= span.first && minute <= span.last))
        lost.push(new Date(minute).toISOString());
    expect(lost).toEqual([]);
    expect(fourth - from).toBeGreaterThan(23 * HOUR);
    const fired = events.filter(({ event }) => event.kind === "fired").length;
    expect(said.filter((one) => one.ran === true)).toHaveLength(fired);
  });
});
