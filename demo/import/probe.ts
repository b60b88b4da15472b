/** A client of the running import: the limit it works with, how far it is, and what can be done to it. */
import { z } from "zod";
import { createProbe } from "../service/probe.ts";
import { controlSchema, type Misbehaviour } from "./control.ts";
import { LIMIT_KEY } from "./limit.ts";

const DEADLINE_MS = 2_000;

const featuresSchema = z.object({
  flags: z.object({ [LIMIT_KEY]: z.string() }),
  source: z.enum(["ofrep", "file", "last", "none"]),
  stored: z.number(),
});

/** What the import says of itself. */
export interface ImportFeatures {
  readonly limit: string;
  readonly source: "ofrep" | "file" | "last" | "none";
  readonly stored: number;
}

/** Every call but `healthy` rejects when the import does not answer 200 with what is expected within 2 s. */
export interface ImportProbe {
  readonly healthy: () => Promise<boolean>;
  readonly features: () => Promise<ImportFeatures>;
  readonly misbehave: (misbehaviour: Misbehaviour) => Promise<void>;
}

/** Creates a client for the import at `origin`, such as "http://127.0.0.1:8200". It keeps nothing. */
export function createImportProbe(origin: string): ImportProbe {
  async function ask(path: string, init: RequestInit = {}): Promise<unknown> {
    const response = await fetch(origin + path, { ...init, signal: AbortSignal.timeout(DEADLINE_MS) });
    if (response.status !== 200)
      throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
    return response.json();
  }
  return {
    healthy: createProbe(origin).healthy,
    features: async () => {
      const { flags, source, stored } = featuresSchema.parse(await ask("/features"));
      return { limit: flags[LIMIT_KEY], source, stored };
    },
    misbehave: async (misbehave) => {
      const headers = { "content-type": "application/json" };
      controlSchema.parse(
        await ask("/control", { method: "POST", headers, body: JSON.stringify({ misbehave }) }),
      );
    },
  };
}
