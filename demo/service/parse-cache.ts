/** A bounded cache of parsed lineage by the content of a file: the one looked up longest ago leaves first. */
import { createHash } from "node:crypto";
import type { Edge } from "./lineage.ts";

const MAX_ENTRIES = 1_000;

export interface ParseCache {
  /** What `put` kept for this very text, or undefined. */
  readonly get: (text: string) => readonly Edge[] | undefined;
  readonly put: (text: string, edges: readonly Edge[]) => void;
}

/** Creates an empty cache of at most 1,000 texts. */
export function createParseCache(): ParseCache {
  const entries = new Map<string, readonly Edge[]>();
  return {
    get: (text) => {
      const key = keyOf(text);
      const edges = entries.get(key);
      if (edges === undefined) return undefined;
      // A Map keeps the order of insertion: put in again, the entry is the youngest.
      entries.delete(key);
      entries.set(key, edges);
      return edges;
    },
    put: (text, edges) => {
      entries.set(keyOf(text), edges);
      const oldest = entries.keys().next().value;
      if (entries.size > MAX_ENTRIES && oldest !== undefined) entries.delete(oldest);
    },
  };
}

function keyOf(text: string): string {
  return createHash("sha256").update(text).digest("base64");
}
