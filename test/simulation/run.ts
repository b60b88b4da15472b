/** Plays one scenario: the real core and engine on virtual time, crashes included, and the promises checked all along. */
import type { Recorded } from "../../src/core/event.ts";
import { sleep } from "../../src/engine/concurrency.ts";
import { Engine } from "../../src/engine/engine.ts";
import { type Chat, type Clock, type Log, OutsideFault, type Spool } from "../../src/engine/ports.ts";
import { createWatch, type Violation } from "./invariants.ts";
import { createDisk, journalOn } from "./journal.ts";
import { createOutside } from "./outside.ts";
import { type Deed, type Scenario, scenarioOf } from "./scenario.ts";
import { createRandom, createTimeline } from "./timeline.ts";

export interface Outcome {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly calls: number;
  readonly crashes: number;
  readonly phases: readonly string[];
  readonly events: number;
  /** A digest of everything that happened, for replay. */
  readonly trace: string;
}

/** FNV-1a over text, 32 bits. */
function createDigest() {
  let h = 0x811c9dc5;
  return {
    add(text: string): void {
      for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193) >>> 0;
    },
    hex: (): string => h.toString(16).padStart(8, "0"),
  };
}

const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

export async function play(seed: number, tell?: (line: string) => void): Promise<Outcome> {
  const scenario = scenarioOf(seed);
  return new Promise<Outcome>((resolve, reject) => {
    playScenario(scenario, tell).then(resolve, reject);
  });
}

async function playScenario(
  scenario: Scenario,
  tell: ((line: string) => void) | undefined,
): Promise<Outcome> {
  const random = createRandom(scenario.seed ^ 0x5bd1e995);
  const timeline = createTimeline(0);
  const disk = createDisk();
  const outside = createOutside(scenario, timeline, random);
  const watch = createWatch(scenario, disk, outside, timeline.now);
  const digest = createDigest();
  const spooled: { run: string; events: readonly Recorded[] }[] = [];
  const chatHas = new Set<string>();
  const answered = new Map<string, boolean>();
  let calls = 0;
  let crashes = 0;
  let incarnation = 0;
  let engine: Engine | undefined;
  let alive = { yes: false, ready: false };

  const note = (line: string): void => {
    const full = `${(timeline.now() / 1000).toFixed(3)} ${line}`;
    digest.add(full);
    tell?.(full);
  };
  const inside = (windows: Scenario["journalOutages"]): boolean =>
    windows.some((one) => timeline.now() >= one.from && timeline.now() < one.to);

  function crash(downMs: number): void {
    crashes++;
    alive.yes = false;
    engine = undefined;
    note(`CRASH, back in ${downMs} ms`);
    timeline.after(downMs, boot);
  }

  function boot(): void {
    const me = { yes: true, ready: false };
    alive = me;
    const plan = scenario.crashes[incarnation++];
    let mine = 0;
    /** One port call of this incarnation: may be where it dies, before or after the effect. */
    function effect<T>(act: () => Promise<T>, local: boolean): Promise<T> {
      if (!me.yes) return never();
      calls++;
      mine++;
      const dies = plan !== undefined && plan.call === mine;
      if (dies && !plan.after) {
        crash(plan.downMs);
        return never();
      }
      const result = act();
      if (dies) {
        result.catch(() => undefined);
        if (!local) crash(plan.downMs);
        else timeline.after(0, () => me.yes && crash(plan.downMs));
        return never();
      }
      return result.then(
        (value) => (me.yes ? value : never<T>()),
        (error: unknown) => {
          if (me.yes) throw error;
          return never<T>();
        },
      );
    }

    const clock: Clock = {
      now: () => ({ steady: timeline.now(), wall: timeline.now() }),
      random: random.next,
      after(ms, act) {
        let on = true;
        timeline.after(ms, () => {
          if (on && me.yes) act();
        });
        return () => {
          on = false;
        };
      },
    };
    const journal = journalOn(disk, (name, transaction) =>
      effect(() => {
        if (!inside(scenario.journalOutages)) return Promise.resolve(transaction());
        const applied = name === "commit" && random.chance(0.3);
        if (applied) transaction();
        return random.chance(0.5)
          ? Promise.reject(new OutsideFault("journal: gone", { recoverable: true }))
          : never();
      }, true),
    );
    const spool: Spool = {
      append(run, events) {
        spooled.push({ run, events });
      },
      read: () => [...spooled],
      clear(run) {
        for (let i = spooled.length - 1; i >= 0; i--) if (spooled[i]?.run === run) spooled.splice(i, 1);
      },
    };
    const store = outside.store(() => me.yes);
    const view = outside.view(() => me.yes);
    const metrics = outside.metrics(() => me.yes);
    const chat = chatOn((act) => effect(act, false), clock);
    const log: Log = {
      info: () => undefined,
      warn: () => undefined,
      error: (message, fields) => note(`LOG ${message} ${JSON.stringify(fields)}`),
    };
    const mine_engine = new Engine({
      clock,
      ids: { hash: (text) => `h${text.length}` },
      log,
      journal,
      spool,
      chat,
      plans: () => new Map([[scenario.plan.rollout, scenario.plan]]),
      connect: () => ({
        flags: {
          read: (defs) => effect(() => store.read(defs), false),
          write: (writes) => effect(() => store.write(writes), false),
        },
        view: { read: (defs) => effect(() => view.read(defs), false) },
        metrics: {
          query: (q, at) => effect(() => metrics.query(q, at), false),
          queryRange: (q, a, b, c) => effect(() => metrics.queryRange(q, a, b, c), false),
        },
        readEveryMs: 5_000,
      }),
      mayOf: (actor) => ({
        operator: true,
        groups: actor.kind === "person" && actor.id !== "kim" ? ["approvers"] : [],
      }),
      defaultChannel: undefined,
      refreshMs: 30_000,
      zone: "UTC",
      onEvents(state, events) {
        for (const { seq, event } of events)
          note(`${state.run}#${seq} ${event.kind} ${JSON.stringify(event)}`);
        watch.onEvents(state, events);
        const begins = events.some(({ event }) => event.kind === "stage_started" && event.substage === 0);
        if (begins && timeline.now() < scenario.calmAt && random.chance(scenario.hasty)) {
          const key = `hasty${state.revision}`;
          timeline.after(random.between(2, 400), () => send(key, "rollout rollback", "ben"));
        }
      },
    });
    engine = mine_engine;
    note(`BOOT ${incarnation}`);
    mine_engine.start().then(
      () => {
        me.ready = true;
      },
      (error: unknown) => {
        if (!me.yes) return;
        note(`START FAILED ${String(error)}`);
        crash(1_000);
      },
    );
  }

  function chatOn(effect: <T>(act: () => Promise<T>) => Promise<T>, clock: Clock): Chat {
    const trouble = (): boolean =>
      inside(scenario.chatOutages) ||
      (timeline.now() < scenario.calmAt && random.chance(scenario.chatFaults));
    const refused = (): OutsideFault => new OutsideFault("chat: unavailable", { recoverable: true });
    return {
      post: (item) =>
        effect(async () => {
          if (item.attempts > 0 && chatHas.has(item.key)) return { channel: "C1", ts: item.key };
          const fails = trouble();
          const applied = !fails || random.chance(0.4);
          if (applied) {
            chatHas.add(item.key);
            watch.posted(item.key);
          }
          await sleep(clock, random.between(1, 300));
          if (fails) throw refused();
          return item.body.kind === "answer" ? undefined : { channel: "C1", ts: item.key };
        }),
      update: () =>
        effect(async () => {
          const fails = trouble();
          await sleep(clock, random.between(1, 200));
          if (fails) throw refused();
        }),
    };
  }

  function doDeed(deed: Deed, index: number): void {
    const { act } = deed;
    if (act.kind === "edit") {
      note(`PERSON sets ${act.flag} ${act.on ? "ON" : "OFF"}`);
      outside.edit(act.flag, act.on);
      return;
    }
    for (let copy = 0; copy < (act.twice ? 2 : 1); copy++) send(`k${index}`, act.text, act.user);
  }

  function send(key: string, text: string, user: string, attempt = 0): void {
    if (engine === undefined) {
      if (attempt < 3) timeline.after(15_000, () => send(key, text, user, attempt + 1));
      return;
    }
    const me = alive;
    note(`${user}: ${text} (${key})`);
    engine
      .submit({
        key,
        text,
        actor: { kind: "person", id: user, name: user, via: "slack" },
        replyTo: { kind: "slack_mention", user, channel: "C1" },
      })
      .then(async (accepted) => {
        if (accepted.kind !== "accepted") return;
        // Without the journal only going back is accepted, and from memory: a crash then may cut the answer off.
        if (!answered.has(key) && disk.intakes.has(key)) answered.set(key, false);
        const answer = await accepted.answer;
        answered.set(key, true);
        if (me.yes) note(`answer ${key}: ${answer.code} ${answer.text}`);
      })
      .catch((error: unknown) => note(`SUBMIT FAILED ${String(error)}`));
  }

  for (const [index, deed] of scenario.deeds.entries()) timeline.after(deed.at, () => doDeed(deed, index));
  const tick = (): void => {
    outside.second();
    const capable = alive.yes && alive.ready && outside.storeUp() && outside.lying() === undefined;
    watch.second(capable, !inside(scenario.journalOutages));
    if (timeline.now() < scenario.endAt) timeline.after(1_000, tick);
  };
  timeline.after(0, tick);
  boot();
  await timeline.run(scenario.endAt, () => watch.violations.length >= 20);
  alive.yes = false;
  // A crash may have cut the answer off from the one who waits for it; the journal is what counts then.
  for (const key of answered.keys()) if (disk.intakes.get(key)?.answered === true) answered.set(key, true);
  watch.atEnd(answered);
  const states = [...disk.runs.values()].map((one) => one.state);
  return {
    seed: scenario.seed,
    violations: watch.violations,
    calls,
    crashes,
    phases: states.map((state) => state.phase),
    events: states.reduce((sum, state) => sum + state.revision, 0),
    trace: digest.hex(),
  };
}
