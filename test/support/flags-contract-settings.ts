/** The part of the flags contract about settings and versions: absolute values, shares, what is refused, and writes over what somebody changed meanwhile. */
import { describe, expect, it } from "vitest";
import type { FlagDef } from "../../src/core/plan.ts";
import type { Reading } from "../../src/core/rollout/desired.ts";
import { OFF, ON, type Setting } from "../../src/core/setting.ts";
import { OutsideFault } from "../../src/engine/ports.ts";
import {
  ALL,
  BATCHING,
  faultIn,
  flagDef,
  type Ground,
  LIMIT,
  LIMIT_VALUES,
  outcomes,
  PARALLEL,
  put,
} from "./flags-contract-under-test.ts";

const GHOST: FlagDef = flagDef("ghost", "FEATURE_NOBODY_MADE");
const OTHER_VALUE = "777";
const WRITERS = 6;

export function settingTests(ground: Ground): void {
  describe("settings", () => {
    plainSettings(ground);
    if (ground.kind.can.percent) shares(ground);
    else refusedShares(ground);
    values(ground);
    absentFlags(ground);
  });
  describe("versions", () => versions(ground));
  describe("several at once", () => several(ground));
}

async function readingOf(ground: Ground, flag: FlagDef): Promise<Omit<Reading, "at"> | undefined> {
  return (await ground.flags().read([...ALL, GHOST]))[flag.name];
}

async function versionOf(ground: Ground, flag: FlagDef): Promise<string> {
  const reading = await readingOf(ground, flag);
  if (reading === undefined) throw new Error(`${flag.name} is absent`);
  return reading.version;
}

/** Sets, and checks what the adapter reads and what the system serves. */
async function sets(
  ground: Ground,
  flag: FlagDef,
  setting: Setting,
  shown: Setting,
  literal: string,
): Promise<void> {
  expect(await ground.flags().write([put(flag, setting)])).toEqual({ [flag.name]: "written" });
  expect(await readingOf(ground, flag)).toMatchObject({ setting: shown, effective: true });
  expect(await ground.under().literal(flag.key)).toBe(literal);
}

function plainSettings(ground: Ground): void {
  it("reads what is there", async () => {
    const readings = await ground.flags().read([...ALL, GHOST]);
    const there = ground.kind.can.creates ? ["batching", "parallel"] : ["batching", "limit", "parallel"];
    expect(Object.keys(readings).toSorted()).toEqual(there);
    for (const name of there) expect(readings[name]).toMatchObject({ setting: OFF });
  });

  it("sets on and off absolutely: twice the same is the same, never a toggle", async () => {
    for (const setting of [ON, ON, OFF, OFF, ON, OFF])
      await sets(ground, PARALLEL, setting, setting, setting.kind === "on" ? "true" : "false");
    expect(await ground.under().literal(BATCHING.key)).toBe("false");
  });

  it("does the same over the version that it read", async () => {
    for (const setting of [ON, ON, OFF, OFF]) {
      const write = put(PARALLEL, setting, await versionOf(ground, PARALLEL));
      expect(await ground.flags().write([write])).toEqual({ parallel: "written" });
      expect(await ground.under().literal(PARALLEL.key)).toBe(setting.kind === "on" ? "true" : "false");
    }
  });

  it("is read by another client as by the one that wrote", async () => {
    await ground.flags().write([put(PARALLEL, ON)]);
    const mine = await ground.flags().read([PARALLEL, BATCHING]);
    const theirs = await ground.under().open().read([PARALLEL, BATCHING]);
    expect(theirs["parallel"]).toMatchObject({
      setting: ON,
      version: mine["parallel"]?.version,
      effective: true,
    });
    expect(theirs["batching"]).toMatchObject({ setting: OFF, version: mine["batching"]?.version });
  });

  it("does nothing when it is asked to write nothing", async () => {
    expect(await ground.flags().write([])).toEqual({});
  });
}

function shares(ground: Ground): void {
  it("sets shares of the users, and takes 0 and 100 for off and on", async () => {
    for (const percent of [5, 50, 25])
      await sets(
        ground,
        PARALLEL,
        { kind: "percent", percent },
        { kind: "percent", percent },
        `${percent} %`,
      );
    for (const [percent, shown] of [
      [100, ON],
      [1, { kind: "percent", percent: 1 }],
      [0, OFF],
    ] as const) {
      await ground.flags().write([put(PARALLEL, { kind: "percent", percent })]);
      expect(await readingOf(ground, PARALLEL)).toMatchObject({ setting: shown });
    }
    await sets(ground, PARALLEL, ON, ON, "true");
  });

  it("sets a share with a fraction exactly or refuses it, and never rounds it", async () => {
    await ground.flags().write([put(PARALLEL, ON)]);
    const setting: Setting = { kind: "percent", percent: 12.5 };
    const results = await outcomes(ground.flags(), [put(PARALLEL, setting)]);
    if (results["parallel"] === "written") {
      expect(await readingOf(ground, PARALLEL)).toMatchObject({ setting });
      expect(await ground.under().literal(PARALLEL.key)).toBe("12.5 %");
    } else {
      expect(faultIn(results, PARALLEL)).toMatchObject({ recoverable: false });
      expect(await readingOf(ground, PARALLEL)).toMatchObject({ setting: ON });
    }
  });
}

function refusedShares(ground: Ground): void {
  it("cannot hold a share of the users: it is refused for good, says so, and changes nothing", async () => {
    const before = await readingOf(ground, PARALLEL);
    for (const version of [undefined, before?.version]) {
      const results = await outcomes(ground.flags(), [
        put(PARALLEL, { kind: "percent", percent: 5 }, version),
      ]);
      const fault = faultIn(results, PARALLEL);
      expect(fault.recoverable).toBe(false);
      expect(fault.message).toContain("percentage");
    }
    expect(await readingOf(ground, PARALLEL)).toEqual(before);
    expect(await ground.under().literal(PARALLEL.key)).toBe("false");
  });
}

function values(ground: Ground): void {
  const { can } = ground.kind;
  if (can.values === false) {
    it("cannot hold values: they are refused for good and change nothing", async () => {
      const results = await outcomes(ground.flags(), [put(LIMIT, { kind: "value", value: "1000" })]);
      expect(faultIn(results, LIMIT).recoverable).toBe(false);
      expect(await ground.under().literal(LIMIT.key)).toBe(can.creates ? undefined : "10");
    });
    return;
  }
  it("sets values: up, down, and the literals of on and off", async () => {
    const value: Setting = { kind: "value", value: "1000" };
    await sets(ground, LIMIT, value, value, "1000");
    await sets(ground, LIMIT, { kind: "value", value: "500000" }, ON, "500000");
    await sets(ground, LIMIT, value, value, "1000");
    await sets(ground, LIMIT, { kind: "value", value: "10" }, OFF, "10");
    await sets(ground, LIMIT, ON, ON, "500000");
    await sets(ground, LIMIT, OFF, OFF, "10");
  });

  if (can.values === "listed") {
    it("holds only the values that its system lists for a flag: another one is refused for good, with what there is", async () => {
      const before = await readingOf(ground, LIMIT);
      for (const version of [undefined, before?.version]) {
        const fault = faultIn(
          await outcomes(ground.flags(), [put(LIMIT, { kind: "value", value: OTHER_VALUE }, version)]),
          LIMIT,
        );
        expect(fault.recoverable).toBe(false);
        for (const word of [OTHER_VALUE, ...LIMIT_VALUES]) expect(fault.message).toContain(word);
      }
      expect(await readingOf(ground, LIMIT)).toEqual(before);
      expect(await ground.under().literal(LIMIT.key)).toBe("10");
    });
  } else {
    it("holds any value", async () => {
      const value: Setting = { kind: "value", value: OTHER_VALUE };
      await sets(ground, LIMIT, value, value, OTHER_VALUE);
    });
  }
}

function absentFlags(ground: Ground): void {
  if (ground.kind.can.creates) {
    it("creates a flag that is not there", async () => {
      await sets(ground, GHOST, ON, ON, "true");
    });
  } else {
    it("cannot create a flag: writing one that is not there is refused for good, names it, and makes none", async () => {
      const results = await outcomes(ground.flags(), [put(GHOST, ON), put(BATCHING, ON)]);
      const fault = faultIn(results, GHOST);
      expect(fault.recoverable).toBe(false);
      expect(fault.message).toContain(GHOST.key);
      expect(results["batching"]).toBe("written");
      expect(await ground.under().literal(GHOST.key)).toBeUndefined();
      expect(await readingOf(ground, GHOST)).toBeUndefined();
    });
  }

  it("writes nothing over a version of a flag that is not there", async () => {
    const results = await outcomes(ground.flags(), [put(GHOST, ON, "1.abc")]);
    if (results["ghost"] !== "conflict") expect(faultIn(results, GHOST).recoverable).toBe(false);
    expect(await readingOf(ground, GHOST)).toBeUndefined();
    expect(await ground.under().literal(GHOST.key)).toBeUndefined();
  });
}

function versions(ground: Ground): void {
  const parallel = () => readingOf(ground, PARALLEL);

  it("stay while nothing changes", async () => {
    await ground.flags().write([put(PARALLEL, ON)]);
    const before = await parallel();
    expect(await parallel()).toEqual(before);
    expect(before?.version).not.toBe("");
  });

  it("are never the same again, though the values are", async () => {
    const seen = [await versionOf(ground, PARALLEL)];
    for (const setting of [ON, OFF, ON, OFF]) {
      await ground.flags().write([put(PARALLEL, setting)]);
      seen.push(await versionOf(ground, PARALLEL));
    }
    expect(new Set(seen).size).toBe(seen.length);
  });

  it("let a write happen only over the one that was read", async () => {
    const old = await versionOf(ground, PARALLEL);
    expect(await ground.flags().write([put(PARALLEL, ON, old)])).toEqual({ parallel: "written" });
    expect(await ground.flags().write([put(PARALLEL, OFF, old)])).toEqual({ parallel: "conflict" });
    expect(await ground.under().literal(PARALLEL.key)).toBe("true");
    expect(await ground.flags().write([put(PARALLEL, OFF, await versionOf(ground, PARALLEL))])).toEqual({
      parallel: "written",
    });
    expect(await ground.under().literal(PARALLEL.key)).toBe("false");
  });

  it("let no write happen over what a person changed", async () => {
    const old = await versionOf(ground, PARALLEL);
    await ground.under().person(PARALLEL.key, "true");
    expect(await versionOf(ground, PARALLEL)).not.toBe(old);
    expect(await ground.flags().write([put(PARALLEL, OFF, old)])).toEqual({ parallel: "conflict" });
    expect(await ground.under().literal(PARALLEL.key)).toBe("true");
  });

  it("let no write happen over what a person changed and changed back", async () => {
    const old = await versionOf(ground, PARALLEL);
    await ground.under().person(PARALLEL.key, "true");
    await ground.under().person(PARALLEL.key, "false");
    expect(await parallel()).toMatchObject({ setting: OFF });
    expect(await ground.flags().write([put(PARALLEL, ON, old)])).toEqual({ parallel: "conflict" });
    expect(await ground.under().literal(PARALLEL.key)).toBe("false");
  });

  it("do not stop what goes back: it asks for none", async () => {
    await ground.flags().write([put(PARALLEL, ON)]);
    await ground.under().person(PARALLEL.key, "false");
    await ground.under().person(PARALLEL.key, "true");
    await sets(ground, PARALLEL, OFF, OFF, "false");
  });
}

function several(ground: Ground): void {
  const { can } = ground.kind;

  it("writes the flags without a conflict when another one has one", async () => {
    const old = await versionOf(ground, PARALLEL);
    await ground.flags().write([put(PARALLEL, ON)]);
    expect(await ground.flags().write([put(PARALLEL, OFF, old), put(BATCHING, ON)])).toEqual({
      parallel: "conflict",
      batching: "written",
    });
    expect(await ground.under().literal(PARALLEL.key)).toBe("true");
    expect(await ground.under().literal(BATCHING.key)).toBe("true");
  });

  it("takes many operations at once and does each of them", async () => {
    const other = ground.under().open();
    await Promise.all([
      ground.flags().write([put(PARALLEL, ON)]),
      other.write([put(BATCHING, ON)]),
      ground.flags().write([put(LIMIT, ON)]),
    ]);
    expect(await ground.flags().read(ALL)).toMatchObject({
      parallel: { setting: ON },
      batching: { setting: ON },
      limit: { setting: ON },
    });
    await Promise.all(ALL.map((flag, i) => (i % 2 === 0 ? other : ground.flags()).write([put(flag, OFF)])));
    for (const flag of ALL) expect(await ground.under().literal(flag.key)).toBe(flag.off);
  });

  async function race(): Promise<number> {
    const clients = [ground.flags(), ground.under().open()];
    const version = await versionOf(ground, PARALLEL);
    const results = await Promise.all(
      Array.from({ length: WRITERS }, (_, i) =>
        outcomes(clients[i % 2] ?? ground.flags(), [put(PARALLEL, ON, version)]),
      ),
    );
    expect(await ground.under().literal(PARALLEL.key)).toBe("true");
    for (const one of results) {
      const result = one["parallel"];
      // A server may refuse one of two changes that meet; it can be tried again then.
      if (result instanceof OutsideFault && !can.compareAndSet) expect(result.recoverable).toBe(true);
      else expect(["written", "conflict"]).toContain(result);
    }
    return results.filter((one) => one["parallel"] === "written").length;
  }

  if (can.compareAndSet) {
    it("lets one of several win who write over the same version", async () => {
      expect(await race()).toBe(1);
    });
  } else {
    it("cannot check and write in one step: of several who write over the same version, at least one wins", async () => {
      expect(await race()).toBeGreaterThan(0);
    });
  }

  const rounds = can.restarts ? 4 : can.together ? 60 : 10;
  /** Turns two flags on and off together, while another client looks; how often the two differed. */
  async function halves(): Promise<number> {
    let writing = true;
    const writer = (async () => {
      for (let i = 0; i < rounds; i++) {
        const setting = i % 2 === 0 ? ON : OFF;
        await ground.flags().write([put(PARALLEL, setting), put(BATCHING, setting)]);
      }
    })().finally(() => {
      writing = false;
    });
    const reader = ground.under().open();
    let differing = 0;
    const seen = new Set<string>();
    while (writing) {
      const { parallel, batching } = await reader.read(ALL);
      if (parallel?.setting.kind !== batching?.setting.kind) differing++;
      seen.add(parallel?.setting.kind ?? "absent");
    }
    await writer;
    // Several hosts may be seen while they differ: then as a value that says so.
    expect([...seen]).toEqual(expect.arrayContaining(["on", "off"]));
    return differing;
  }

  if (can.together) {
    it("shows all flags of one operation together, never half of them", async () => {
      expect(await halves()).toBe(0);
    });
  } else {
    it("cannot change several flags in one step: half of an operation may be seen, and all of it afterwards", async () => {
      await halves();
      for (const flag of [PARALLEL, BATCHING]) expect(await ground.under().literal(flag.key)).toBe("false");
    });
  }
}
