/** Jobs and watches for tests, and when they fire. */
import { createCalendar } from "../../src/adapters/calendar.ts";
import type { Job, WatchPlan } from "../../src/core/watch/plan.ts";
import type { Clock } from "../../src/engine/ports.ts";
import type { Calendar } from "../../src/engine/watch-ports.ts";

export function aJob(change: Partial<Job> = {}): Job {
  return {
    name: "nightly",
    cron: "0 3 * * *",
    zone: "Europe/Helsinki",
    action: { kind: "restart", target: "bots" },
    missed: "run-once",
    graceMs: 7_200_000,
    overlap: "skip",
    jitterMs: 0,
    ...change,
  };
}

export function aWatch(change: Partial<WatchPlan> = {}): WatchPlan {
  return {
    watch: "bots",
    service: "bots",
    environment: "production",
    source: "bots",
    zone: "Europe/Helsinki",
    channel: "#bot-ops",
    prometheus: { url: "http://127.0.0.1:9090", scrape_interval: 15_000 },
    probes: [],
    targets: [],
    budget: { most: 3, withinMs: 1_800_000 },
    jobs: [aJob()],
    blackouts: [],
    trends: [],
    ...change,
  };
}

/** The real calendar, ticking on the given clock. */
export function calendarOn(clock: Clock): Calendar {
  return {
    ...createCalendar({ clock }),
    everyMinute(act) {
      let cancel = (): void => undefined;
      const again = (): void => {
        cancel = clock.after(60_000, () => {
          again();
          act();
        });
      };
      again();
      return () => cancel();
    },
  };
}
