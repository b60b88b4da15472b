/** The bulk import's folder for the demo: the shipped one with a window that opens within a minute and a half, and the overlay that leads it to the demo's import. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseDocument } from "yaml";
import { formatClock, HOUR, MINUTE, SECOND } from "../../src/core/time.ts";

const FOLDERS = ["flags", "schedules", "runbooks"];
const SCHEDULE = "schedules/bulk-import-rollout.yaml";
/** The values that need no window are through well before, so that the next one is seen to wait. */
const OPENS_IN_MS = 30 * SECOND;
const OPEN_FOR_MS = 3 * HOUR;

export interface ImportHouse {
  readonly dir: string;
  /** Wall ms at which the window of the larger values opens: a full minute. */
  readonly opensWall: number;
  /** The stages that have a window, by name. */
  readonly windowed: readonly string[];
}

/** Copies the folders of `root` into `dir`, which must exist; `zone`: of the window's clock. Throws when what it changes is not there. */
export function makeImportHouse(root: string, dir: string, zone: string): ImportHouse {
  for (const folder of FOLDERS) cpSync(join(root, folder), join(dir, folder), { recursive: true });
  const opensWall = Math.ceil((Date.now() + OPENS_IN_MS) / MINUTE) * MINUTE;
  const clock = (wall: number): string => formatClock(wall, zone).slice(0, "hh:mm".length);
  const only = `Mon-Sun ${clock(opensWall)}-${clock(opensWall + OPEN_FOR_MS)}`;
  const path = join(dir, SCHEDULE);
  const file = parseDocument(readFileSync(path, "utf8"));
  const windowed: string[] = [];
  for (let stage = 0; file.hasIn(["stages", stage]); stage++) {
    if (!file.hasIn(["stages", stage, "window"])) continue;
    file.setIn(["stages", stage, "window"], { only, zone });
    windowed.push(String(file.getIn(["stages", stage, "name"])));
  }
  if (windowed.length === 0) throw new Error(`${SCHEDULE} has no stage with a window any more`);
  writeFileSync(path, file.toString());
  return { dir, opensWall, windowed };
}

/** Writes the overlay into `dir` and returns its path. */
export function writeImportOverlay(dir: string, importUrl: string, prometheusUrl: string): string {
  const path = join(dir, "overlay.yaml");
  const overlay = {
    environment: "demo",
    provider: { kind: "file" },
    view: { http: `${importUrl}/features`, pointer: "/flags" },
    prometheus: { url: prometheusUrl, scrape_interval: "1s", timeout: "2s" },
    interval: "1s",
    window: "5s",
  };
  // JSON is YAML.
  writeFileSync(path, JSON.stringify(overlay, null, 2));
  return path;
}
