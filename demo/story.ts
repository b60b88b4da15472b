/** The whole story without a person: baseline, walk, regression in `parallel`, rollback, look, fix, unlock, enable again, Day 2 sign-off. */
import { setTimeout as delay } from "node:timers/promises";
import { createEye } from "./world/eye.ts";
import type { Told } from "./world/loopback.ts";
import type { World } from "./world/world.ts";

const CHANNEL = "ingestion-ops";
const FEATURES = ["parse-cache", "batching", "neo4j-batch", "parallel"] as const;
const PARALLEL_KEY = "FEATURE_PARALLEL";
const POLL_MS = 50;
/** From the first sight of the breach to the flag off; the bench measures it closely, the story only that it is of this order. */
const OFF_WITHIN_MS = 5_000;

/** One line of `--json`: `t` in ms since the story began. */
export interface Line {
  readonly t: number;
  readonly event: string;
  readonly rollout: string;
  readonly stage?: string;
  readonly flag?: string;
  readonly [more: string]: unknown;
}

export interface Summary {
  readonly event: "summary";
  readonly ok: boolean;
  readonly stages: readonly { readonly name: string; readonly soaked_ms: number; readonly started: number }[];
  readonly breach_visible_to_off_ms: number;
  readonly off_to_recovered_ms: number;
  readonly flags: Readonly<Record<string, string>>;
  readonly violations: number;
  readonly failed: readonly string[];
  readonly files_failed: number;
  readonly five_minute_rule_would_have_cost: number;
  readonly total_ms: number;
}

/** Names of the story's lines for Belay's events. */
const NAMES: Readonly<Record<string, string>> = {
  rollout_started: "rollout_started",
  stage_started: "stage_started",
  stage_enabled: "stage_enabled",
  soak_passed: "soak_passed",
  held: "held",
  resumed: "resumed",
  rollback_started: "decided",
  rollback_off: "off",
  rollback_confirmed: "confirmed",
  recovered: "recovered",
  look_failed: "look_failed",
  unlatched: "unlocked",
  review_opened: "review_opened",
  signed_off: "signed_off",
  completed: "completed",
  rolled_back: "rolled_back",
  drift_found: "drift_found",
  quarantined: "quarantined",
};

/** The rollout that is followed, the names of its stages, and the wall ms from which its lines count. */
export interface Followed {
  readonly rollout: string;
  readonly stages: readonly string[];
  readonly began: number;
}

/** Fetches what happens to the first run of a rollout and tells it, line by line. */
export class Follower {
  readonly seen: Told[] = [];
  readonly #world: Pick<World, "runs" | "events">;
  readonly #tell: (line: Line) => void;
  readonly #start: number;
  readonly #rollout: string;
  readonly #names: readonly string[];
  run = "";

  constructor(
    world: Pick<World, "runs" | "events">,
    { rollout, stages, began }: Followed,
    tell: (line: Line) => void,
  ) {
    this.#world = world;
    this.#tell = tell;
    this.#rollout = rollout;
    this.#names = stages;
    this.#start = began;
  }

  /** Ms since the story began. */
  since(wall: number): number {
    return Math.round(wall - this.#start);
  }

  say(event: string, more: Readonly<Record<string, unknown>> = {}): void {
    this.#tell({ t: this.since(Date.now()), event, rollout: this.#rollout, ...more });
  }

  /** Fetches what is new and tells it. A Belay that is just being killed and started is asked again later. */
  async look(): Promise<void> {
    let fresh: readonly Told[];
    try {
      if (this.run === "")
        this.run = (await this.#world.runs()).find((one) => one.rollout === this.#rollout)?.run ?? "";
      fresh = this.run === "" ? [] : await this.#world.events(this.run, this.seen.length + 1);
    } catch {
      return;
    }
    for (const told of fresh) {
      this.seen.push(told);
      this.#told(told);
    }
  }

  /** Waits until an event of this kind (and more) has come after the first `after` events; rejects after `timeoutMs`. */
  async until(
    kind: string,
    timeoutMs: number,
    after = 0,
    holds: (event: Told["event"]) => boolean = () => true,
  ): Promise<Told> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      await this.look();
      const hit = this.seen.slice(after).find((one) => one.event.kind === kind && holds(one.event));
      if (hit !== undefined) return hit;
      if (Date.now() > deadline)
        throw new Error(
          `no ${kind} within ${timeoutMs} ms; last: ${this.seen
            .slice(-4)
            .map((one) => one.event.kind)
            .join(", ")}`,
        );
      await delay(POLL_MS);
    }
  }

  #told({ event, wall }: Told): void {
    const t = this.since(wall);
    const stage = typeof event["stage"] === "number" ? { stage: this.#names[event["stage"]] ?? "" } : {};
    if (event.kind === "verdict_changed" && event["verdict"] === "breach") {
      this.#tell({
        t,
        event: "breach",
        rollout: this.#rollout,
        guard: event["guard"],
        detail: event["detail"],
      });
    }
    const name = NAMES[event.kind];
    if (name === undefined) return;
    const flips = Array.isArray(event["flips"])
      ? event["flips"].map((flip: { flag?: unknown }) => String(flip.flag))
      : [];
    const flag = flips.length === 1 ? { flag: flips[0] ?? "" } : flips.length > 1 ? { flags: flips } : {};
    const detail = typeof event["detail"] === "string" ? { detail: event["detail"] } : {};
    this.#tell({ t, event: name, rollout: this.#rollout, ...stage, ...flag, ...detail });
  }
}

/** Plays the story in a started world. Rejects when a step does not come; expectations that fail are in the summary. */
export async function playStory(world: World, tell: (line: Line) => void): Promise<Summary> {
  const began = Date.now();
  const names = ["baseline", ...FEATURES, "review"];
  const follower = new Follower(world, { rollout: "ingestion", stages: names, began }, tell);
  const failed: string[] = [];
  const expect = (holds: boolean, what: string): void => {
    if (!holds) failed.push(what);
  };
  const type = async (user: string, line: string): Promise<void> => {
    const reaction = await world.slack.type(user, CHANNEL, line);
    follower.say("typed", { by: user, line, ack_ms: Math.round(reaction.ackMs ?? -1) });
    expect(reaction.outcome === "ok", `${line}: ${reaction.outcome}`);
  };

  await type("ana", "/rollout start ingestion");
  await follower.until("stage_enabled", 120_000, 0, (event) => event["stage"] === 4);
  await delay(1_500);
  const eye = createEye(world);
  const failuresBefore = (await world.probe.metrics())("ingestion_failures_total");
  follower.say("broken", { flag: "parallel", how: "errors" });
  await world.probe.misbehave("errors");
  const off = await follower.until("rollback_off", 60_000);
  const visible = await eye.breachVisible;
  const serviceOff = await eye.serviceOff(PARALLEL_KEY);
  const filesFailed = (await world.probe.metrics())("ingestion_failures_total") - failuresBefore;
  const visibleToOff = Math.round(off.wall - visible.wall);
  follower.say("service_saw_off", { flag: "parallel", ms_after_off: Math.round(serviceOff - off.wall) });
  const recovered = await follower.until("recovered", 60_000);
  const cost = Math.round((filesFailed / Math.max(1, (serviceOff - visible.brokenSince) / 1_000)) * 300);
  follower.say("cost", { text: costLine(visibleToOff, filesFailed, cost) });
  await world.probe.misbehave("none");
  const before = follower.seen.length;
  await type("ana", "/rollout enable parallel");
  await follower.until("refused", 10_000, before, (event) => event["code"] === "latched");
  await type("ana", '/rollout unlock parallel because "the worker bug is fixed"');
  await follower.until("unlatched", 10_000);
  await type("ana", "/rollout enable parallel");
  await follower.until("review_opened", 60_000);
  await type("ben", '/rollout signoff go because "looked at every panel"');
  await follower.until("completed", 10_000);

  const flags = (await world.probe.features()).flags;
  const rollbacks = follower.seen.filter((one) => one.event.kind === "rollback_started");
  expect(rollbacks.length === 1, `one rollback, found ${rollbacks.length}`);
  expect(
    Object.values(flags).every((value) => value === "true"),
    "every flag on at the end",
  );
  expect(
    visibleToOff <= OFF_WITHIN_MS,
    `off within ${OFF_WITHIN_MS} ms of the breach being visible, took ${visibleToOff}`,
  );
  await expectOneCard(world, expect);
  const violations = world.slack.violations();
  for (const violation of violations)
    failed.push(`Slack rule broken: ${violation.rule}: ${violation.detail}`);
  return {
    event: "summary",
    ok: failed.length === 0,
    stages: stagesOf(follower, names),
    breach_visible_to_off_ms: visibleToOff,
    off_to_recovered_ms: Math.round(recovered.wall - off.wall),
    flags,
    violations: violations.length,
    failed,
    files_failed: filesFailed,
    five_minute_rule_would_have_cost: cost,
    total_ms: Date.now() - began,
  };
}

/** "OFF in 2.1 s: 87 failed files; a five-minute rule would have cost 12,300". */
export function costLine(offMs: number, failed: number, fiveMinutes: number): string {
  const number = (value: number): string => Math.round(value).toLocaleString("en-US");
  return `OFF in ${(offMs / 1_000).toFixed(1)} s: ${number(failed)} failed files; a five-minute rule would have cost ${number(fiveMinutes)}`;
}

/** One card, edited in place; waits until its last edit shows the end. */
async function expectOneCard(world: World, expect: (holds: boolean, what: string) => void): Promise<void> {
  const isCard = (text: string): boolean => text.includes("ingestion") && text.includes("COMPLETED");
  try {
    await world.slack.waitForMessage(CHANNEL, (_message, text) => isCard(text), { timeoutMs: 10_000 });
  } catch {
    expect(false, "the card shows COMPLETED");
  }
  const cards = world.slack
    .channelMessages(CHANNEL)
    .filter((message) => JSON.stringify(message.metadata ?? {}).includes('"card:'));
  expect(cards.length === 1, `one card, found ${cards.length}`);
  expect((cards[0]?.history.length ?? 0) > 3, "the card was edited in place");
}

function stagesOf(follower: Follower, names: readonly string[]): Summary["stages"] {
  return names.map((name, index) => {
    const of = (kind: string) =>
      follower.seen.filter((one) => one.event.kind === kind && one.event["stage"] === index);
    const soaked = of("soak_passed").at(-1)?.event["soakedMs"];
    return {
      name,
      soaked_ms: typeof soaked === "number" ? soaked : 0,
      started: of("stage_started").length + of("review_opened").length,
    };
  });
}
