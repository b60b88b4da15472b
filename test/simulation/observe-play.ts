/** People who flip themselves: what they do when Belay asks them to, or says what it would have taken back; drawn from the seed. */
import type { Mode } from "../../src/core/event.ts";
import { createRandom, type Random } from "./timeline.ts";

export type Answer = "do_it" | "by_hand" | "false_alarm" | "none";

/** What a person types, and when. */
export interface Said {
  readonly at: number;
  readonly text: string;
  readonly user: string;
  readonly twice: boolean;
}

export interface ObservePlay {
  readonly mode: Mode;
  /** Chance that somebody sets what was asked for. */
  readonly obeys: number;
  /** One of these follows a WOULD. */
  readonly answers: readonly Answer[];
  /** What people say about who flips. */
  readonly says: readonly Said[];
}

/** With this one, the seeds of old failures play as they did before there was observing. */
const OBSERVE_SEED = 0x2c91f7bf;

const WORDS = [
  "belay observe on",
  "belay observe on",
  'belay observe off because "trusted"',
  'belay observe off because "trusted"',
  "rollout release",
  'rollout resume because "false alarm"',
] as const;

/** The play of a seed; undefined in three quarters of them. */
export function observeFrom(seed: number, calmAt: number): ObservePlay | undefined {
  const random = createRandom(seed ^ OBSERVE_SEED);
  if (random.chance(0.75)) return undefined;
  return {
    mode: random.chance(0.7) ? "observe" : "act",
    obeys: random.pick([0.5, 0.95, 1]),
    answers: random.pick([["do_it"], ["by_hand"], ["do_it", "by_hand", "false_alarm", "none"]] as const),
    says: Array.from({ length: random.chance(0.5) ? 0 : random.int(1, 4) }, () => said(random, calmAt)),
  };
}

function said(random: Random, calmAt: number): Said {
  const text = random.pick(WORDS);
  const user = random.pick(["ana", "ben", "kim"]);
  return { at: random.int(5_000, calmAt), text, user, twice: random.chance(0.2) };
}
