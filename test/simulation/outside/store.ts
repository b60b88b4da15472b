/** A flag store that is away at times, loses replies, applies writes late or twice, and is edited by a person at the worst moment. */
import type { FlagDef } from "../../../src/core/plan.ts";
import type { Reading } from "../../../src/core/rollout/desired.ts";
import { OFF, sameSetting } from "../../../src/core/setting.ts";
import {
  type Flags as FlagsPort,
  type FlagWrite,
  OutsideFault,
  type WriteResult,
} from "../../../src/engine/ports.ts";
import { plainFlags } from "../../support/plain-flags.ts";
import type { Caller } from "../calls.ts";
import { isWithin, type Scenario } from "../scenario.ts";
import type { Random, Timeline } from "../timeline.ts";
import type { Flags } from "./flags.ts";

type Readings = Readonly<Record<string, Omit<Reading, "at">>>;
type Results = Readonly<Record<string, WriteResult>>;

/** How a write goes wrong. The order is part of every seed's story. */
const WRITE_FAULTS = [
  "refused",
  "lost_reply",
  "hang_applied",
  "hang",
  "late",
  "accepted_lost",
  "duplicate",
] as const;

/** The store gives up on a call that it does not answer after this. */
const NO_ANSWER_MS = 5_000;

export class Store {
  readonly #scenario: Scenario;
  readonly #flags: Flags;
  readonly #timeline: Timeline;
  readonly #random: Random;

  constructor(scenario: Scenario, flags: Flags, timeline: Timeline, random: Random) {
    this.#scenario = scenario;
    this.#flags = flags;
    this.#timeline = timeline;
    this.#random = random;
  }

  isUp(): boolean {
    return !isWithin(this.#scenario.storeOutages, this.#timeline.now());
  }

  /** The store as one process reaches it. */
  port(caller: Caller): FlagsPort {
    return plainFlags({
      read: (defs) => this.#read(caller, defs),
      write: (writes) => this.#write(caller, writes),
    });
  }

  #read(caller: Caller, defs: readonly FlagDef[]): Promise<Readings> {
    const random = this.#random;
    if (!this.isUp()) return caller.failsLater(random.between(1, 5_000), unreachable());
    if (this.#happens(this.#scenario.storeFaults / 2))
      return caller.failsLater(random.chance(0.5) ? NO_ANSWER_MS : 20, noAnswer());
    return caller.later(random.between(1, 25), () => this.#readNow(defs));
  }

  #write(caller: Caller, writes: readonly FlagWrite[]): Promise<Results> {
    const random = this.#random;
    if (!this.isUp()) return caller.failsLater(random.between(1, 5_000), unreachable());
    if (this.#happens(this.#scenario.storeFaults)) return this.#writeWrongly(caller, writes);
    return caller
      .later(random.between(1, 30), () => this.#writeNow(writes))
      .then((results) => caller.later(this.#flags.restartLeftMs(), () => results));
  }

  /** Draws a chance that is there only until the calm at the end. */
  #happens(chance: number): boolean {
    return this.#timeline.now() < this.#scenario.calmAt && this.#random.chance(chance);
  }

  #readNow(defs: readonly FlagDef[]): Readings {
    const effective = !this.#flags.isRestarting();
    return Object.fromEntries(
      defs.flatMap((def) => {
        const held = this.#flags.held(def.name);
        if (held === undefined) return [];
        const { setting, rev, intent } = held;
        const version = String(rev);
        return [[def.name, { setting, version, effective, ...(intent === undefined ? {} : { intent }) }]];
      }),
    );
  }

  #writeNow(writes: readonly FlagWrite[]): Results {
    const [first] = writes;
    if (first !== undefined && isForward(first) && this.#happens(this.#scenario.races))
      this.#flags.edit(first.flag.name, false);
    return Object.fromEntries(writes.map((write) => [write.flag.name, this.#writeOne(write)]));
  }

  #writeOne(write: FlagWrite): WriteResult {
    const { flag, setting, intent, ifVersion } = write;
    const held = this.#flags.held(flag.name);
    if (held === undefined || (ifVersion !== undefined && ifVersion !== String(held.rev))) return "conflict";
    // The same value again does not restart a service that is restarting for it.
    const isUnderWay = this.#flags.isRestarting() && sameSetting(held.setting, setting);
    if (!isUnderWay) this.#flags.change(flag.name, setting, intent, "belay");
    if (isForward(write) && this.#happens(this.#scenario.echoes))
      this.#timeline.after(this.#random.between(300, 9_000), () => this.#repeat(write));
    return "written";
  }

  /** A late duplicate of a write reaches the store; it knows nothing of preconditions. */
  #repeat({ flag, setting, intent }: FlagWrite): void {
    this.#flags.change(flag.name, setting, intent, "duplicate");
  }

  #writeWrongly(caller: Caller, writes: readonly FlagWrite[]): Promise<Results> {
    const random = this.#random;
    const hasPrecondition = writes.some((one) => one.ifVersion !== undefined);
    const fault = random.pick([...(hasPrecondition ? (["forbidden"] as const) : []), ...WRITE_FAULTS]);
    switch (fault) {
      case "forbidden":
        return caller.failsLater(
          random.between(1, 30),
          new OutsideFault("flag store: 403 approval required", { recoverable: false }),
        );
      case "refused":
        return caller.failsLater(random.between(1, 30), unreachable());
      case "lost_reply":
        return caller.later(random.between(1, 30), () => {
          this.#writeNow(writes);
          throw noAnswer();
        });
      case "hang":
        return caller.failsLater(NO_ANSWER_MS, noAnswer());
      case "hang_applied":
        this.#timeline.after(random.between(1, 3_000), () => this.#writeNow(writes));
        return caller.failsLater(NO_ANSWER_MS, noAnswer());
      case "accepted_lost":
        return caller.later(random.between(1, 30), () => allWritten(writes));
      case "late":
        this.#timeline.after(random.between(500, 4_000), () => this.#writeNow(writes));
        return caller.later(random.between(1, 30), () => allWritten(writes));
      case "duplicate": {
        const delayMs = random.between(500, 9_000);
        return caller.later(random.between(1, 30), () => this.#writeTwice(writes, delayMs));
      }
    }
  }

  /** Writes now, and what was written once more after `delayMs`. */
  #writeTwice(writes: readonly FlagWrite[], delayMs: number): Results {
    const results = this.#writeNow(writes);
    this.#timeline.after(delayMs, () => {
      for (const write of writes) if (results[write.flag.name] === "written") this.#repeat(write);
    });
    return results;
  }
}

function isForward(write: FlagWrite): boolean {
  return !sameSetting(write.setting, OFF);
}

/** What a store answers that has taken the writes, whatever becomes of them. */
function allWritten(writes: readonly FlagWrite[]): Results {
  return Object.fromEntries(writes.map((one) => [one.flag.name, "written" as const]));
}

function unreachable(): OutsideFault {
  return new OutsideFault("flag store: connection refused", { recoverable: true });
}

function noAnswer(): OutsideFault {
  return new OutsideFault(`flag store: no answer in ${NO_ANSWER_MS} ms`, { recoverable: true });
}
