/** The demo's folder of flags, schedules and runbooks: the shipped one, with a memory limit that fits a service this small. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FOLDERS = ["flags", "schedules", "runbooks"];
/** The service uses some 120 MB, and what it leaks for show ends at 300 MB more: the shipped limit would never be reached. */
const SHIPPED = "max: 1GiB";
const FITTING = "max: 256MiB";

/** Copies the folders of `root` into `dir`, which must exist, and returns `dir`. Throws when the shipped limit is not where it was. */
export function makeHouse(root: string, dir: string): string {
  for (const folder of FOLDERS) cpSync(join(root, folder), join(dir, folder), { recursive: true });
  const path = join(dir, "flags", "ingestion.yaml");
  const text = readFileSync(path, "utf8");
  if (!text.includes(SHIPPED)) throw new Error(`flags/ingestion.yaml has no "${SHIPPED}" any more`);
  writeFileSync(path, text.replace(SHIPPED, FITTING));
  return dir;
}
