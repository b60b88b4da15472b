/** A client of a running ingestion service: its view of the flags, its metrics as numbers, its misbehaviour. */
import { z } from "zod";
import { MISBEHAVIOUR_MODES, type MisbehaviourMode } from "./misbehaviour.ts";

const DEADLINE_MS = 2_000;

const featuresSchema = z.object({
  flags: z.record(z.string(), z.string()),
  percent: z.record(z.string(), z.number()),
  source: z.enum(["ofrep", "file", "env", "last"]),
  optimisation_level: z.number(),
  started_at: z.iso.datetime(),
  version: z.string(),
});
const misbehaviourViewSchema = z.object({ mode: z.enum(MISBEHAVIOUR_MODES), active: z.boolean() });

/** What GET /features says. */
export type FeaturesView = Readonly<z.infer<typeof featuresSchema>>;
/** What GET /misbehave says: the mode, and whether it strikes at the moment. */
export type MisbehaviourView = Readonly<z.infer<typeof misbehaviourViewSchema>>;
/** The value of one series as it is written in the text, such as `up` or `x{a="b"}`; throws when it is not there. */
export type Samples = (series: string) => number;

/** Every call rejects when the service does not answer 200 with what is expected within 2 s. */
export interface Probe {
  readonly healthy: () => Promise<boolean>;
  readonly features: () => Promise<FeaturesView>;
  readonly metrics: () => Promise<Samples>;
  readonly misbehaviour: () => Promise<MisbehaviourView>;
  readonly misbehave: (mode: MisbehaviourMode) => Promise<MisbehaviourView>;
}

/** Creates a client for the service at `origin`, such as "http://127.0.0.1:8000". It keeps nothing. */
export function createProbe(origin: string): Probe {
  const ask = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const response = await fetch(origin + path, { ...init, signal: AbortSignal.timeout(DEADLINE_MS) });
    if (response.status !== 200)
      throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
    return response;
  };
  return {
    healthy: () =>
      ask("/healthz").then(
        () => true,
        () => false,
      ),
    features: async () => featuresSchema.parse(await (await ask("/features")).json()),
    metrics: async () => parseSamples(await (await ask("/metrics")).text()),
    misbehaviour: async () => misbehaviourViewSchema.parse(await (await ask("/misbehave")).json()),
    misbehave: async (mode) => {
      const headers = { "content-type": "application/json" };
      const answer = await ask("/misbehave", { method: "POST", headers, body: JSON.stringify({ mode }) });
      return misbehaviourViewSchema.parse(await answer.json());
    },
  };
}

/** Reads Prometheus text; throws on a line that is neither a comment nor a sample with a number. */
function parseSamples(text: string): Samples {
  const samples = new Map<string, number>();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const [, series, value] = /^([a-z_:][a-z0-9_:]*(?:\{[^}]*\})?) (\S+)$/i.exec(line) ?? [];
    if (series === undefined || Number.isNaN(Number(value))) throw new Error(`not a sample: ${line}`);
    samples.set(series, Number(value));
  }
  return (series) => {
    const value = samples.get(series);
    if (value === undefined) throw new Error(`no series ${series}`);
    return value;
  };
}
