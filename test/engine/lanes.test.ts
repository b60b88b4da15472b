/** A lane of flag writes: all at once, each flag retried at its own distance, none held up by another. */
import { describe, expect, it } from "vitest";
import type { Write } from "../../src/core/rollout/desired.ts";
import { OFF } from "../../src/core/setting.ts";
import { WriteLane } from "../../src/engine/lanes.ts";
import { OutsideFault, type WriteResult } from "../../src/engine/ports.ts";
import { ManualClock } from "../support/manual-clock.ts";

function write(flag: string, n = 1): Write {
  return { flag, setting: OFF, intent: `r-1.${n}.${flag}`, direction: "backward" };
}

type Answer = WriteResult | "hang" | "reject";

class Bench {
  readonly clock = new ManualClock(0);
  readonly sent: { readonly at: number; readonly intents: readonly string[] }[] = [];
  owed: readonly Write[] = [];
  readonly answers = new Map<string, Answer>();
  readonly readAt = new Map<string, number>();
  failed: readonly string[] = [];
  readonly lane: WriteLane;

  constructor(waitsForRead = false) {
    this.lane = new WriteLane({
      clock: this.clock,
      owed: () => this.owed,
      readAt: (flag) => this.readAt.get(flag),
      send: (writes) => this.#send(writes),
      onSent: (failed) => {
        this.failed = [...failed.keys()].map(({ flag }) => flag);
      },
      waitsForRead,
    });
    void this.lane.run();
  }

  async #send(writes: readonly Write[]): Promise<Readonly<Record<string, WriteResult>>> {
    this.sent.push({ at: this.clock.now().steady, intents: writes.map(({ intent }) => intent) });
    const answers = writes.map(({ flag }) => this.answers.get(flag) ?? "written");
    if (answers.includes("hang")) await new Promise(() => {});
    if (answers.includes("reject")) throw new OutsideFault("gone", { recoverable: true });
    return Object.fromEntries(
      writes.flatMap(({ flag }, index): [string, WriteResult][] => {
        const answer = answers[index];
        return answer === undefined || answer === "hang" || answer === "reject" ? [] : [[flag, answer]];
      }),
    );
  }

  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms);
  }
}

describe("a lane", () => {
  it("sends everything owed at once, in the given order", async () => {
    const bench = new Bench();
    bench.owed = [write("c"), write("b"), write("a")];
    bench.lane.ring();
    await bench.pass(1);
    expect(bench.sent[0]?.intents).toEqual(["r-1.1.c", "r-1.1.b", "r-1.1.a"]);
  });

  it("does not send what was taken again before a read that shows otherwise", async () => {
    const bench = new Bench();
    bench.owed = [write("a")];
    bench.lane.ring();
    await bench.pass(10_000);
    expect(bench.sent).toHaveLength(1);
    bench.readAt.set("a", bench.clock.now().steady);
    bench.lane.ring();
    await bench.pass(1_000);
    expect(bench.sent).toHaveLength(2);
  });

  it("retries a failing flag alone, from a quarter of a second to five, for ever", async () => {
    const bench = new Bench();
    bench.answers.set("b", new OutsideFault("503", { recoverable: true }));
    bench.owed = [write("b"), write("a")];
    bench.lane.ring();
    await bench.pass(120_000);
    const [, ...again] = bench.sent;
    expect(new Set(again.flatMap(({ intents }) => intents))).toEqual(new Set(["r-1.1.b"]));
    const gaps = bench.sent.slice(1).map(({ at }, index) => at - (bench.sent[index]?.at ?? 0));
    expect(gaps[0]).toBeLessThanOrEqual(260);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(5_010);
    expect(bench.sent.length).toBeGreaterThan(20);
    expect(bench.failed).toEqual(["b"]);
  });

  it("waits as long as one flag's system asks, thirty seconds at most, and holds up no other flag", async () => {
    const bench = new Bench();
    bench.answers.set("b", new OutsideFault("429", { recoverable: true, retryAfterMs: 600_000 }));
    bench.owed = [write("b")];
    bench.lane.ring();
    await bench.pass(1_000);
    bench.owed = [write("b"), write("a", 2)];
    bench.lane.ring();
    await bench.pass(10);
    expect(bench.sent.at(-1)?.intents).toEqual(["r-1.2.a"]);
    await bench.pass(31_000);
    expect(bench.sent.filter(({ intents }) => intents.includes("r-1.1.b"))).toHaveLength(2);
  });

  it("sends a new decision at once while an older write hangs, also for the same flag", async () => {
    const bench = new Bench();
    bench.answers.set("b", "hang");
    bench.owed = [write("b")];
    bench.lane.ring();
    await bench.pass(10);
    bench.answers.set("b", "written");
    bench.owed = [write("b", 2), write("a", 2)];
    bench.lane.ring();
    await bench.pass(10);
    expect(bench.sent.at(-1)?.intents).toEqual(["r-1.2.b", "r-1.2.a"]);
  });

  it("that goes forward waits for a read when the outcome is unknown", async () => {
    const bench = new Bench(true);
    bench.answers.set("a", "reject");
    bench.owed = [write("a")];
    bench.lane.ring();
    await bench.pass(20_000);
    expect(bench.sent).toHaveLength(1);
    bench.readAt.set("a", bench.clock.now().steady);
    bench.lane.ring();
    await bench.pass(1_000);
    expect(bench.sent).toHaveLength(2);
  });
});
