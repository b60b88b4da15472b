/** The part of the flags contract about what goes wrong between the adapter and its system: each fault is checked by what the system serves afterwards and by what the adapter says. */
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { OFF, ON } from "../../src/core/setting.ts";
import { until } from "./eventually.ts";
import type { Fault } from "./fault-proxy.ts";
import { Behind } from "./flags-contract-behind.ts";
import { ALL, BATCHING, faultIn, type Ground, LIMIT, PARALLEL, put } from "./flags-contract-under-test.ts";

/** One call's total deadline, and what a busy machine may add. */
const CALL_MS = 5_000;
const SLACK_MS = 1_500;
/** What is not held up is done by then; well before the deadline of what hangs. */
const PROMPT_MS = 2_500;
const LATE_MS = 400;
/** More than the sockets of any client. */
const MANY = 40;
const MOST_ROUNDS = 60;
const FOREVER = Number.POSITIVE_INFINITY;

export function faultTests(ground: Ground): void {
  const { proxy } = ground.kind.lacks;
  if (proxy !== undefined) {
    describe("network faults", () => {
      it(`has none to try, because ${proxy}`, () => {
        expect(ground.under().proxy).toBeUndefined();
      });
    });
    return;
  }
  const behind = new Behind(ground);
  describe("lost, late and repeated", () => unsure(behind));
  describe("refusals of the server", () => statuses(behind));
  describe("answers that make no sense", () => nonsense(behind));
  describe("no answer", () => silence(ground, behind));
  describe("never a toggle", () => absolute(behind));
}

function unsure(behind: Behind): void {
  it("a reply lost after success: the outcome is called unknown or known to be written, and the read shows that it is", async () => {
    await behind.write(put(PARALLEL, ON));
    const plan = behind.spoil({ kind: "reply_lost" }, PARALLEL, { times: 1 });
    const results = await behind.write(put(PARALLEL, OFF), put(BATCHING, ON));
    expect(plan.met).toHaveLength(1);
    if (results["parallel"] !== "written") expect(faultIn(results, PARALLEL).recoverable).toBe(true);
    expect(results["batching"]).toBe("written");
    await behind.is(PARALLEL, OFF);
    expect((await behind.write(put(PARALLEL, OFF)))["parallel"]).toBe("written");
    await behind.is(PARALLEL, OFF);
  });

  it("every reply of a forward write lost: it is not called written over nothing, and a second try ends on", async () => {
    const { version } = await behind.reading(PARALLEL);
    const plan = behind.spoil({ kind: "reply_lost" }, PARALLEL);
    const results = await behind.write(put(PARALLEL, ON, version));
    expect(plan.met.length).toBeGreaterThan(0);
    if (results["parallel"] === "written") await behind.is(PARALLEL, ON);
    else expect(faultIn(results, PARALLEL).recoverable).toBe(true);
    plan.end();
    const again = await behind.write(put(PARALLEL, ON, (await behind.reading(PARALLEL)).version));
    expect(again).toEqual({ parallel: "written" });
    await behind.is(PARALLEL, ON);
  });

  it("accepted but not propagated: the read-back shows the old value, whatever the write was told", async () => {
    const { version } = await behind.reading(PARALLEL);
    const plan = behind.spoil({ kind: "swallow" }, PARALLEL);
    await behind.write(put(PARALLEL, ON, version));
    expect(plan.met.length).toBeGreaterThan(0);
    await behind.is(PARALLEL, OFF);
    plan.end();
    expect(await behind.write(put(PARALLEL, ON))).toEqual({ parallel: "written" });
    const back = behind.spoil({ kind: "swallow" }, PARALLEL);
    await behind.write(put(PARALLEL, OFF));
    expect(back.met.length).toBeGreaterThan(0);
    await behind.is(PARALLEL, ON);
    back.end();
    expect(await behind.write(put(PARALLEL, OFF))).toEqual({ parallel: "written" });
    await behind.is(PARALLEL, OFF);
  });

  it("a late duplicate ON after an OFF: the read shows it, under a new version, and another OFF ends it", async () => {
    const plan = behind.spoil({ kind: "duplicate", afterMs: LATE_MS }, PARALLEL);
    expect(await behind.write(put(PARALLEL, ON))).toEqual({ parallel: "written" });
    plan.end();
    expect(await behind.write(put(PARALLEL, OFF))).toEqual({ parallel: "written" });
    const off = await behind.reading(PARALLEL);
    expect(off).toMatchObject({ setting: OFF });
    await plan.settled();
    expect(await behind.literal(PARALLEL)).toBe("true");
    const late = await behind.reading(PARALLEL);
    expect(late).toMatchObject({ setting: ON });
    expect(late.version).not.toBe(off.version);
    expect(await behind.write(put(BATCHING, ON), put(PARALLEL, OFF, off.version))).toMatchObject({
      parallel: "conflict",
      batching: "written",
    });
    expect(await behind.write(put(PARALLEL, OFF))).toEqual({ parallel: "written" });
    await behind.is(PARALLEL, OFF);
  });

  it("a connection reset before anything arrived: nothing was changed, and trying again may help", async () => {
    behind.spoil({ kind: "reset" }, PARALLEL);
    const results = await behind.write(put(PARALLEL, ON), put(BATCHING, ON));
    expect(faultIn(results, PARALLEL).recoverable).toBe(true);
    expect(results["batching"]).toBe("written");
    await behind.is(PARALLEL, OFF);
    await behind.is(BATCHING, ON);
  });

  it("nobody listens: reads and writes say so, and work again when somebody does", async () => {
    await behind.proxy.refuse(true);
    expect((await behind.readFault()).recoverable).toBe(true);
    const results = await behind.write(put(PARALLEL, ON), put(BATCHING, ON));
    for (const flag of [PARALLEL, BATCHING]) expect(faultIn(results, flag).recoverable).toBe(true);
    await behind.proxy.refuse(false);
    await behind.is(PARALLEL, OFF);
    expect(await behind.write(put(PARALLEL, ON))).toEqual({ parallel: "written" });
  });

  it("one call of five fails in one of six ways: asked again until it is read back, all end off", async () => {
    await behind.write(...ALL.map((flag) => put(flag, ON)));
    const faults: readonly Fault[] = [
      { kind: "reply_lost" },
      { kind: "reset" },
      { kind: "status", status: 500 },
      { kind: "status", status: 503 },
      { kind: "html" },
      { kind: "swallow" },
    ];
    const plans = faults.map((fault, i) =>
      behind.proxy.plan(fault, { share: 0.2 / faults.length, seed: 11 + i, times: FOREVER }),
    );
    let rounds = 0;
    for (let off = false; !off; rounds++) {
      expect(rounds).toBeLessThan(MOST_ROUNDS);
      await behind.write(...ALL.map((flag) => put(flag, OFF)));
      const readings = await Promise.all(ALL.map((flag) => behind.reading(flag))).catch(() => []);
      // Some more rounds, so that the faults come to pass: an OFF that holds already is written again.
      off = rounds > 10 && readings.length > 0 && readings.every(({ setting }) => setting.kind === "off");
    }
    expect(plans.flatMap(({ met }) => met).length).toBeGreaterThan(3);
    for (const plan of plans) plan.end();
    for (const flag of ALL) await behind.is(flag, OFF);
  });
}

function statuses(behind: Behind): void {
  for (const status of [401, 403]) {
    it(`${status} in mid-rollout: refused for good in a sentence, the other flag is written, and it works again`, async () => {
      await behind.write(put(PARALLEL, ON));
      const plan = behind.spoil({ kind: "status", status, echo: true }, PARALLEL);
      const results = await behind.write(put(PARALLEL, OFF), put(BATCHING, ON));
      const fault = faultIn(results, PARALLEL);
      expect(fault.recoverable).toBe(false);
      expect(fault.message).toMatch(/token|permission|allow|right/i);
      expect(results["batching"]).toBe("written");
      await behind.is(PARALLEL, ON);
      plan.end();
      expect(await behind.write(put(PARALLEL, OFF))).toEqual({ parallel: "written" });
      await behind.is(PARALLEL, OFF);
    });

    it(`${status} to a read: refused for good, never flags that are absent`, async () => {
      behind.proxy.plan({ kind: "status", status, echo: true }, { method: "read", times: FOREVER });
      const fault = await behind.readFault();
      expect(fault.recoverable).toBe(false);
      expect(fault.message).toMatch(/token|permission|allow|right/i);
    });
  }

  it("429 with Retry-After: says how long to wait; the other flag is written", async () => {
    const headers = { "Retry-After": "7" };
    const plan = behind.spoil({ kind: "status", status: 429, headers, echo: true }, PARALLEL);
    const results = await behind.write(put(PARALLEL, ON), put(BATCHING, ON));
    expect(faultIn(results, PARALLEL)).toMatchObject({ recoverable: true, retryAfterMs: 7_000 });
    expect(results["batching"]).toBe("written");
    await behind.is(PARALLEL, OFF);
    plan.end();
    behind.proxy.plan({ kind: "status", status: 429, headers }, { method: "read", times: FOREVER });
    expect(await behind.readFault()).toMatchObject({ recoverable: true, retryAfterMs: 7_000 });
  });

  for (const status of [500, 503]) {
    it(`${status}: may pass; one flag's fault leaves the others written`, async () => {
      behind.spoil({ kind: "status", status, echo: true }, PARALLEL);
      const results = await behind.write(put(BATCHING, ON), put(PARALLEL, ON), put(LIMIT, ON));
      expect(faultIn(results, PARALLEL).recoverable).toBe(true);
      expect(results).toMatchObject({ batching: "written", limit: "written" });
      await behind.is(PARALLEL, OFF);
      await behind.is(BATCHING, ON);
      await behind.is(LIMIT, ON);
      behind.proxy.plan({ kind: "status", status, echo: true }, { method: "read", times: FOREVER });
      expect((await behind.readFault()).recoverable).toBe(true);
    });
  }

  it("shows no token, whatever an error page repeats", async () => {
    for (const status of [400, 404, 405, 409, 418, 500]) {
      const write = behind.spoil({ kind: "status", status, echo: true }, PARALLEL);
      faultIn(await behind.write(put(PARALLEL, OFF)), PARALLEL);
      write.end();
      const read = behind.proxy.plan(
        { kind: "status", status, echo: true },
        { method: "read", times: FOREVER },
      );
      // A 404 may mean that a flag is absent; what is said then has no fault to look into.
      if (status !== 404) await behind.readFault();
      read.end();
    }
  });
}

function nonsense(behind: Behind): void {
  const faults: readonly Fault[] = [{ kind: "html" }, { kind: "truncate" }];
  for (const fault of faults) {
    const what = fault.kind === "html" ? "a page in place of JSON" : "half an answer";
    it(`${what} to a read: may pass, and is never taken for flags that are absent`, async () => {
      await behind.write(put(PARALLEL, ON));
      const plan = behind.proxy.plan(fault, { method: "read", times: FOREVER });
      expect((await behind.readFault()).recoverable).toBe(true);
      plan.end();
      await behind.is(PARALLEL, ON);
    });
  }

  it("half an answer to a write: the read shows the truth", async () => {
    await behind.write(put(PARALLEL, ON));
    behind.spoil({ kind: "truncate" }, PARALLEL, { times: 1 });
    const results = await behind.write(put(PARALLEL, OFF));
    if (results["parallel"] !== "written") expect(faultIn(results, PARALLEL).recoverable).toBe(true);
    await behind.is(PARALLEL, OFF);
  });

  it("a page in place of JSON to a write: the read shows that nothing was written", async () => {
    await behind.write(put(PARALLEL, ON));
    const plan = behind.spoil({ kind: "html" }, PARALLEL, { times: 1 });
    const results = await behind.write(put(PARALLEL, OFF));
    expect(plan.met).toHaveLength(1);
    if (results["parallel"] !== "written") expect(faultIn(results, PARALLEL).recoverable).toBe(true);
    await behind.is(PARALLEL, ON);
  });
}

function silence(ground: Ground, behind: Behind): void {
  const within = async <T>(ms: number, what: string, call: Promise<T>): Promise<T> => {
    const late = delay(ms, undefined, { ref: false }).then((): never => {
      throw new Error(`not within ${ms} ms: ${what}`);
    });
    return Promise.race([call, late]);
  };

  it("a write that hangs: the call ends within its deadline, and the other flags of the operation are not held up", async () => {
    await behind.write(put(BATCHING, ON), put(LIMIT, ON));
    const plan = behind.spoil({ kind: "hang" }, PARALLEL);
    const began = performance.now();
    const writing = behind.write(put(PARALLEL, OFF), put(BATCHING, OFF), put(LIMIT, OFF));
    for (const flag of [BATCHING, LIMIT]) {
      const isOff = async () => (await behind.literal(flag)) === flag.off;
      await until(`${flag.key} is off`, isOff, { withinMs: PROMPT_MS });
    }
    expect(performance.now() - began).toBeLessThan(PROMPT_MS);
    const results = await within(CALL_MS + SLACK_MS, "the write", writing);
    expect(plan.met.length).toBeGreaterThan(0);
    expect(faultIn(results, PARALLEL).recoverable).toBe(true);
    expect(results).toMatchObject({ batching: "written", limit: "written" });
  });

  it("an answer to a write that comes byte by byte: the call ends within its deadline, and what was done is read back", async () => {
    await behind.write(put(PARALLEL, ON));
    behind.spoil({ kind: "drip" }, PARALLEL);
    const writing = behind.write(put(PARALLEL, OFF), put(BATCHING, ON));
    const results = await within(CALL_MS + SLACK_MS, "the write", writing);
    if (results["parallel"] !== "written") expect(faultIn(results, PARALLEL).recoverable).toBe(true);
    expect(results["batching"]).toBe("written");
    await behind.is(PARALLEL, OFF);
  });

  for (const kind of ["hang", "drip"] as const) {
    it(`a read that meets a ${kind}: the call ends within its deadline, and trying again may help`, async () => {
      const plan = behind.proxy.plan({ kind }, { method: "read", times: FOREVER });
      const fault = await within(CALL_MS + SLACK_MS, "the read", behind.readFault());
      expect(fault.recoverable).toBe(true);
      plan.end();
      await behind.is(PARALLEL, OFF);
    });
  }

  it("a rehearsal that meets no answer: ends, and calls it a problem", async () => {
    behind.proxy.plan({ kind: "hang" }, { times: FOREVER });
    const rehearsing = ground.flags().rehearse(PARALLEL);
    const { problems } = await within(2 * CALL_MS + SLACK_MS, "the rehearsal", rehearsing);
    expect(problems.length).toBeGreaterThan(0);
    for (const secret of ground.under().secrets ?? []) expect(problems.join(" ")).not.toContain(secret);
  });

  it("forward writes that hang do not delay one that goes back, nor the reads", async () => {
    await behind.write(put(PARALLEL, ON));
    const { version } = await behind.reading(BATCHING);
    const plan = behind.spoil({ kind: "hang" }, BATCHING);
    const forward = Array.from({ length: MANY }, () => behind.write(put(BATCHING, ON, version)));
    await until("a forward write hangs", () => plan.met.length > 0);
    // Time for the others to hang too, so that any client they share has no socket left.
    await delay(LATE_MS);
    const began = performance.now();
    expect(await behind.write(put(PARALLEL, OFF))).toEqual({ parallel: "written" });
    await behind.is(PARALLEL, OFF);
    expect(performance.now() - began).toBeLessThan(PROMPT_MS);
    plan.end();
    expect(await behind.write(put(BATCHING, OFF))).toEqual({ batching: "written" });
    expect(performance.now() - began).toBeLessThan(PROMPT_MS);
    await behind.proxy.clear();
    await Promise.all(forward);
  });

  it("reads that hang do not delay a write that goes back", async () => {
    await behind.write(put(PARALLEL, ON));
    const plan = behind.proxy.plan({ kind: "hang" }, { method: "read", times: FOREVER });
    const reads = Array.from({ length: MANY }, () =>
      ground
        .flags()
        .read(ALL)
        .catch(() => undefined),
    );
    await until("a read hangs", () => plan.met.length > 0);
    await delay(LATE_MS);
    const began = performance.now();
    expect(await behind.write(put(PARALLEL, OFF))).toEqual({ parallel: "written" });
    expect(performance.now() - began).toBeLessThan(PROMPT_MS);
    expect(await behind.literal(PARALLEL)).toBe("false");
    await behind.proxy.clear();
    await Promise.all(reads);
  });
}

function absolute(behind: Behind): void {
  it("says in every write what is to be, so that each of them may arrive twice", async () => {
    const plan = behind.proxy.plan({ kind: "duplicate", afterMs: 0 }, { method: "write", times: FOREVER });
    for (const setting of [ON, ON, OFF, OFF, ON, OFF]) {
      await behind.write(put(PARALLEL, setting), put(LIMIT, setting));
      await plan.settled();
      await behind.is(PARALLEL, setting);
      await behind.is(LIMIT, setting);
    }
    expect(plan.met.length).toBeGreaterThan(5);
    for (const { method, path, body } of plan.met) expect(`${method} ${path} ${body}`).not.toMatch(/toggle/i);
  });
}
