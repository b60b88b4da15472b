/** The spool: what was appended is there after a kill, a torn line costs only itself, and nothing ever throws. */
import { spawn } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openSpool, type SpoolOptions } from "../../src/adapters/journal/spool.ts";
import type { Recorded } from "../../src/core/event.ts";
import type { Log, Spool, Spooled } from "../../src/engine/ports.ts";
import { answerDraft } from "../support/journal-contract.ts";

const MODULE = new URL("../../src/adapters/journal/spool.ts", import.meta.url).href;

let folder = "";
let path = "";
let said: string[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "belay-spool-"));
  path = join(folder, "spool.jsonl");
  said = [];
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Keeps what is said, as any log may. */
const log: Log = {
  info: (message) => said.push(`info ${message}`),
  warn: (message) => said.push(`warn ${message}`),
  error: (message) => said.push(`error ${message}`),
};

function spoolHere(options: SpoolOptions = {}): Spool {
  return openSpool(path, log, options);
}

function events(seq: number, detail = "x"): readonly Recorded[] {
  return [
    {
      seq,
      at: seq + 0.5,
      wall: seq,
      event: { kind: "refused", verb: "a", code: "b", by: { kind: "belay" }, detail },
    },
  ];
}

function decision(run: string, happened: readonly Recorded[], key?: string): Spooled {
  if (key === undefined) return { run, events: happened, intakes: [], answers: [] };
  return { run, events: happened, intakes: [key], answers: [answerDraft(`answer:${key}`, "done")] };
}

describe("the spool", () => {
  it("keeps which commands a decision answers, and how; lines without them answer none", () => {
    const answering = decision("r-1", events(1), "k1");
    spoolHere().append(answering);
    appendFileSync(path, `${JSON.stringify({ run: "r-1", events: events(2) })}\n`);
    expect(spoolHere().read()).toEqual([answering, decision("r-1", events(2))]);
    expect(said).toEqual([]);
  });

  it("gives back everything appended, oldest first, to the next process too", () => {
    const spool = spoolHere();
    expect(spool.read()).toEqual([]);
    spool.append(decision("r-1", events(1, 'a "line"\nbreak')));
    spool.append(decision("r-2", events(1)));
    spool.append(decision("r-1", events(2)));
    spool.append(decision("r-1", []));
    const all = [
      decision("r-1", events(1, 'a "line"\nbreak')),
      decision("r-2", events(1)),
      decision("r-1", events(2)),
    ];
    expect(spool.read()).toEqual(all);
    expect(spoolHere().read()).toEqual(all);
    expect(statSync(path).mode & 0o077).toBe(0);
    expect(said).toEqual([]);
  });

  it("clears one run and keeps the others, and goes on", () => {
    const spool = spoolHere();
    spool.clear("r-1");
    for (const run of ["r-1", "r-2", "r-1"]) spool.append(decision(run, events(1)));
    spool.clear("r-1");
    spool.clear("r-3");
    expect(spoolHere().read()).toEqual([decision("r-2", events(1))]);
    spool.append(decision("r-1", events(9)));
    expect(spool.read().map(({ run }) => run)).toEqual(["r-2", "r-1"]);
    spool.clear("r-2");
    spool.clear("r-1");
    expect(spool.read()).toEqual([]);
    expect(said).toEqual([]);
  });

  it("reads around a line torn at any byte, and the next append is whole", () => {
    spoolHere().append(decision("r-1", events(1)));
    const whole = readFileSync(path);
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(path, whole);
      appendFileSync(path, whole.subarray(0, length));
      const spool = spoolHere();
      // The last byte of a line is its end: without it the line is complete all the same.
      const survives = length === whole.length - 1;
      expect(spool.read().length).toBe(survives ? 2 : 1);
      spool.append(decision("r-2", events(2)));
      expect(spool.read().map(({ run }) => run)).toEqual(survives ? ["r-1", "r-1", "r-2"] : ["r-1", "r-2"]);
    }
    expect(said.every((line) => line.startsWith("warn lines of the spool cannot be read"))).toBe(true);
    expect(said.length).toBeGreaterThan(0);
  });

  it("leaves out lines of another shape", () => {
    writeFileSync(
      path,
      'null\n7\n{"run":1,"events":[]}\n{"run":"r-1"}\n{"run":"r-1","events":{}}\n{"run":"r-2","events":[]}\n\n',
    );
    expect(spoolHere().read()).toEqual([decision("r-2", [])]);
    expect(said).toEqual([
      "warn lines of the spool cannot be read and are left out; a crash while writing leaves one",
    ]);
  });

  it("grows to its limit and no further, and says so once until it is cleared", () => {
    const spool = spoolHere({ maxBytes: 2_000 });
    for (let seq = 1; seq <= 30; seq++) spool.append(decision("r-1", events(seq)));
    expect(statSync(path).size).toBeLessThanOrEqual(2_000);
    const kept = spool.read();
    expect(kept.length).toBeGreaterThan(10);
    expect(kept.map(({ events: [first] }) => first?.seq)).toEqual(
      Array.from({ length: kept.length }, (_, index) => index + 1),
    );
    expect(said.length).toBe(1);
    expect(said[0]).toContain("error the spool is full");
    spool.clear("r-1");
    spool.append(decision("r-1", events(99)));
    expect(spool.read().length).toBe(1);
    expect(said.length).toBe(1);
  });

  it("reports what it cannot write, read or clear, and never throws", () => {
    mkdirSync(path);
    const spool = spoolHere();
    spool.append(decision("r-1", events(1)));
    expect(spool.read()).toEqual([]);
    spool.clear("r-1");
    expect(said[0]).toContain("error the spool cannot be written");
    expect(said[1]).toContain("error the spool cannot be read");
    path = join(folder, "missing", "spool.jsonl");
    const nowhere = spoolHere();
    nowhere.append(decision("r-1", events(1)));
    expect(nowhere.read()).toEqual([]);
    expect(said.length).toBe(4);
    mkdirSync(join(folder, "missing"));
    nowhere.append(decision("r-1", events(1)));
    expect(nowhere.read().length).toBe(1);
  });

  it("survives events that are no JSON", () => {
    const circular: Recorded[] = [...events(1)];
    const [first] = circular;
    if (first !== undefined) Object.assign(first, { event: first });
    spoolHere().append(decision("r-1", circular));
    expect(said[0]).toContain("error the spool cannot be written");
    expect(existsSync(path)).toBe(false);
  });

  it("takes up its work again when the file is removed or cut under it", () => {
    const spool = spoolHere();
    spool.append(decision("r-1", events(1)));
    rmSync(path);
    spool.append(decision("r-1", events(2)));
    expect(spool.read().length).toBe(1);
    truncateSync(path, 0);
    spool.append(decision("r-1", events(3)));
    expect(spool.read()).toEqual([decision("r-1", events(3))]);
    chmodSync(path, 0o600);
  });

  it("has everything on the disk that was appended before a kill", async () => {
    const script = `
      const { openSpool } = await import(${JSON.stringify(MODULE)});
      const log = { info() {}, warn() {}, error(message) { throw new Error(message); } };
      const spool = openSpool(process.argv[1], log);
      for (let seq = Number(process.argv[2]); ; seq++) {
        const events = [{ seq, at: seq, wall: seq, event: { kind: "rollback_off" } }];
        spool.append({ run: "r-1", events, intakes: [], answers: [] });
        process.stdout.write(seq + "\\n");
      }`;
    let expected = 0;
    for (let round = 0; round < 5; round++) {
      const child = spawn(
        process.execPath,
        ["--input-type=module", "--eval", script, "--", path, String(expected + 1)],
        { stdio: ["ignore", "pipe", "inherit"] },
      );
      let acknowledged = 0;
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (acknowledged === 0) setTimeout(() => child.kill("SIGKILL"), round * 7);
        acknowledged = Number(line);
      });
      const signal = await new Promise((resolve) => child.once("close", (_code, by) => resolve(by)));
      expect(signal).toBe("SIGKILL");
      const found = spoolHere()
        .read()
        .map(({ events: [first] }) => first?.seq ?? 0);
      expect([acknowledged, acknowledged + 1]).toContain(found.at(-1));
      expect(found).toEqual(Array.from({ length: found.length }, (_, index) => index + 1));
      expected = found.length;
    }
    expect(expected).toBeGreaterThan(5);
  });
});
