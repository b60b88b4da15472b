/** The system clock: steady time goes on over restarts, never runs backwards, and no step of the wall clock moves it. */
import { spawnSync } from "node:child_process";
import { afterEach, describe, expect, it, vi } from "vitest";
import {
  createClock,
  parseSnapshot,
  restoreClock,
  type SavedClock,
  type SystemClock,
} from "../../src/adapters/clock.ts";
import { createIds } from "../../src/adapters/ids.ts";
import { DAY, HOUR } from "../../src/core/time.ts";

/** A reading taken between two others may be late by what the machine was busy with. */
const SLACK_MS = 5_000;

afterEach(() => {
  vi.useRealTimers();
});

/** Moves the wall clock; monotonic clocks and timers stay as they are. */
function stepWall(byMs: number): void {
  const to = Date.now() + byMs;
  vi.useFakeTimers({ toFake: ["Date"], now: to });
}

function saved(clock: SystemClock): SavedClock {
  const read = parseSnapshot(clock.snapshot());
  if (read === undefined) throw new Error("the snapshot cannot be read");
  return read;
}

function steadyOf(clock: SystemClock): number {
  return clock.now().steady;
}

describe("steady time", () => {
  it("begins at 0 and goes on with whole milliseconds, never backwards", async () => {
    const clock = createClock();
    let last = steadyOf(clock);
    expect(last).toBeLessThan(SLACK_MS);
    for (let count = 0; count < 10_000; count++) {
      const next = steadyOf(clock);
      expect(next >= last && Number.isInteger(next)).toBe(true);
      last = next;
    }
    await new Promise<void>((resolve) => clock.after(3, resolve));
    expect(steadyOf(clock)).toBeGreaterThanOrEqual(last + 3);
  });

  it.each([-DAY, -1_500, 1_500, DAY])("is not moved when the wall clock steps by %i ms", (stepMs) => {
    const clock = createClock();
    const before = clock.now();
    stepWall(stepMs);
    const after = clock.now();
    expect(after.steady - before.steady).toBeGreaterThanOrEqual(0);
    expect(after.steady - before.steady).toBeLessThan(SLACK_MS);
    expect(Math.abs(after.wall - before.wall - stepMs)).toBeLessThan(SLACK_MS);
  });

  it("goes on over a restart by the machine's own clock, whatever the wall clock did meanwhile", () => {
    const before = saved(createClock({ bootId: "boot-1", saved: { steady: 7 * HOUR, wall: 0 } }));
    if (before.monotonic === undefined) throw new Error("the snapshot has no monotonic time");
    const away = { ...before, monotonic: before.monotonic - 60_000, wall: before.wall - DAY };
    const after = steadyOf(createClock({ bootId: "boot-1", saved: away }));
    expect(after - before.steady).toBeGreaterThanOrEqual(60_000 - 1);
    expect(after - before.steady).toBeLessThan(60_000 + SLACK_MS);
  });

  it("goes on by the wall clock after the machine has restarted", () => {
    const wall = Date.now() - HOUR;
    for (const bootId of ["boot-2", ""]) {
      const after = steadyOf(
        createClock({ bootId, saved: { steady: 500, wall, boot: "boot-1", monotonic: 1 } }),
      );
      expect(after - 500).toBeGreaterThanOrEqual(HOUR);
      expect(after - 500).toBeLessThan(HOUR + SLACK_MS);
    }
  });

  it("counts no time at all when the wall clock was set back over a restart of the machine", () => {
    const after = steadyOf(
      createClock({
        bootId: "boot-2",
        saved: { steady: 500, wall: Date.now() + DAY, boot: "boot-1", monotonic: 1 },
      }),
    );
    expect(after).toBeGreaterThanOrEqual(500);
    expect(after).toBeLessThan(500 + SLACK_MS);
  });

  it("does not trust a machine's clock that went backwards under the same name", () => {
    const monotonic = Number.MAX_SAFE_INTEGER;
    const after = steadyOf(
      createClock({
        bootId: "boot-1",
        saved: { steady: 500, wall: Date.now() - HOUR, boot: "boot-1", monotonic },
      }),
    );
    expect(after - 500).toBeGreaterThanOrEqual(HOUR);
  });

  it("never starts below what has certainly been reached", () => {
    const at = steadyOf(
      createClock({ notBefore: 9_000, bootId: "b", saved: { steady: 100, wall: Date.now() } }),
    );
    expect(at).toBeGreaterThanOrEqual(9_000);
    expect(at).toBeLessThan(9_000 + SLACK_MS);
  });

  it("goes on from a snapshot of another process", () => {
    const module = new URL("../../src/adapters/clock.ts", import.meta.url).href;
    const script = `const { createClock } = await import(${JSON.stringify(module)}); console.log(createClock({ saved: { steady: 12345, wall: Date.now() } }).snapshot());`;
    const { stdout } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
      encoding: "utf8",
    });
    const at = steadyOf(restoreClock(stdout));
    expect(at).toBeGreaterThanOrEqual(12_345);
    expect(at).toBeLessThan(12_345 + 10_000);
  });

  it("begins anew when the snapshot cannot be read", () => {
    for (const text of [
      undefined,
      "",
      "{",
      "null",
      "7",
      "[]",
      '{"steady":"1","wall":2}',
      '{"steady":1}',
      '{"steady":null,"wall":1}',
      '{"__proto__":{"steady":1,"wall":1}}',
    ]) {
      expect(steadyOf(restoreClock(text))).toBeLessThan(SLACK_MS);
    }
  });
});

describe("timers", () => {
  it("act once, never early on the steady clock", async () => {
    const clock = createClock({ saved: { steady: 1e9 + 0.4, wall: Date.now() } });
    for (let count = 0; count < 30; count++) {
      const before = steadyOf(clock);
      let acts = 0;
      await new Promise<void>((resolve) =>
        clock.after(2, () => {
          acts += 1;
          resolve();
        }),
      );
      expect(steadyOf(clock) - before).toBeGreaterThanOrEqual(2);
      expect(acts).toBe(1);
    }
  });

  it("do not act when cancelled, and cancelling after the act is harmless", async () => {
    const clock = createClock();
    const acts: string[] = [];
    clock.after(1, () => acts.push("cancelled"))();
    await new Promise<void>((resolve) => {
      const cancel = clock.after(5, () => {
        acts.push("acted");
        cancel();
        resolve();
      });
    });
    expect(acts).toEqual(["acted"]);
  });

  it("act soon, but not within the call, when the delay is zero or past", async () => {
    const clock = createClock();
    for (const ms of [0, -5]) {
      let acted = false;
      const done = new Promise<void>((resolve) =>
        clock.after(ms, () => {
          acted = true;
          resolve();
        }),
      );
      expect(acted).toBe(false);
      await done;
    }
  });

  it("do not fire at once when the delay is longer than Node's longest", async () => {
    const clock = createClock();
    const acts: string[] = [];
    const cancels = [2 ** 31, 30 * DAY, Number.POSITIVE_INFINITY].map((ms) =>
      clock.after(ms, () => acts.push("early")),
    );
    await new Promise<void>((resolve) => clock.after(20, resolve));
    for (const cancel of cancels) cancel();
    expect(acts).toEqual([]);
  });

  it("wait the whole of a delay that Node cannot wait in one", () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "hrtime", "Date"] });
    const clock = createClock();
    let acts = 0;
    clock.after(60 * DAY, () => {
      acts += 1;
    });
    vi.advanceTimersByTime(60 * DAY - 1);
    expect(acts).toBe(0);
    vi.advanceTimersByTime(2);
    expect(acts).toBe(1);
    vi.advanceTimersByTime(60 * DAY);
    expect(acts).toBe(1);
  });

  it("refuse a delay that is no number", () => {
    expect(() => createClock().after(Number.NaN, () => {})).toThrow(RangeError);
  });
});

describe("chance and names", () => {
  it("gives numbers in [0, 1), not always the same", () => {
    const clock = createClock();
    const numbers = Array.from({ length: 100 }, () => clock.random());
    expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true);
    expect(new Set(numbers).size).toBeGreaterThan(90);
  });

  it("hashes with SHA-256 over UTF-8", () => {
    const ids = createIds();
    // FIPS 180-2, appendix B.1.
    expect(ids.hash("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(ids.hash("é")).toBe(ids.hash("\u00e9"));
    expect(ids.hash("é")).not.toBe(ids.hash("e"));
  });
});
