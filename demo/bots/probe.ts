/** A client of the running bots: their health, their view of the flags, their metrics as numbers, and what can be done to them. */
import { z } from "zod";
import { createProbe, type Samples } from "../service/probe.ts";
import { type Change, type Settings, settingsSchema } from "./control.ts";
import { BOT_FLAGS } from "./flags.ts";
import { BOTS } from "./metrics.ts";

const DEADLINE_MS = 2_000;

const featuresSchema = z.object({
  flags: z.record(z.enum(BOT_FLAGS), z.string()),
  source: z.enum(["ofrep", "last", "none"]),
});

/** Every call but `healthy` rejects when the bots do not answer 200 with what is expected within 2 s. */
export interface BotProbe {
  readonly healthy: () => Promise<boolean>;
  readonly features: () => Promise<z.output<typeof featuresSchema>>;
  readonly metrics: () => Promise<Samples>;
  readonly control: (change: Change) => Promise<Settings>;
  readonly settings: () => Promise<Settings>;
}

/** Creates a client for the bots at `origin`, such as "http://127.0.0.1:8100". It keeps nothing. */
export function createBotProbe(origin: string): BotProbe {
  const { healthy, metrics } = createProbe(origin);
  async function ask(path: string, init: RequestInit = {}): Promise<unknown> {
    const response = await fetch(origin + path, { ...init, signal: AbortSignal.timeout(DEADLINE_MS) });
    if (response.status !== 200)
      throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
    return response.json();
  }
  return {
    healthy,
    metrics,
    features: async () => featuresSchema.parse(await ask("/features")),
    settings: async () => settingsSchema.parse(await ask("/control")),
    control: async (change) => {
      const headers = { "content-type": "application/json" };
      return settingsSchema.parse(
        await ask("/control", { method: "POST", headers, body: JSON.stringify(change) }),
      );
    },
  };
}

/** The sum of one metric over the five bots. */
export function overBots(samples: Samples, metric: string): number {
  return BOTS.reduce((sum, bot) => sum + samples(`${metric}{bot="${bot}"}`), 0);
}
