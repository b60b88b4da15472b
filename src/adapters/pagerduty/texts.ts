/** Texts for PagerDuty: without control characters and half characters, and no longer than the field takes. */
import { createHash } from "node:crypto";

const DEDUP_KEY_CHARS = 255;
const HASH_CHARS = 64;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to find.
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;

/** The text within `most` code points, cut between characters and marked with `…` where it was longer. */
export function fitted(text: string, most: number): string {
  // A code point is at most two units, so the rest of a very long text need not be looked at.
  const points = [...text.slice(0, 2 * (most + 1)).toWellFormed()];
  const cut = points.length > most ? [...points.slice(0, most - 1), "…"] : points;
  return cut.join("").replace(CONTROL, " ").trim();
}

/** A key as PagerDuty is told it: itself, or a shorter one with a hash in place of what does not fit; the same for the same key, always. */
export function dedupKeyOf(key: string): string {
  if (key.length <= DEDUP_KEY_CHARS && key === clean(key)) return key;
  const hash = createHash("sha256").update(key).digest("hex");
  return `${fitted(key, (DEDUP_KEY_CHARS - HASH_CHARS - 1) >> 1)}~${hash}`;
}

function clean(text: string): string {
  return text.toWellFormed().replace(CONTROL, " ").trim();
}

/** The text without any of the secrets. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  return secrets
    .filter((secret) => secret !== "")
    .reduce((left, secret) => left.replaceAll(secret, "[redacted]"), text);
}
