/** A process with one job a minute on a real journal, whose clock a test makes jump; it says each event that it journals. Arguments: the journal's path, steady time's divisor. */
import { createCalendar } from "../../src/adapters/calendar.ts";
import { createClock } from "../../src/adapters/clock.ts";
import { openSqliteJournal } from "../../src/adapters/journal/sqlite.ts";
import { Schedules } from "../../src/engine/schedules.ts";
import type { SubjectJournal } from "../../src/engine/watch-ports.ts";
import { aJob, aWatch } from "./jobs.ts";

const [path = "", divisor = "1"] = process.argv.slice(2);
const clock = createClock();
const store = openSqliteJournal({ path });

function say(what: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify({ wall: clock.now().wall, ...what })}\n`);
}

const journal: SubjectJournal = {
  ...store,
  async commitSubject(commit) {
    const result = await store.commitSubject(commit);
    for (const { event } of commit.events) say({ journaled: event.kind, event, result });
    return result;
  },
};

const schedules = new Schedules({
  clock,
  journal,
  log: {
    info: () => undefined,
    warn: (message) => say({ warning: message }),
    error: (message) => say({ error: message }),
  },
  // So that a test need not wait a minute for the tick that comes when node-cron is silent.
  calendar: createCalendar({ clock: { after: (ms, act) => clock.after(ms / Number(divisor), act) } }),
  actions: {
    restartTarget: () => Promise.reject(new Error("no target here")),
    askTrend: () => Promise.reject(new Error("no trend here")),
    drill: async () => {
      say({ ran: true });
      return { ok: true, detail: "ran" };
    },
    buildPost: () => Promise.reject(new Error("no post here")),
    channelOf: () => undefined,
  },
});

const job = aJob({ name: "minutely", cron: "* * * * *", action: { kind: "drill" }, graceMs: 60_000 });
schedules.setWatches(new Map([["bots", aWatch({ jobs: [job] })]]));
await schedules.start();
say({ started: true });

process.on("SIGTERM", () => {
  void schedules.stop().then(() => {
    store.close();
    process.exit(0);
  });
});
