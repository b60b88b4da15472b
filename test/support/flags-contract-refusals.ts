/** The part of the flags contract about what the flag system itself refuses: another environment, archived flags, approvals, a token without rights, values of another type. */
import { describe, expect, it } from "vitest";
import { OFF, ON } from "../../src/core/setting.ts";
import { OutsideFault } from "../../src/engine/ports.ts";
import {
  ALL,
  BATCHING,
  type Extra,
  type FlagsUnderTest,
  faultIn,
  type Ground,
  leaked,
  outcomes,
  PARALLEL,
  put,
} from "./flags-contract-under-test.ts";

export function refusalTests(ground: Ground): void {
  describe("refusals of the system", () => {
    unlessLacking(ground, "elsewhere", "a wrong environment", wrongEnvironment);
    unlessLacking(ground, "archive", "an archived flag", archived);
    unlessLacking(ground, "protect", "an environment that needs approvals", approvals);
    unlessLacking(ground, "revoke", "a token without rights", withoutRights);
    unlessLacking(ground, "mistyped", "a value of another type", mistyped);
  });
}

/** Registers the test of an extra, or one that names why there is none. */
function unlessLacking(ground: Ground, extra: Extra, what: string, register: (ground: Ground) => void): void {
  const why = ground.kind.lacks[extra];
  if (why === undefined) {
    register(ground);
    return;
  }
  it(`${what} cannot be tried, because ${why}`, () => {
    expect(ground.under()[extra]).toBeUndefined();
  });
}

function clean(ground: Ground, fault: OutsideFault): OutsideFault {
  expect(leaked(fault, ground.under().secrets ?? [])).toEqual([]);
  return fault;
}

/** The extra, which the first test of the suite has found to be there. */
function extraOf<K extends keyof FlagsUnderTest>(ground: Ground, name: K): NonNullable<FlagsUnderTest[K]> {
  const found = ground.under()[name];
  if (found === undefined || found === null) throw new Error(`${name} is lacking`);
  return found;
}

function wrongEnvironment(ground: Ground): void {
  it("a wrong environment: writes and rehearsals are refused for good, the read does not pretend, and nothing is made there", async () => {
    await ground.flags().write([put(BATCHING, ON)]);
    const lost = extraOf(ground, "elsewhere")();
    for (const version of [undefined, (await ground.flags().read(ALL))["parallel"]?.version]) {
      const fault = faultIn(await outcomes(lost, [put(PARALLEL, ON, version)]), PARALLEL);
      expect(clean(ground, fault).recoverable).toBe(false);
    }
    const read = await lost.read(ALL).then(
      (readings) => Object.keys(readings),
      (error: unknown) => (error instanceof OutsideFault ? clean(ground, error).recoverable : error),
    );
    expect([false, []]).toContainEqual(read);
    expect((await lost.rehearse(PARALLEL)).problems.length).toBeGreaterThan(0);
    expect(await ground.under().literal(PARALLEL.key)).toBe("false");
    expect(await ground.under().literal(BATCHING.key)).toBe("true");
  });
}

function archived(ground: Ground): void {
  it("an archived flag: is absent, refused for good both ways, a problem to a rehearsal, and leaves the others alone", async () => {
    const before = (await ground.flags().read(ALL))["parallel"];
    await extraOf(ground, "archive")(PARALLEL.key);
    expect(Object.keys(await ground.flags().read([PARALLEL, BATCHING]))).toEqual(["batching"]);
    const forward = (await outcomes(ground.flags(), [put(PARALLEL, ON, before?.version)]))["parallel"];
    // Over an old version it may be called a conflict: nothing was written either way.
    if (forward !== "conflict") expect(forward).toMatchObject({ recoverable: false });
    const results = await outcomes(ground.flags(), [put(PARALLEL, OFF), put(BATCHING, ON)]);
    const fault = clean(ground, faultIn(results, PARALLEL));
    expect(fault.recoverable).toBe(false);
    expect(fault.message).toContain(PARALLEL.key);
    expect(fault.message).toMatch(/archived/i);
    expect(results["batching"]).toBe("written");
    expect((await ground.flags().rehearse(PARALLEL)).problems.join(" ")).toContain(PARALLEL.key);
    expect((await ground.flags().rehearse(BATCHING)).problems).toEqual([]);
  });
}

function approvals(ground: Ground): void {
  it("an environment that needs approvals: refused for good, says what to approve, and works again without", async () => {
    await ground.flags().write([put(PARALLEL, ON)]);
    await extraOf(ground, "protect")();
    const { version } = (await ground.flags().read(ALL))["parallel"] ?? {};
    for (const over of [undefined, version]) {
      const fault = faultIn(await outcomes(ground.flags(), [put(PARALLEL, OFF, over)]), PARALLEL);
      expect(clean(ground, fault).recoverable).toBe(false);
      expect(fault.message).toMatch(/approv/i);
    }
    expect(await ground.under().literal(PARALLEL.key)).toBe("true");
    const { problems, warnings } = await ground.flags().rehearse(PARALLEL);
    expect([...problems, ...warnings].join(" ")).toMatch(/approv/i);
    await extraOf(ground, "allow")();
    expect(await ground.flags().write([put(PARALLEL, OFF)])).toEqual({ parallel: "written" });
  });
}

function withoutRights(ground: Ground): void {
  it("a token without rights: writes are refused for good in a sentence, a rehearsal finds it, and all works again with them", async () => {
    await ground.flags().write([put(PARALLEL, ON)]);
    await extraOf(ground, "revoke")();
    const fault = clean(ground, faultIn(await outcomes(ground.flags(), [put(PARALLEL, OFF)]), PARALLEL));
    expect(fault.recoverable).toBe(false);
    expect(fault.message).toMatch(/token|permission|allow|right/i);
    expect(await ground.under().literal(PARALLEL.key)).toBe("true");
    const { problems } = await ground.flags().rehearse(PARALLEL);
    expect(problems.join(" ")).toMatch(/token|permission|allow|right/i);
    for (const secret of ground.under().secrets ?? []) expect(problems.join(" ")).not.toContain(secret);
    await extraOf(ground, "allow")();
    expect(await ground.flags().write([put(PARALLEL, OFF)])).toEqual({ parallel: "written" });
  });
}

function mistyped(ground: Ground): void {
  it("a value of another type: refused for good, both ways, with the flag's name; a rehearsal finds it", async () => {
    const flag = extraOf(ground, "mistyped");
    const before = await ground.under().literal(flag.key);
    for (const setting of [ON, OFF]) {
      const results = await outcomes(ground.flags(), [put(flag, setting), put(BATCHING, ON)]);
      const fault = clean(ground, faultIn(results, flag));
      expect(fault.recoverable).toBe(false);
      expect(fault.message).toContain(flag.key);
      expect(results["batching"]).toBe("written");
    }
    expect(await ground.under().literal(flag.key)).toBe(before);
    expect((await ground.flags().rehearse(flag)).problems.join(" ")).toContain(flag.key);
  });
}
