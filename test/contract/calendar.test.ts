/** The calendar against a slow one that looks at every minute, in many zones and around every change of their clocks; and its tick. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { createCalendar } from "../../src/adapters/calendar.ts";
import { type CronFields, readCron } from "../../src/core/files/cron.ts";
import { DAY, HOUR, MINUTE } from "../../src/core/time.ts";
import { offsetAt } from "../../src/core/watch/job-clock.ts";
import { ManualClock } from "../support/manual-clock.ts";

const calendar = createCalendar({ clock: new ManualClock(0) });

const ZONES = [
  "Europe/Helsinki",
  "America/New_York",
  "America/Santiago",
  "Australia/Lord_Howe",
  "Africa/Casablanca",
  "Pacific/Chatham",
  "America/Nuuk",
  "America/Havana",
  "Asia/Kolkata",
] as const;

const CRONS = [
  "0 0 * * *",
  "30 0 * * *",
  "30 1 * * sun",
  "15 2 * * *",
  "30 2 * * *",
  "30 3 * * *",
  "30 23 * * *",
  "0,30 1-3 * * *",
  "*/30 3 * * *",
  "*/20 */2 * * *",
  "30 2 28 * 6",
  "45 * * * *",
  "*/15 * * * *",
  "* * * * *",
] as const;

/** Wall instants (to the hour) before which a zone's clock changes in a year; some day in spring where it never does. */
function changesOf(zone: string, year: number): readonly number[] {
  const changes: number[] = [];
  for (let at = Date.UTC(year, 0, 1); at < Date.UTC(year + 1, 0, 1); at += HOUR)
    if (offsetAt(at, zone) !== offsetAt(at + HOUR, zone)) changes.push(at);
  return changes.length > 0 ? changes : [Date.UTC(year, 2, 29)];
}

const known = new Map<string, number>();

/** No clock is changed but at a quarter of an hour. */
function quickOffset(at: number, zone: string): number {
  const quarter = Math.floor(at / (15 * MINUTE)) * 15 * MINUTE;
  const key = `${zone} ${quarter}`;
  const offset = known.get(key) ?? offsetAt(quarter, zone);
  known.set(key, offset);
  return offset;
}

function matches(fields: CronFields, local: number): boolean {
  const date = new Date(local);
  const day = fields.days.includes(date.getUTCDate());
  const weekday = fields.weekdays.includes(date.getUTCDay());
  return (
    fields.minutes.includes(date.getUTCMinutes()) &&
    fields.hours.includes(date.getUTCHours()) &&
    fields.months.includes(date.getUTCMonth() + 1) &&
    (fields.eitherDay ? day || weekday : day && weekday)
  );
}

/** Minute by minute: a local time counts when the clock first comes to it or jumps over it; with `*` for hours, whenever the clock shows it. */
function slowFires(cron: string, zone: string, after: number, upTo: number): readonly number[] {
  const read = readCron(cron);
  if (read.kind !== "fields") throw new Error(read.message);
  const isEveryHour = cron.split(" ")[1] === "*";
  const fires: number[] = [];
  let seen = after - 26 * HOUR + quickOffset(after - 26 * HOUR, zone);
  for (let at = after - 26 * HOUR + MINUTE; at <= upTo; at += MINUTE) {
    const local = at + quickOffset(at, zone);
    let isHit = isEveryHour && matches(read.fields, local);
    for (let one = seen + MINUTE; one <= local; one += MINUTE) {
      if (!isEveryHour && matches(read.fields, one)) isHit = true;
    }
    seen = Math.max(seen, local);
    if (isHit && at > after) fires.push(at);
  }
  return fires;
}

describe("fires", () => {
  it.each(ZONES)("are those of a look at every minute, around both changes in %s", (zone) => {
    for (const change of changesOf(zone, 2026)) {
      const [from, to] = [change - 30 * HOUR, change + 30 * HOUR];
      for (const cron of CRONS)
        expect(
          calendar.fires(cron, zone, from, to, 10_000),
          `${cron} at ${new Date(change).toISOString()}`,
        ).toEqual(slowFires(cron, zone, from, to));
    }
  });

  it("come once at the end of a gap, and once when a time comes twice", () => {
    const local = (cron: string, zone: string, from: string, days: number): readonly string[] =>
      calendar
        .fires(cron, zone, Date.parse(from), Date.parse(from) + days * DAY, 10)
        .map((at) => new Date(at + offsetAt(at, zone)).toISOString().slice(5, 16));
    expect(local("30 3 * * *", "Europe/Helsinki", "2026-03-28T00:00Z", 2)).toEqual([
      "03-28T03:30",
      "03-29T04:00",
    ]);
    expect(local("15,45 3 * * *", "Europe/Helsinki", "2026-03-28T12:00Z", 1)).toEqual(["03-29T04:00"]);
    expect(local("30 3 * * *", "Europe/Helsinki", "2026-10-24T00:00Z", 3)).toEqual([
      "10-24T03:30",
      "10-25T03:30",
      "10-26T03:30",
    ]);
    expect(local("30 23 * * *", "America/Nuuk", "2026-03-28T12:00Z", 1)).toEqual(["03-29T00:00"]);
  });

  it("every minute do not stop while clocks are put back", () => {
    const from = Date.UTC(2026, 9, 24, 23);
    expect(calendar.fires("* * * * *", "Europe/Helsinki", from, from + 4 * HOUR, 1_000)).toHaveLength(240);
  });

  it("are after the first instant, up to and with the last, and at most so many", () => {
    const three = Date.UTC(2026, 10, 26, 1);
    expect(calendar.fires("0 3 * * *", "Europe/Helsinki", three - 1, three, 9)).toEqual([three]);
    expect(calendar.fires("0 3 * * *", "Europe/Helsinki", three, three + DAY - 1, 9)).toEqual([]);
    expect(calendar.fires("* * * * *", "UTC", three, three + DAY, 3)).toEqual([
      three + MINUTE,
      three + 2 * MINUTE,
      three + 3 * MINUTE,
    ]);
    expect(calendar.fires("* * * * *", "UTC", three, three - HOUR, 3)).toEqual([]);
  });

  it("next one is far away, or there is none", () => {
    expect(calendar.next("0 12 29 2 *", "UTC", Date.UTC(2026, 0, 1))).toBe(Date.UTC(2028, 1, 29, 12));
    expect(calendar.next("0 12 30 2 *", "UTC", Date.UTC(2026, 0, 1))).toBeUndefined();
  });

  it("of what cannot be read are an error", () => {
    expect(() => calendar.next("61 * * * *", "UTC", 0)).toThrow();
    expect(() => calendar.next("0 3 * * *", "Mars/Base", 0)).toThrow();
    expect(() => calendar.next("0 0 3 * * *", "UTC", 0)).toThrow();
  });
});

describe("the tick", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it("comes at every full minute, and ends", async () => {
    vi.useFakeTimers({ now: Date.UTC(2026, 10, 26, 1, 0, 30) });
    let ticks: number[] = [];
    const end = createCalendar({ clock: new ManualClock(0) }).everyMinute(() => ticks.push(Date.now()));
    await vi.advanceTimersByTimeAsync(3 * MINUTE);
    expect(ticks.map((at) => Math.floor((at % MINUTE) / 1_000))).toEqual([0, 0, 0]);
    end();
    ticks = [];
    await vi.advanceTimersByTimeAsync(3 * MINUTE);
    expect(ticks).toEqual([]);
  });

  it("comes from the steady clock when the other one is silent, and not besides it", async () => {
    vi.useFakeTimers({ now: Date.UTC(2026, 10, 26, 1, 0, 30) });
    const clock = new ManualClock(0);
    let ticks = 0;
    const end = createCalendar({ clock }).everyMinute(() => {
      ticks++;
    });
    // Only steady time goes on, as if the wall clock had been set back by hours.
    vi.useRealTimers();
    await clock.advance(10 * MINUTE);
    end();
    expect(ticks).toBe(9);
    await clock.advance(10 * MINUTE);
    expect(ticks).toBe(9);
  });

  it("is put off by each tick, so that a minute has one", async () => {
    vi.useFakeTimers({
      now: Date.UTC(2026, 10, 26, 1, 0, 30),
      toFake: ["Date", "setTimeout", "clearTimeout", "setInterval", "clearInterval"],
    });
    const clock = new ManualClock(0);
    let ticks = 0;
    const end = createCalendar({ clock }).everyMinute(() => {
      ticks++;
    });
    for (let second = 0; second < 300; second++) {
      await vi.advanceTimersByTimeAsync(1_000);
      await clock.advance(1_000);
    }
    end();
    expect(ticks).toBe(5);
  });
});
