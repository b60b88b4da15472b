/** The models that the model server has, and how the bots ask it for an answer. */
import { z } from "zod";
import { createLines } from "./lines.ts";

/** The model of today and the one behind the flag `new-model`. */
export const MODELS = ["parrot:1b", "parrot:2b"] as const;

/** From the first byte sent to the last byte read; a model server that hangs is a model server that is down. */
const DEADLINE_MS = 1_000;

const partSchema = z.object({ response: z.string(), done: z.boolean() });

export interface Question {
  readonly model: string;
  readonly prompt: string;
  /** Whether the words come as they are made. */
  readonly stream: boolean;
  /** Words of the answer; the server's own number when not given. */
  readonly words?: number;
}

/** The answer's text. Rejects when the server refuses, is not there, breaks off, or has not ended after a second. */
export async function askModel(origin: string, question: Question): Promise<string> {
  const { model, prompt, stream, words } = question;
  const options = words === undefined ? {} : { options: { num_predict: words } };
  const response = await fetch(`${origin}/api/generate`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, prompt, stream, ...options }),
    signal: AbortSignal.timeout(DEADLINE_MS),
    redirect: "error",
  });
  if (response.status !== 200 || response.body === null) {
    await response.body?.cancel();
    throw new Error(`the model server answered ${response.status}`);
  }
  let text = "";
  let done = false;
  const lines = createLines((line) => {
    const part = partSchema.parse(line);
    text += part.response;
    done = part.done;
  });
  for await (const chunk of response.body) {
    if (!lines(chunk)) throw new Error("the model server answered no JSON");
  }
  if (!done) throw new Error("the model server broke off");
  return text.trim();
}
