/** The bot platform's folder for the demo: the shipped one with two changes, and the overlay that leads it to the processes of the demo. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Document, parseDocument } from "yaml";
import type { Managed } from "../bots/managed.ts";
import type { BotWorld } from "../bots/world.ts";

const FOLDERS = ["flags", "schedules", "runbooks"];
export const WATCH = "bot-platform";
/** Where the guard on errors is judged in the demo: not in the last stage, so that the alert on the same figure is what takes that one back. */
const ERRORS_JUDGED_IN = ["baseline", "response-cache", "streaming-replies"];

/** Copies the folders of `root` into `dir`, which must exist, and returns `dir`. Throws when what it changes is not there. */
export function makeBotsHouse(root: string, dir: string): string {
  for (const folder of FOLDERS) cpSync(join(root, folder), join(dir, folder), { recursive: true });
  change(join(dir, "flags/bot-platform.yaml"), ["guards", "errors"], (file) =>
    file.setIn(["guards", "errors", "stages"], ERRORS_JUDGED_IN),
  );
  // No job runs in a blackout, not even by hand, and the demo should show one on any day.
  change(join(dir, "schedules/bot-platform.yaml"), ["blackouts"], (file) => file.delete("blackouts"));
  return dir;
}

function change(path: string, needs: readonly string[], edit: (file: Document) => void): void {
  const file: Document = parseDocument(readFileSync(path, "utf8"));
  if (!file.hasIn(needs)) throw new Error(`${path} has no ${needs.join(".")} any more`);
  edit(file);
  writeFileSync(path, file.toString());
}

/** Writes the overlay for a world of bots into `dir` and returns its path. */
export function writeBotsOverlay(dir: string, { urls, ports, model, bots }: BotWorld): string {
  const path = join(dir, "overlay.yaml");
  const overlay = {
    environment: "demo",
    provider: { kind: "file" },
    view: { http: `${urls.bots}/features`, pointer: "/flags" },
    prometheus: { url: urls.prometheus, scrape_interval: "1s", timeout: "2s" },
    // Seldom, so that it is the webhook that brings an alert.
    alertmanager: { url: urls.alertmanager, watchdog: "Watchdog", interval: "1m" },
    interval: "1s",
    window: "5s",
    watches: {
      [WATCH]: {
        targets: { ollama: restartOf(model), bots: restartOf(bots) },
        probes: {
          ollama: { http: model.upUrl },
          bots: { http: bots.upUrl },
          db: { tcp: `127.0.0.1:${ports.store}` },
          // The demo's database has no replica.
          replication: "off",
        },
      },
    },
  };
  // JSON is YAML.
  writeFileSync(path, JSON.stringify(overlay, null, 2));
  return path;
}

function restartOf({ restartAs: { command, pidfile, log } }: Managed) {
  return { restart: { process: { command, pidfile, log } }, up_within: "15s" };
}
