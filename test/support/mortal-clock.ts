/** Virtual time for something that can be killed and started again: what an earlier life had asked to be called for never comes back to it. */
import type { Clock } from "../../src/engine/ports.ts";
import type { Random, Timeline } from "../simulation/timeline.ts";

export interface Lives {
  /** The clock of the life that is going on now. */
  clock(): Clock;
  /** Ends it; the next one begins. */
  end(): void;
  /** How many lives have ended. */
  count(): number;
}

/** `wall`: Unix ms at which the timeline's 0 is. */
export function createLives(timeline: Timeline, random: Random, wall: number): Lives {
  let life = 0;
  const clockOf = (mine: number): Clock => ({
    now: () => ({ steady: timeline.now(), wall: wall + timeline.now() }),
    after(ms, act) {
      let isOn = true;
      timeline.after(ms, () => {
        if (isOn && mine === life) act();
      });
      return () => {
        isOn = false;
      };
    },
    random: random.next,
  });
  return {
    clock: () => clockOf(life),
    end() {
      life += 1;
    },
    count: () => life,
  };
}
