/** Durations, clocks and forward hours, over both changes of summer time in several zones. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  DAY,
  type ForwardWindow,
  formatClock,
  formatDuration,
  HOUR,
  isOpen,
  isZone,
  MINUTE,
  nextClock,
  opensAt,
  parseDuration,
  parseForwardWindow,
  SECOND,
} from "../../src/core/time.ts";

describe("parseDuration", () => {
  it.each([
    ["0", 0],
    ["0s", 0],
    ["250ms", 250],
    ["90s", 90_000],
    ["1.5h", 5_400_000],
    ["1h30m", 5_400_000],
    ["2d", 172_800_000],
    ["1d2h3m4s5ms", 93_784_005],
    [" 15m ", 900_000],
    ["366d", 366 * DAY],
    ["0.4ms", 0],
  ])("%s is %d ms", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each([
    "",
    " ",
    "5",
    "m",
    "-5m",
    "+5m",
    "5 m",
    "1h 30m",
    "5M",
    "5min",
    "1e3s",
    "5m!",
    ".5h",
    "5.h",
    "1h30",
    "367d",
    "9".repeat(39),
    `${"1s".repeat(21)}`,
    "５m",
    "1\u200Bm",
    "NaN",
    "Infinity",
    "0x5m",
  ])("%j is not a duration", (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});

describe("formatDuration", () => {
  it.each([
    [0, "0 s"],
    [1, "1 ms"],
    [999, "999 ms"],
    [999.7, "1 s"],
    [1_000, "1 s"],
    [2_100, "2.1 s"],
    [9_949, "9.9 s"],
    [9_960, "10 s"],
    [10_000, "10 s"],
    [59_400, "59 s"],
    [59_600, "1 min"],
    [90_000, "1 min 30 s"],
    [3_599_499, "59 min 59 s"],
    [3_599_600, "1 h"],
    [7_260_000, "2 h 1 min"],
    [86_399_000, "1 d"],
    [41 * HOUR, "1 d 17 h"],
    [14 * DAY, "14 d"],
    [-90_000, "-1 min 30 s"],
  ])("%d ms reads %s", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  it("never writes a part that carries over (60 s, 60 min, 24 h, 1000 ms)", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 400 * DAY, noNaN: true }), (ms) => {
        expect(formatDuration(ms)).not.toMatch(/\b(60 s|60 min|24 h|1000 ms)/);
      }),
    );
  });
});

describe("isZone", () => {
  it.each(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])(
    "%s",
    (zone) => {
      expect(isZone(zone)).toBe(true);
    },
  );

  it.each(["", "Berlin", "Europe/Atlantis", "constructor", "Europe/Berlin; rm"])("not %j", (zone) => {
    expect(isZone(zone)).toBe(false);
  });
});

describe("parseForwardWindow", () => {
  it.each([
    ["Mon-Thu 09:00-16:00", "MTWT---", 540, 960],
    ["mon,wed-fri 9:00 - 16:30", "M-WTF--", 540, 990],
    ["Fri-Mon 00:00-24:00", "M---FSS", 0, 1440],
    ["Sun 23:59-24:00", "------S", 1439, 1440],
    ["Mon-Sun 00:00-24:00", "MTWTFSS", 0, 1440],
  ])("%s", (text, days, from, to) => {
    const window = parseForwardWindow(text, "UTC");
    expect(window?.days.map((open, day) => (open ? "MTWTFSS"[day] : "-")).join("")).toBe(days);
    expect(window).toMatchObject({ fromMinute: from, toMinute: to, zone: "UTC", text });
  });

  it.each([
    "",
    "Mon",
    "09:00-16:00",
    "Mon 24:00-09:00",
    "Mon 09:00-09:00",
    "Mon 09:60-10:00",
    "Mon 09:00-24:01",
    "Mon 25:00-26:00",
    "Mon-Thu-Fri 09:00-16:00",
    "Mon-Xyz 09:00-16:00",
    "Mon,,Tue 09:00-16:00",
    "Mon 9-16",
    "Mon 09:00-16:00 CET",
  ])("%j is not understood", (text) => {
    expect(parseForwardWindow(text, "UTC")).toBeUndefined();
  });

  it("needs a zone that exists", () => {
    expect(parseForwardWindow("Mon 09:00-16:00", "Mars/Olympus")).toBeUndefined();
  });
});

function hours(text: string, zone: string): ForwardWindow {
  const window = parseForwardWindow(text, zone);
  if (window === undefined) throw new Error(`bad window ${text}`);
  return window;
}

describe("isOpen and opensAt", () => {
  it.each([
    ["Mon-Thu 09:00-16:00", "Europe/Berlin", "2026-01-05T07:59:59.999Z", false, "2026-01-05T08:00:00.000Z"],
    ["Mon-Thu 09:00-16:00", "Europe/Berlin", "2026-01-05T08:00:00.000Z", true, "2026-01-05T08:00:00.000Z"],
    ["Mon-Thu 09:00-16:00", "Europe/Berlin", "2026-01-05T14:59:59.999Z", true, "2026-01-05T14:59:59.999Z"],
    ["Mon-Thu 09:00-16:00", "Europe/Berlin", "2026-01-05T15:00:00.000Z", false, "2026-01-06T08:00:00.000Z"],
    ["Mon-Thu 09:00-16:00", "Europe/Berlin", "2026-01-08T15:00:00.250Z", false, "2026-01-12T08:00:00.000Z"],
    // Summer time begins on Sunday 2026-03-29 in Berlin, on 2026-03-08 in New York; it ends on 2026-10-25 and 2026-11-01.
    ["Mon-Fri 09:00-16:00", "Europe/Berlin", "2026-03-27T17:00:00.000Z", false, "2026-03-30T07:00:00.000Z"],
    ["Mon-Fri 09:00-16:00", "Europe/Berlin", "2026-10-23T17:00:00.000Z", false, "2026-10-26T08:00:00.000Z"],
    ["Sun 09:00-16:00", "Europe/Berlin", "2026-03-28T23:30:00.000Z", false, "2026-03-29T07:00:00.000Z"],
    ["Sun 09:00-16:00", "Europe/Berlin", "2026-10-24T22:30:00.000Z", false, "2026-10-25T08:00:00.000Z"],
    ["Mon 00:00-00:30", "Europe/Berlin", "2026-03-28T23:30:00.000Z", false, "2026-03-29T22:00:00.000Z"],
    ["Sun 02:00-03:00", "Europe/Berlin", "2026-03-28T20:00:00.000Z", false, "2026-04-05T00:00:00.000Z"],
    ["Sun 09:00-16:00", "America/New_York", "2026-03-08T05:30:00.000Z", false, "2026-03-08T13:00:00.000Z"],
    ["Sun 09:00-16:00", "America/New_York", "2026-11-01T04:30:00.000Z", false, "2026-11-01T14:00:00.000Z"],
    // Lord Howe moves by half an hour: at 15:30 UTC on Saturday 2026-10-03, and back at 15:00 UTC on Saturday 2026-04-04.
    ["Sun 09:00-16:00", "Australia/Lord_Howe", "2026-10-03T13:45:00.000Z", false, "2026-10-03T22:00:00.000Z"],
    ["Sun 09:00-16:00", "Australia/Lord_Howe", "2026-04-04T13:15:00.000Z", false, "2026-04-04T22:30:00.000Z"],
  ])("%s %s at %s: %s, opens %s", (text, zone, at, open, opens) => {
    const window = hours(text, zone);
    const wall = Date.parse(at);
    expect(isOpen(window, wall)).toBe(open);
    expect(new Date(opensAt(window, wall)).toISOString()).toBe(opens);
  });

  it("finds the first open instant and no earlier one is open, in any zone and season", () => {
    const zones = fc.constantFrom(
      "UTC",
      "Europe/Berlin",
      "America/New_York",
      "Australia/Lord_Howe",
      "Asia/Kathmandu",
    );
    const windows = fc.constantFrom(
      "Mon-Thu 09:00-16:00",
      "Sun 02:00-03:00",
      "Sat,Sun 00:00-00:15",
      "Wed 23:45-24:00",
    );
    const walls = fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2026, 11, 31) });
    fc.assert(
      fc.property(zones, windows, walls, (zone, text, wall) => {
        const window = hours(text, zone);
        const opens = opensAt(window, wall);
        expect(opens).toBeGreaterThanOrEqual(wall);
        expect(isOpen(window, opens)).toBe(true);
        if (opens > wall) expect(isOpen(window, opens - 1)).toBe(false);
        for (let at = wall; at < opens; at += 7 * MINUTE) expect(isOpen(window, at)).toBe(false);
      }),
      { numRuns: 60 },
    );
  });
});

describe("nextClock", () => {
  it.each([
    ["2026-01-05T09:00:00.000Z", 14, 0, "UTC", "2026-01-05T14:00:00.000Z"],
    ["2026-01-05T14:00:00.000Z", 14, 0, "UTC", "2026-01-06T14:00:00.000Z"],
    ["2026-01-05T13:59:59.999Z", 14, 0, "UTC", "2026-01-05T14:00:00.000Z"],
    ["2026-01-05T23:30:00.000Z", 0, 15, "Europe/Berlin", "2026-01-06T23:15:00.000Z"],
    // In Berlin 02:30 does not exist on 2026-03-29 and exists twice on 2026-10-25.
    ["2026-03-28T23:00:00.000Z", 2, 30, "Europe/Berlin", "2026-03-30T00:30:00.000Z"],
    ["2026-03-28T23:00:00.000Z", 4, 0, "Europe/Berlin", "2026-03-29T02:00:00.000Z"],
    ["2026-03-28T08:00:00.000Z", 9, 0, "Europe/Berlin", "2026-03-29T07:00:00.000Z"],
    ["2026-10-24T22:00:00.000Z", 2, 30, "Europe/Berlin", "2026-10-25T00:30:00.000Z"],
    ["2026-10-25T00:45:00.000Z", 2, 30, "Europe/Berlin", "2026-10-25T01:30:00.000Z"],
    ["2026-10-24T22:20:00.000Z", 0, 10, "Europe/Berlin", "2026-10-25T23:10:00.000Z"],
    ["2026-10-24T08:00:00.000Z", 9, 0, "Europe/Berlin", "2026-10-25T08:00:00.000Z"],
    ["2026-11-01T05:00:00.000Z", 1, 30, "America/New_York", "2026-11-01T05:30:00.000Z"],
    ["2026-11-01T05:45:00.000Z", 1, 30, "America/New_York", "2026-11-01T06:30:00.000Z"],
    ["2026-03-08T05:00:00.000Z", 2, 15, "America/New_York", "2026-03-09T06:15:00.000Z"],
    ["2026-10-03T12:00:00.000Z", 2, 15, "Australia/Lord_Howe", "2026-10-04T15:15:00.000Z"],
    ["2026-01-05T09:00:00.000Z", 9, 0, "Asia/Kathmandu", "2026-01-06T03:15:00.000Z"],
  ])("after %s the clock shows %d:%d in %s at %s", (at, hour, minute, zone, next) => {
    expect(new Date(nextClock(Date.parse(at), hour, minute, zone)).toISOString()).toBe(next);
  });

  it("is later than asked, shows that time, and nothing between shows it", () => {
    const zones = fc.constantFrom("Europe/Berlin", "America/New_York", "Australia/Lord_Howe");
    const days = fc.constantFrom(
      "2026-03-28",
      "2026-10-24",
      "2026-03-07",
      "2026-10-31",
      "2026-10-03",
      "2026-04-04",
      "2026-07-01",
    );
    fc.assert(
      fc.property(
        zones,
        days,
        fc.nat({ max: 2 * DAY }),
        fc.nat({ max: 23 }),
        fc.nat({ max: 59 }),
        (zone, day, into, hour, minute) => {
          const wall = Date.parse(`${day}T00:00:00Z`) + into;
          const found = nextClock(wall, hour, minute, zone);
          const shows = `${String(hour).padStart(2, "0")}:${String(minute).padStart(2, "0")}`;
          expect(found).toBeGreaterThan(wall);
          expect(found - wall).toBeLessThanOrEqual(2 * DAY);
          expect(formatClock(found, zone)).toBe(`${shows}:00`);
          for (let at = Math.floor(wall / MINUTE + 1) * MINUTE; at < found; at += MINUTE)
            if (formatClock(at, zone).startsWith(shows))
              throw new Error(`${new Date(at).toISOString()} is earlier`);
        },
      ),
      { numRuns: 25 },
    );
  });
});

describe("formatClock", () => {
  it.each([
    ["2026-01-05T23:59:59.999Z", "UTC", "23:59:59"],
    ["2026-01-05T00:00:00.000Z", "UTC", "00:00:00"],
    ["2026-07-05T22:00:00.000Z", "Europe/Berlin", "00:00:00"],
    ["2026-01-05T12:00:00.000Z", "Asia/Kathmandu", "17:45:00"],
  ])("%s in %s is %s", (at, zone, text) => {
    expect(formatClock(Date.parse(at), zone)).toBe(text);
  });
});

it("the units are what they say", () => {
  expect([SECOND, MINUTE, HOUR, DAY]).toEqual([1_000, 60_000, 3_600_000, 86_400_000]);
});
