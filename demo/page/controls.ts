/** What the page's buttons do to the world: break and mend the service, kill and start the parts around it. */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { MISBEHAVIOUR_MODES, type MisbehaviourMode } from "../service/misbehaviour.ts";
import type { MisbehaviourView, Probe } from "../service/probe.ts";
import type { World } from "../world/world.ts";

/** A crashing service answers for some moments only; it is asked until then, ms. */
const SERVICE_PATIENCE_MS = 6_000;
const ASK_AGAIN_MS = 25;
const READY_EVERY_MS = 1_000;
const READY_WITHIN_MS = 800;

export const deedSchema = z.discriminatedUnion("do", [
  z.strictObject({ do: z.literal("break"), mode: z.enum(MISBEHAVIOUR_MODES).exclude(["none"]) }),
  z.strictObject({ do: z.literal("mend") }),
  z.strictObject({ do: z.literal("prometheus"), up: z.boolean() }),
  z.strictObject({ do: z.literal("slack"), up: z.boolean() }),
  z.strictObject({ do: z.literal("kill-belay") }),
]);
export type Deed = z.output<typeof deedSchema>;

/** A part of the world: up, down, or on its way. */
export type Word = "up" | "down" | "starting" | "stopping";

export interface Controls {
  /** Does it and resolves with one sentence; rejects with one when it could not be done. */
  act(deed: Deed): Promise<string>;
  prometheus(): Word;
  slack(): Word;
  mode(): MisbehaviourMode;
  /** Resolves when nothing is under way any more. */
  stop(): Promise<void>;
}

export interface ControlsListener {
  /** A deed, in words for a mark. */
  readonly deed: (t: number, label: string) => void;
  /** The service said that it misbehaves from now on. */
  readonly broke: (t: number) => void;
}

export function createControls(world: World, listener: ControlsListener): Controls {
  return new WorldControls(world, listener);
}

class WorldControls implements Controls {
  readonly #world: World;
  readonly #listener: ControlsListener;
  readonly #stopping = new AbortController();
  readonly #watching: Promise<void>;
  readonly #unhear: () => void;
  #prometheus: Word = "up";
  #slack: Word = "up";
  #mode: MisbehaviourMode = "none";
  #turn: Promise<unknown> = Promise.resolve();

  constructor(world: World, listener: ControlsListener) {
    this.#world = world;
    this.#listener = listener;
    this.#watching = this.#watchPrometheus();
    this.#unhear = world.slack.on("reachable", (reachable) => {
      this.#slack = reachable ? "up" : "down";
    });
  }

  prometheus(): Word {
    return this.#prometheus;
  }

  slack(): Word {
    return this.#slack;
  }

  mode(): MisbehaviourMode {
    return this.#mode;
  }

  act(deed: Deed): Promise<string> {
    // One at a time: two starts of one Prometheus would fight for its port.
    const done = this.#turn.then(() => this.#do(deed));
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#unhear();
    await Promise.all([this.#turn, this.#watching]);
  }

  #do(deed: Deed): Promise<string> {
    switch (deed.do) {
      case "break":
        return this.#misbehave(deed.mode);
      case "mend":
        return this.#misbehave("none");
      case "prometheus":
        return this.#turnPrometheus(deed.up);
      case "slack":
        return this.#turnSlack(deed.up);
      case "kill-belay":
        return this.#killBelay();
    }
  }

  async #misbehave(mode: MisbehaviourMode): Promise<string> {
    const view = await untilAnswered(this.#world.probe, mode, this.#stopping.signal);
    this.#mode = mode;
    if (view.active) this.#listener.broke(Date.now());
    this.#listener.deed(Date.now(), mode === "none" ? "mended" : `broken: ${mode}`);
    if (mode === "none") return "parallel works as it should again.";
    return view.active
      ? `parallel is broken (${mode}).`
      : `parallel is broken (${mode}); it shows as soon as the flag is on.`;
  }

  async #turnPrometheus(up: boolean): Promise<string> {
    this.#prometheus = up ? "starting" : "stopping";
    this.#listener.deed(Date.now(), up ? "Prometheus started" : "Prometheus killed");
    // Also before a start: one that died by itself is still taken for a running one.
    await this.#world.stopPrometheus();
    this.#prometheus = "down";
    if (!up) return "Prometheus is killed.";
    this.#prometheus = "starting";
    try {
      await this.#world.startPrometheus();
      this.#prometheus = "up";
    } catch (error) {
      this.#prometheus = "down";
      throw error;
    }
    return "Prometheus runs again.";
  }

  async #turnSlack(up: boolean): Promise<string> {
    this.#listener.deed(Date.now(), up ? "Slack started" : "Slack killed");
    if (up) await this.#world.slack.up();
    else await this.#world.slack.down({ keepPage: true });
    return up ? "Slack can be reached again." : "Slack cannot be reached by apps; the page still shows it.";
  }

  async #killBelay(): Promise<string> {
    const { belay } = this.#world;
    if (!belay.isUp()) throw new Error("Belay is not up at the moment; it is being started again.");
    const pid = belay.pid();
    this.#listener.deed(Date.now(), "Belay killed");
    belay.kill();
    return `kill -9 ${pid ?? ""}: Belay is gone and is started again.`;
  }

  /** A Prometheus that somebody else stopped must not read "up". */
  async #watchPrometheus(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await delay(READY_EVERY_MS, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      if (this.#prometheus !== "up" && this.#prometheus !== "down") continue;
      const ready = await answers(`${this.#world.prometheusUrl}/-/ready`);
      if (this.#prometheus === "up" || this.#prometheus === "down") this.#prometheus = ready ? "up" : "down";
    }
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(READY_WITHIN_MS) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

async function untilAnswered(
  probe: Probe,
  mode: MisbehaviourMode,
  stop: AbortSignal,
): Promise<MisbehaviourView> {
  const deadline = Date.now() + SERVICE_PATIENCE_MS;
  for (;;) {
    try {
      return await probe.misbehave(mode);
    } catch (error) {
      if (Date.now() > deadline || stop.aborted)
        throw new Error("The service does not answer; nothing changed.", { cause: error });
      await delay(ASK_AGAIN_MS);
    }
  }
}
