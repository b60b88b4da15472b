/** Names and hashes: SHA-256, the same after every restart. */
import { createHash } from "node:crypto";
import type { Ids } from "../engine/ports.ts";

/** Hashes are 64 lower-case hex digits of the text's UTF-8 bytes. */
export function createIds(): Ids {
  return { hash: (text) => createHash("sha256").update(text, "utf8").digest("hex") };
}
