/** The part of the flags contract about what is known of a flag besides its value: who set it, under which intent, which flag it is, and whether it could go back. */
import { describe, expect, it } from "vitest";
import type { FlagDef } from "../../src/core/plan.ts";
import { OFF, ON } from "../../src/core/setting.ts";
import { until } from "./eventually.ts";
import {
  ALL,
  BATCHING,
  faultIn,
  flagDef,
  type Ground,
  LIMIT,
  outcomes,
  PARALLEL,
  put,
} from "./flags-contract-under-test.ts";

const GHOST: FlagDef = flagDef("ghost", "FEATURE_NOBODY_MADE");
const SEEN_WITHIN_MS = 10_000;

export function peopleTests(ground: Ground): void {
  describe("people", () => people(ground));
  describe("intents", () => intents(ground));
  describe("history", () => history(ground));
  describe("rehearsal and reach", () => rehearsals(ground));
  describe("identity", () => identity(ground));
  describe("propagation", () => propagation(ground));
}

function people(ground: Ground): void {
  const parallel = async () => (await ground.flags().read(ALL))["parallel"];

  it("notices a person's edit: another version, and no longer our intent", async () => {
    await ground.flags().write([put(PARALLEL, ON)]);
    const ours = await parallel();
    await ground.under().person(PARALLEL.key, "false");
    const theirs = await parallel();
    expect(theirs).toMatchObject({ setting: OFF });
    expect(theirs?.version).not.toBe(ours?.version);
    expect(theirs?.intent).toBeUndefined();
  });

  it("does not lose a person's edit of one flag when it writes another", async () => {
    await ground.under().person(PARALLEL.key, "true");
    await ground.flags().write([put(BATCHING, ON)]);
    await ground.under().person(PARALLEL.key, "false");
    await ground.flags().write([put(LIMIT, ON)]);
    expect(await ground.flags().read(ALL)).toMatchObject({
      parallel: { setting: OFF },
      batching: { setting: ON },
      limit: { setting: ON },
    });
  });

  it("shows a value that is neither on nor off as what it is", async () => {
    await ground.flags().write([put(LIMIT, ON)]);
    await ground.under().person(LIMIT.key, "1000");
    const reading = (await ground.flags().read([LIMIT]))["limit"];
    expect(reading).toMatchObject({ setting: { kind: "value", value: "1000" } });
  });

  if (ground.kind.can.percent) {
    it("shows a share that a person set", async () => {
      await ground.under().person(PARALLEL.key, "25 %");
      expect(await parallel()).toMatchObject({ setting: { kind: "percent", percent: 25 } });
    });
  }

  if (ground.kind.can.history) {
    it("says of each value who wrote it: a person by name, or Belay itself", async () => {
      await ground.flags().write([put(PARALLEL, ON)]);
      expect((await parallel())?.by).toMatchObject({ own: true });
      await ground.under().person(PARALLEL.key, "false");
      const by = (await parallel())?.by;
      expect(by).toMatchObject({ own: false, name: expect.stringMatching(/\S/) });
    });
  } else {
    it("cannot say who wrote a value, and names nobody", async () => {
      await ground.flags().write([put(PARALLEL, ON)]);
      expect((await parallel())?.by).toBeUndefined();
      await ground.under().person(PARALLEL.key, "false");
      expect((await parallel())?.by).toBeUndefined();
    });
  }
}

function intents(ground: Ground): void {
  const first = put(PARALLEL, ON);
  const second = put(PARALLEL, OFF);
  const other = put(BATCHING, ON);

  if (ground.kind.can.keepsIntent) {
    it("says which intent wrote the value last, to a later Belay too", async () => {
      await ground.flags().write([first, other]);
      expect((await ground.flags().read(ALL))["parallel"]?.intent).toBe(first.intent);
      await ground.flags().write([second]);
      for (const client of [ground.flags(), ground.under().open()]) {
        const readings = await client.read(ALL);
        expect(readings["parallel"]?.intent).toBe(second.intent);
        expect(readings["batching"]?.intent).toBe(other.intent);
      }
    });

    it("forgets the intent that a person wrote over, though an older one wrote the same value", async () => {
      await ground.flags().write([first]);
      await ground.flags().write([second]);
      await ground.under().person(PARALLEL.key, "true");
      expect((await ground.under().open().read(ALL))["parallel"]?.intent).toBeUndefined();
    });
  } else {
    it("cannot keep the intent of a write over restarts: another client is told of none", async () => {
      await ground.flags().write([first, other]);
      const readings = await ground.under().open().read(ALL);
      expect([readings["parallel"]?.intent, readings["batching"]?.intent]).toEqual([undefined, undefined]);
    });
  }
}

function history(ground: Ground): void {
  if (!ground.kind.can.history) {
    it("cannot be told: there is none", async () => {
      const since = Date.now() - 60_000;
      await ground.flags().write([put(PARALLEL, ON)]);
      await ground.under().person(PARALLEL.key, "false");
      expect(await ground.flags().history(ALL, since)).toEqual([]);
    });
    return;
  }
  it("tells each change since a time, oldest first, with who did it and when", async () => {
    const since = Date.now();
    await ground.flags().write([put(PARALLEL, ON)]);
    await ground.under().person(PARALLEL.key, "false");
    await ground.flags().write([put(BATCHING, ON)]);
    const changes = await ground.flags().history([PARALLEL], since);
    expect(changes.length).toBeGreaterThan(1);
    expect(new Set(changes.map(({ flag }) => flag))).toEqual(new Set(["parallel"]));
    expect(changes.map(({ wall }) => wall)).toEqual(
      changes.map(({ wall }) => wall).toSorted((a, b) => a - b),
    );
    for (const change of changes) {
      expect(change.wall).toBeGreaterThanOrEqual(since - 1_000);
      expect(change.wall).toBeLessThanOrEqual(Date.now() + 1_000);
      expect(change.what).toMatch(/\S/);
    }
    expect(changes[0]).toMatchObject({ own: true });
    expect(changes.at(-1)).toMatchObject({ own: false, by: expect.stringMatching(/\S/) });
    expect(new Set((await ground.flags().history(ALL, since)).map(({ flag }) => flag))).toEqual(
      new Set(["parallel", "batching"]),
    );
  });

  it("tells nothing from before that time", async () => {
    await ground.flags().write([put(PARALLEL, ON)]);
    expect(await ground.flags().history(ALL, Date.now() + 60_000)).toEqual([]);
  });
}

function rehearsals(ground: Ground): void {
  const { kind } = ground;
  for (const state of ["false", "true"] as const) {
    const then = kind.can.restarts ? "reads only, because a write restarts the service" : "changes nothing";
    it(`rehearses the way back of a flag that is ${state}: ${then}`, async () => {
      await ground.flags().write([put(PARALLEL, state === "true" ? ON : OFF), put(BATCHING, ON)]);
      const before = await ground.flags().read(ALL);
      const since = Date.now() + 1;
      const rehearsal = await ground.flags().rehearse(PARALLEL);
      expect(rehearsal.problems).toEqual([]);
      expect(rehearsal.readMs).toBeGreaterThan(0);
      if (kind.can.restarts) expect(rehearsal.writeMs).toBeUndefined();
      else expect(rehearsal.writeMs ?? 0).toBeGreaterThanOrEqual(0);
      expect(await ground.flags().read(ALL)).toEqual(before);
      expect(await ground.under().open().read(ALL)).toMatchObject(before);
      expect(await ground.under().literal(PARALLEL.key)).toBe(state);
      expect(await ground.flags().history([PARALLEL], since)).toEqual([]);
    });
  }

  it("rehearses what a person changed, and leaves it theirs", async () => {
    await ground.flags().write([put(PARALLEL, ON)]);
    await ground.under().person(PARALLEL.key, "false");
    const before = await ground.flags().read(ALL);
    expect((await ground.flags().rehearse(PARALLEL)).problems).toEqual([]);
    expect(await ground.flags().read(ALL)).toEqual(before);
  });

  it("finds a flag that is not there a problem, and names it", async () => {
    const { problems, writeMs } = await ground.flags().rehearse(GHOST);
    expect(problems.join(" ")).toContain(GHOST.key);
    expect(writeMs).toBeUndefined();
    expect(await ground.under().literal(GHOST.key)).toBeUndefined();
  });

  it("says in sentences what the token may do besides, without the token", async () => {
    const sentences = await ground.flags().reach();
    for (const sentence of sentences) {
      expect(sentence).toMatch(/^\S.*\S$/);
      for (const secret of ground.under().secrets ?? []) expect(sentence).not.toContain(secret);
    }
  });
}

function identity(ground: Ground): void {
  const { recreate } = ground.kind.lacks;
  if (recreate !== undefined) {
    it(`cannot tell a flag from another one of the same key, because ${recreate}`, async () => {
      expect(ground.under().recreate).toBeUndefined();
      expect((await ground.flags().read([PARALLEL]))["parallel"]?.id).toBeUndefined();
    });
    return;
  }
  it("tells a flag from another one of the same key, and writes nothing over the version of the first", async () => {
    await ground.flags().write([put(PARALLEL, ON)]);
    const before = (await ground.flags().read([PARALLEL]))["parallel"];
    await ground.flags().write([put(PARALLEL, OFF)]);
    expect((await ground.flags().read([PARALLEL]))["parallel"]?.id).toBe(before?.id);
    await ground.under().recreate?.(PARALLEL.key);
    const after = (await ground.flags().read([PARALLEL]))["parallel"];
    expect(before?.id).toMatch(/\S/);
    expect(after?.id).toMatch(/\S/);
    expect(after?.id).not.toBe(before?.id);
    expect(await ground.flags().write([put(PARALLEL, ON, before?.version)])).toEqual({
      parallel: "conflict",
    });
    expect(await ground.under().literal(PARALLEL.key)).toBe("false");
  });
}

function propagation(ground: Ground): void {
  const { seen } = ground.kind.lacks;
  if (seen !== undefined) {
    it(`cannot be seen by an SDK, because ${seen}`, () => {
      expect(ground.under().seen).toBeUndefined();
    });
    return;
  }
  it("reaches the SDKs of the system: on, off, and values", async () => {
    const sees = (flag: FlagDef, literal: string) =>
      until(
        `an SDK sees ${flag.key} as ${literal}`,
        async () => (await ground.under().seen?.(flag.key)) === literal,
        { withinMs: SEEN_WITHIN_MS, instead: async () => String(await ground.under().seen?.(flag.key)) },
      );
    await ground.flags().write([put(PARALLEL, ON)]);
    await sees(PARALLEL, "true");
    await ground.flags().write([put(PARALLEL, OFF)]);
    await sees(PARALLEL, "false");
    const results = await outcomes(ground.flags(), [put(LIMIT, { kind: "value", value: "1000" })]);
    if (ground.kind.can.values === false) expect(faultIn(results, LIMIT).recoverable).toBe(false);
    else await sees(LIMIT, "1000");
  });
}
