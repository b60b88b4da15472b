/** The people around a rollout: they type commands, some twice and some in haste, change flags behind Belay's back, and wait for answers. */
import type { Flip, Recorded } from "../../src/core/event.ts";
import { pendingAsked, type State } from "../../src/core/rollout/state.ts";
import type { Accepted } from "../../src/engine/engine.ts";
import type { Process, World } from "./process.ts";
import type { Deed } from "./scenario.ts";

/** A person who finds Belay away tries again after this, at most so many times. */
const TRY_AGAIN_MS = 15_000;
const MOST_TRIES_AGAIN = 3;

export class People {
  readonly #world: World;
  readonly #process: () => Process | undefined;
  /** Commands that were accepted, by key: whether their answer came. */
  readonly #answered = new Map<string, boolean>();

  /** `process` gives the one that is alive now, if any. */
  constructor(world: World, process: () => Process | undefined) {
    this.#world = world;
    this.#process = process;
  }

  /** Puts every deed of the scenario on the timeline. */
  plan(): void {
    const { scenario, timeline } = this.#world;
    for (const [index, deed] of scenario.deeds.entries())
      timeline.after(deed.at, () => this.#do(deed, `k${index}`));
  }

  /** A stage has just begun in `events`: somebody may type a rollback within moments. What people are asked for, some of them do. */
  onEvents(state: State, events: readonly Recorded[]): void {
    this.#onAsked(state, events);
    const { scenario, timeline, random } = this.#world;
    const isBegin = events.some(({ event }) => event.kind === "stage_started" && event.substage === 0);
    if (!isBegin || timeline.now() >= scenario.calmAt || !random.chance(scenario.hasty)) return;
    const key = `hasty${state.revision}`;
    timeline.after(random.between(2, 400), () => this.#send(key, "rollout rollback", "ben"));
  }

  #onAsked(state: State, events: readonly Recorded[]): void {
    const { outside, random, scenario, timeline, trace } = this.#world;
    const { observe } = scenario;
    if (observe === undefined) return;
    const set = ({ flag, to }: Flip): void => {
      trace.note(`PERSON sets ${flag} as asked`);
      outside.flags.set(flag, to);
    };
    for (const { event } of events) {
      const isAsk = event.kind === "stage_started" || (event.kind === "mode_set" && event.mode === "observe");
      if (isAsk && state.mode === "observe")
        for (const { flip } of pendingAsked(state))
          if (random.chance(observe.obeys)) timeline.after(random.between(500, 25_000), () => set(flip));
      if (event.kind !== "would_roll_back") continue;
      const answer = random.pick(observe.answers);
      timeline.after(random.between(1_000, 40_000), () => {
        if (answer === "by_hand") for (const flip of event.flips) set(flip);
        if (answer === "do_it") this.#send(`do${state.revision}`, "rollout rollback", "ben");
        if (answer === "false_alarm")
          this.#send(`no${state.revision}`, 'rollout resume because "false alarm"', "ben");
      });
    }
  }

  /**
   * Every command that counts as accepted, and whether it was answered. A crash may have cut the answer off from the one who waited for it; the
   * journal is what counts then.
   */
  answered(): ReadonlyMap<string, boolean> {
    const { intakes } = this.#world.disk;
    return new Map(
      [...this.#answered].map(([key, isDone]) => [key, isDone || intakes.get(key)?.answered === true]),
    );
  }

  #do({ act }: Deed, key: string): void {
    const { outside, trace } = this.#world;
    if (act.kind === "edit") {
      trace.note(`PERSON sets ${act.flag} ${act.on ? "ON" : "OFF"}`);
      outside.flags.edit(act.flag, act.on);
      return;
    }
    for (let copy = 0; copy < (act.twice ? 2 : 1); copy++) this.#send(key, act.text, act.user);
  }

  #send(key: string, text: string, user: string, triesBefore = 0): void {
    const { timeline, trace } = this.#world;
    const process = this.#process();
    if (process === undefined) {
      if (triesBefore < MOST_TRIES_AGAIN)
        timeline.after(TRY_AGAIN_MS, () => this.#send(key, text, user, triesBefore + 1));
      return;
    }
    trace.note(`${user}: ${text} (${key})`);
    process
      .submit({
        key,
        text,
        actor: { kind: "person", id: user, name: user, via: "slack" },
        replyTo: { kind: "slack_mention", user, channel: "C1" },
      })
      .then((accepted) => this.#awaitAnswer(key, accepted, process))
      .catch((error: unknown) => trace.note(`SUBMIT FAILED ${String(error)}`));
  }

  async #awaitAnswer(key: string, accepted: Accepted, process: Process): Promise<void> {
    if (accepted.kind !== "accepted") return;
    // Without the journal only going back is accepted, and from memory: a crash then may cut the answer off.
    if (!this.#answered.has(key) && this.#world.disk.intakes.has(key)) this.#answered.set(key, false);
    const answer = await accepted.answer;
    this.#answered.set(key, true);
    if (process.isAlive) this.#world.trace.note(`answer ${key}: ${answer.code} ${answer.text}`);
  }
}
