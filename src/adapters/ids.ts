/** Names and hashes: SHA-256, the same after every restart; and the name of this installation. */
import { createHash, randomBytes } from "node:crypto";
import type { Ids, Journal } from "../engine/ports.ts";

const INSTALLATION_KEY = "installation";

/** Hashes are 64 lower-case hex digits of the text's UTF-8 bytes. */
export function createIds(): Ids {
  return { hash: (text) => createHash("sha256").update(text, "utf8").digest("hex") };
}

/** Made once and kept in the journal; another journal is another installation. */
export async function installationOf(journal: Pick<Journal, "meta" | "setMeta">): Promise<string> {
  const known = await journal.meta(INSTALLATION_KEY);
  if (known !== undefined) return known;
  const made = randomBytes(4).toString("hex");
  await journal.setMeta(INSTALLATION_KEY, made);
  return made;
}
