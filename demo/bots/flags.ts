/** The bots' flags right now: asked of an OFREP server every 100 ms, the last known setting while it does not answer, and off before its first answer. */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { bucketOf, type FlagSetting, isOn, settingText, shareOn } from "../service/features.ts";

/** The flags the bots know; each of them works per chat user. */
export const BOT_FLAGS = ["response-cache", "streaming-replies", "new-model"] as const;
export type BotFlag = (typeof BOT_FLAGS)[number];

const POLL_EVERY_MS = 100;
/** From the first byte sent to the last byte read. */
const DEADLINE_MS = 500;
const OFF: FlagSetting = { kind: "value", value: "false" };

const flagSchema = z.object({
  key: z.enum(BOT_FLAGS),
  value: z.union([z.string(), z.boolean()]),
  metadata: z
    .object({
      percent: z.number().min(0).max(100).optional(),
      on: z.string().default("true"),
      off: z.string().default("false"),
    })
    .default({ on: "true", off: "false" }),
});
const answerSchema = z.object({ flags: z.array(z.unknown()).max(1_000) });

type Settings = Readonly<Partial<Record<BotFlag, FlagSetting>>>;

export interface BotFlags {
  /** Whether this chat user has the flag at this moment. */
  readonly on: (key: BotFlag, user: string) => boolean;
  /** The share of chat users with the flag, 0..1. */
  readonly share: (key: BotFlag) => number;
  /** Each flag in one word: its value, or "25%" while only some users have it. */
  readonly texts: () => Readonly<Record<BotFlag, string>>;
  /** `last`: the server has answered before and does not answer now. */
  readonly source: () => "ofrep" | "last" | "none";
}

/** Begins to ask the server at `baseUrl`; without one every flag stays off. Resolves after the first answer or its failure. */
export async function followFlags(baseUrl: string | undefined): Promise<BotFlags> {
  let settings: Settings = {};
  let source: ReturnType<BotFlags["source"]> = "none";
  const setting = (key: BotFlag): FlagSetting => settings[key] ?? OFF;

  async function poll(base: string): Promise<void> {
    try {
      // A flag that the answer leaves out keeps its setting.
      settings = { ...settings, ...(await ask(base)) };
      source = "ofrep";
    } catch {
      if (source === "ofrep") source = "last";
    }
  }
  async function loop(base: string): Promise<void> {
    for (;;) {
      await delay(POLL_EVERY_MS);
      await poll(base);
    }
  }
  if (baseUrl !== undefined) {
    await poll(baseUrl);
    void loop(baseUrl);
  }
  return {
    on: (key, user) => isOn(setting(key), bucketOf(key, user)),
    share: (key) => shareOn(setting(key)),
    texts: () => ({
      "response-cache": settingText(setting("response-cache")),
      "streaming-replies": settingText(setting("streaming-replies")),
      "new-model": settingText(setting("new-model")),
    }),
    source: () => source,
  };
}

async function ask(base: string): Promise<Settings> {
  const response = await fetch(new URL("/ofrep/v1/evaluate/flags", base), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ context: { targetingKey: "bots" } }),
    signal: AbortSignal.timeout(DEADLINE_MS),
    redirect: "error",
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`OFREP answered ${response.status}`);
  const settings: Partial<Record<BotFlag, FlagSetting>> = {};
  for (const raw of answerSchema.parse(JSON.parse(text)).flags) {
    const flag = flagSchema.safeParse(raw).data;
    if (flag === undefined) continue;
    const { percent, on, off } = flag.metadata;
    settings[flag.key] =
      percent === undefined
        ? { kind: "value", value: String(flag.value) }
        : { kind: "percent", percent, on, off };
  }
  return settings;
}
