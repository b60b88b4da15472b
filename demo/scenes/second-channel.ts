/** Takes what Belay tells by its second channel, on loopback; where paging works that is nothing. */
import { z } from "zod";
import { startSmallServer } from "./small-server.ts";

const toldSchema = z.object({ text: z.string() });

export interface SecondChannelReceiver {
  readonly url: string;
  /** The texts, oldest first. */
  told(): readonly string[];
  close(): Promise<void>;
}

/** Takes texts as Slack's incoming webhooks do. */
export async function startSecondChannel(): Promise<SecondChannelReceiver> {
  const texts: string[] = [];
  const { origin, close } = await startSmallServer(async (body) => {
    texts.push(toldSchema.parse(JSON.parse(body)).text);
    return { status: 200, body: "ok" };
  });
  return { url: `${origin}/told`, told: () => texts, close };
}
