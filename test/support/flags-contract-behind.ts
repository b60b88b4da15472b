/** A flag system under test with its proxy in front: what the faults of the contract suite do to it, and what they look at afterwards. */
import { expect } from "vitest";
import type { FlagDef } from "../../src/core/plan.ts";
import type { Reading } from "../../src/core/rollout/desired.ts";
import type { OFF, ON } from "../../src/core/setting.ts";
import { type FlagWrite, OutsideFault, type WriteResult } from "../../src/engine/ports.ts";
import type { Fault, FaultProxy, Which } from "./fault-proxy.ts";
import { faultOf } from "./faults.ts";
import { ALL, type Ground, leaked, outcomes } from "./flags-contract-under-test.ts";

const FOREVER = Number.POSITIVE_INFINITY;

type Results = Readonly<Record<string, WriteResult>>;

/** Every fault it meets is looked through for secrets. */
export class Behind {
  readonly #ground: Ground;

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  get proxy(): FaultProxy {
    const { proxy } = this.#ground.under();
    if (proxy === undefined) throw new Error("there is no proxy");
    return proxy;
  }

  /** Spoils the writes to one flag. */
  spoil(fault: Fault, flag: FlagDef, which: Which = {}) {
    return this.proxy.plan(fault, { method: "write", path: flag.key, times: FOREVER, ...which });
  }

  /** Writes; no fault of it may show a secret. */
  async write(...writes: readonly FlagWrite[]): Promise<Results> {
    const results = await outcomes(this.#ground.flags(), writes);
    for (const result of Object.values(results)) if (result instanceof OutsideFault) this.clean(result);
    return results;
  }

  async reading(flag: FlagDef): Promise<Omit<Reading, "at">> {
    const reading = (await this.#ground.flags().read(ALL))[flag.name];
    if (reading === undefined) throw new Error(`${flag.name} is absent`);
    return reading;
  }

  readFault(): Promise<OutsideFault> {
    return faultOf(this.#ground.flags().read(ALL)).then((fault) => this.clean(fault));
  }

  clean(fault: OutsideFault): OutsideFault {
    const secrets = this.#ground.under().secrets ?? [];
    expect(secrets.length).toBeGreaterThan(0);
    expect(leaked(fault, secrets)).toEqual([]);
    expect(fault.message).toMatch(/\S/);
    return fault;
  }

  literal(flag: FlagDef): Promise<string | undefined> {
    return this.#ground.under().literal(flag.key);
  }

  /** What the system serves and what the adapter reads agree, and are this. */
  async is(flag: FlagDef, setting: typeof ON | typeof OFF): Promise<void> {
    expect(await this.literal(flag)).toBe(setting.kind === "on" ? flag.on : flag.off);
    expect(await this.reading(flag)).toMatchObject({ setting });
  }
}
