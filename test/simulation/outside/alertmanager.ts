/** The simulated Alertmanager: it posts firings late, twice, out of order and again until they are taken, and answers when asked. */
import type { IncomingAlert } from "../../../src/core/alerts/incoming.ts";
import type { Recorded } from "../../../src/core/event.ts";
import { OutsideFault } from "../../../src/engine/ports.ts";
import { type AlertPlay, type Firing, OUR_ALERT } from "../alert-play.ts";
import type { Caller } from "../calls.ts";
import { isWithin } from "../scenario.ts";
import { createRandom, type Random, type Timeline } from "../timeline.ts";

/** Hands alerts to the process that lives; undefined when none does. */
export type Deliver = (alerts: readonly IncomingAlert[]) => Promise<void> | undefined;

/** A firing that has begun, as all its deliveries tell it. */
export interface Begun {
  readonly alert: IncomingAlert;
  readonly firing: Firing;
  readonly endsAt: number;
}

/** A firing that a process heard of for the first time, ms. */
export interface Heard {
  readonly key: string;
  readonly service: string;
  readonly at: number;
}

const REPEAT_MS = 60_000;
const GIVE_UP_MS = 10_000;
const DELIVERY_SEED = 0x9e3779b1;

export class Alertmanager {
  readonly #play: AlertPlay;
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #begun = new Map<string, Begun>();
  readonly #taken = new Set<string>();
  #heard: readonly Heard[] = [];
  #deliver: Deliver = () => undefined;
  #count = 0;

  constructor(seed: number, play: AlertPlay, timeline: Timeline) {
    this.#play = play;
    this.#timeline = timeline;
    this.#random = createRandom(seed ^ DELIVERY_SEED);
  }

  get isStormy(): boolean {
    return this.#play.isStormy;
  }

  /** Puts every firing of the play on the timeline. */
  plan(deliver: Deliver): void {
    this.#deliver = deliver;
    for (const firing of this.#play.firings) this.#timeline.after(firing.at, () => this.#begin(firing));
  }

  /** A stage has just begun in `events`: an alert may begin within moments. */
  onEvents(events: readonly Recorded[]): void {
    if (!events.some(({ event }) => event.kind === "stage_started")) return;
    if (!this.#random.chance(this.#play.reactive)) return;
    const at = this.#random.int(0, 40_000);
    const forMs = this.#random.pick([500, 60_000]);
    const place = { service: "svc", environment: "production" };
    this.#timeline.after(at, () =>
      this.#begin({ at: this.#timeline.now(), forMs, name: OUR_ALERT, ...place }),
    );
  }

  /** A new process has heard of nothing yet. */
  onBoot(): void {
    this.#heard = [];
  }

  /** A firing by its key; undefined when none has this key. */
  firing(key: string): Begun | undefined {
    return this.#begun.get(key);
  }

  /** Firings that go on now and that Belay has answered for: it has stored them. */
  takenAndFiring(): readonly Begun[] {
    const now = this.#timeline.now();
    return [...this.#begun.values()].filter((one) => one.endsAt > now && this.#taken.has(one.alert.key));
  }

  /** What the process that lives now has heard, in the order in which it did. */
  heard(): readonly Heard[] {
    return this.#heard;
  }

  /** What a process is answered that asks. */
  async asked(caller: Caller): Promise<readonly IncomingAlert[]> {
    const ms = this.#random.between(5, 400);
    if (this.#isOut())
      return caller.failsLater(ms, new OutsideFault("alertmanager: refused", { recoverable: true }));
    const alerts = await caller.later(ms, () => this.#firingNow());
    this.#hear(alerts);
    return alerts;
  }

  #isOut(): boolean {
    return isWithin(this.#play.outages, this.#timeline.now());
  }

  #firingNow(): readonly IncomingAlert[] {
    const now = this.#timeline.now();
    return [...this.#begun.values()].filter(({ endsAt }) => endsAt > now).map(({ alert }) => alert);
  }

  #begin(firing: Firing): void {
    const startsAt = this.#timeline.now();
    const fingerprint = `f${++this.#count}`;
    const { name, service, environment, forMs } = firing;
    const alert: IncomingAlert = {
      key: `${fingerprint}@${startsAt}`,
      fingerprint,
      status: "firing",
      startsAt,
      labels: { alertname: name, service, environment },
      annotations: {},
    };
    const endsAt = startsAt + forMs;
    this.#begun.set(alert.key, { alert, firing, endsAt });
    const copies = this.#random.chance(0.3) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) this.#post(this.#random.between(100, 20_000), alert);
    for (let at = REPEAT_MS; at < forMs; at += REPEAT_MS) this.#post(at, alert);
    this.#post(forMs + this.#random.between(0, 5_000), { ...alert, status: "resolved", endsAt });
  }

  /** Posts after `ms`, and again until it is taken. */
  #post(ms: number, alert: IncomingAlert): void {
    this.#timeline.after(ms, () => {
      const again = (): void => this.#post(this.#random.between(2_000, 15_000), alert);
      const answer = this.#isOut() ? undefined : this.#deliver([alert]);
      if (answer === undefined) {
        again();
        return;
      }
      if (alert.status === "firing") this.#hear([alert]);
      let isOver = false;
      const end = (isTaken: boolean): void => {
        if (isOver) return;
        isOver = true;
        if (!isTaken) again();
        else if (alert.status === "firing") this.#taken.add(alert.key);
      };
      answer.then(
        () => end(true),
        () => end(false),
      );
      this.#timeline.after(GIVE_UP_MS, () => end(false));
    });
  }

  #hear(alerts: readonly IncomingAlert[]): void {
    const at = this.#timeline.now();
    const known = new Set(this.#heard.map(({ key }) => key));
    const heard = alerts.filter(({ key }) => !known.has(key));
    this.#heard = [
      ...this.#heard,
      ...heard.map(({ key, labels }) => ({ key, service: labels["service"] ?? "", at })),
    ];
  }
}
