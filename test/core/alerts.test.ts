/** Which alerts concern a rollout and which only resemble those, the instants they name, and how several services make a storm. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { alertName, type IncomingAlert } from "../../src/core/alerts/incoming.ts";
import { parseInstant } from "../../src/core/alerts/instant.ts";
import { type AlertMatcher, concerns, environmentOf, resembles } from "../../src/core/alerts/matcher.ts";
import {
  isOfStorm,
  NO_STORM,
  type StormWatch,
  sighted,
  stormNow,
  stormText,
  watchFrom,
} from "../../src/core/alerts/storm.ts";
import { MINUTE, SECOND } from "../../src/core/time.ts";

function alert(labels: Readonly<Record<string, string>>): IncomingAlert {
  return { key: "f@1", fingerprint: "f", status: "firing", startsAt: 1, labels, annotations: {} };
}

const PLACE = { service: "svc", environment: "production" };
const on = (...labels: readonly AlertMatcher["labels"][]) => ({
  ...PLACE,
  rollbackOn: labels.map((one) => ({ labels: one })),
});

describe("an alert concerns a rollout", () => {
  const plan = on({ alertname: ["HighErrorRate", "SlowRequests"], severity: ["critical"] }, { team: ["x"] });

  it.each([
    ["every label of a matcher is there", { alertname: "SlowRequests", severity: "critical" }, true],
    ["one matcher of several is enough", { team: "x" }, true],
    ["a label has another value", { alertname: "HighErrorRate", severity: "warning" }, false],
    ["a label is missing", { alertname: "HighErrorRate" }, false],
    ["a value only begins alike", { alertname: "HighErrorRateX", severity: "critical" }, false],
    ["no matcher speaks of it", { alertname: "Watchdog" }, false],
  ])("when %s", (_, labels, yes) => {
    expect(concerns(plan, alert({ ...PLACE, ...labels }))).toBe(yes);
  });

  it.each([
    ["another service", { service: "other", environment: "production" }, false],
    ["no service", { environment: "production" }, false],
    ["another environment", { service: "svc", environment: "staging" }, false],
    ["no environment", { service: "svc" }, false],
    ["`env` instead of `environment`", { service: "svc", env: "production" }, true],
    ["`environment` before `env`", { service: "svc", environment: "staging", env: "production" }, false],
  ])("not without naming the very place: %s", (_, labels, yes) => {
    expect(concerns(plan, alert({ ...labels, team: "x" }))).toBe(yes);
  });

  it("never where the rollout asks for no alerts", () => {
    expect(concerns(PLACE, alert({ ...PLACE, team: "x" }))).toBe(false);
    expect(resembles(PLACE, alert({ ...PLACE, team: "x" }))).toBe(false);
  });

  it("does not take what every object has for a label", () => {
    const odd = on({ constructor: ["x"] }, { toString: ["function toString() { [native code] }"] });
    expect(concerns(odd, alert(PLACE))).toBe(false);
    expect(environmentOf(alert({}))).toBeUndefined();
  });
});

describe("an alert resembles those of a rollout", () => {
  const plan = on({ alertname: ["HighErrorRate"], service: ["svc"], environment: ["production"] });

  it.each([
    ["of another service", { service: "other", environment: "production" }, true],
    ["of the same service", { service: "svc", environment: "production" }, true],
    ["without an environment", { service: "other" }, true],
    ["of another environment", { service: "other", environment: "staging" }, false],
    ["without a service", { environment: "production" }, false],
  ])("%s", (_, place, yes) => {
    expect(resembles(plan, alert({ alertname: "HighErrorRate", ...place }))).toBe(yes);
    expect(resembles(plan, alert({ alertname: "Watchdog", ...place }))).toBe(false);
  });

  it("whenever it concerns it", () => {
    const word = fc.constantFrom("svc", "production", "a", "b");
    const labels = fc.dictionary(fc.constantFrom("service", "environment", "env", "alertname"), word);
    const matcher = fc.record({ labels: fc.dictionary(fc.constantFrom("alertname", "env"), fc.array(word)) });
    fc.assert(
      fc.property(labels, fc.array(matcher), (found, rollbackOn) => {
        const asked = { ...PLACE, rollbackOn };
        if (concerns(asked, alert(found))) expect(resembles(asked, alert(found))).toBe(true);
      }),
    );
  });
});

describe("an alert's name", () => {
  it("is its alertname, or its fingerprint", () => {
    expect(alertName(alert({ alertname: "HighErrorRate" }))).toBe("HighErrorRate");
    expect(alertName(alert({}))).toBe("f");
  });
});

describe("an instant as Alertmanager writes it", () => {
  it.each([
    ["2026-01-05T09:00:00Z", Date.UTC(2026, 0, 5, 9)],
    ["2026-01-05T09:00:00.123456789Z", Date.UTC(2026, 0, 5, 9, 0, 0, 123)],
    ["2026-01-05T09:00:00.9Z", Date.UTC(2026, 0, 5, 9, 0, 0, 900)],
    ["2024-02-29T23:59:59.999+05:30", Date.UTC(2024, 1, 29, 18, 29, 59, 999)],
    ["1970-01-01T00:00:00-01:00", 3_600_000],
    ["0001-01-01T00:00:00Z", -62_135_596_800_000],
    ["2016-12-31T23:59:60Z", Date.UTC(2016, 11, 31, 23, 59, 59)],
  ])("%s", (text, wall) => {
    expect(parseInstant(text)).toBe(wall);
  });

  it.each([
    "",
    "now",
    "2026-01-05",
    "2026-01-05T09:00:00",
    "2026-13-05T09:00:00Z",
    "2026-02-29T09:00:00Z",
    "1900-02-29T09:00:00Z",
    "2026-01-05T24:00:00Z",
    "2026-01-05T09:60:00Z",
    "2026-01-05T09:00:61Z",
    "2026-01-05T09:00:00+24:00",
    " 2026-01-05T09:00:00Z",
    "2026-01-05T09:00:00Zx",
  ])("not %j", (text) => {
    expect(parseInstant(text)).toBeUndefined();
  });

  it("as the system reads it, for every instant", () => {
    const years = { min: new Date("0001-01-01T00:00:00Z"), max: new Date("9999-12-31T23:59:59Z") };
    fc.assert(
      fc.property(fc.date({ ...years, noInvalidDate: true }), (date) => {
        expect(parseInstant(date.toISOString())).toBe(date.getTime());
      }),
    );
  });
});

describe("a storm", () => {
  const START = 1_000_000;
  const now = (second: number) => ({ steady: second * SECOND, wall: START + second * SECOND });
  const firing = (service: string, second: number, startsAt = START + second * SECOND): IncomingAlert => ({
    ...alert({ service }),
    key: `${service}@${startsAt}`,
    startsAt,
  });
  /** The watch after these services were seen at these seconds. */
  const watchOf = (...seen: readonly (readonly [service: string, second: number])[]): StormWatch =>
    seen.reduce<StormWatch>(
      (watch, [service, second]) => sighted(watch, firing(service, second), service, now(second)),
      NO_STORM,
    );

  it("is two services within a minute, named by the first firing", () => {
    const watch = watchOf(["a", 0], ["b", 60]);
    expect(stormNow(watch, now(60))).toMatchObject({
      key: `a@${START}`,
      services: ["a", "b"],
      since: 60 * SECOND,
    });
  });

  it.each<readonly [string, readonly (readonly [string, number])[], number]>([
    [
      "one service alone, however often",
      [
        ["a", 0],
        ["a", 1],
        ["a", 2],
      ],
      2,
    ],
    [
      "two services more than a minute apart",
      [
        ["a", 0],
        ["b", 61],
      ],
      61,
    ],
    [
      "a minute after the newest firing was seen",
      [
        ["a", 0],
        ["b", 1],
      ],
      62,
    ],
  ])("is not: %s", (_, seen, second) => {
    expect(stormNow(watchOf(...seen), now(second))).toBeUndefined();
  });

  it("counts from the newest firing of each service", () => {
    expect(stormNow(watchOf(["a", 0], ["a", 50], ["b", 100]), now(100))?.services).toEqual(["a", "b"]);
  });

  it("goes on with every new firing, under the same name, and a later one is another", () => {
    const watch = watchOf(["a", 0], ["b", 1], ["c", 50], ["c", 100], ["c", 150]);
    const storm = stormNow(watch, now(210));
    expect(storm).toMatchObject({ services: ["a", "b", "c"], since: 1 * SECOND, last: 150 * SECOND });
    const next = sighted(watch, firing("a", 300), "a", now(300));
    expect(stormNow(next, now(300))).toBeUndefined();
    const another = sighted(next, firing("b", 301), "b", now(301));
    expect(stormNow(another, now(301))).toMatchObject({ services: ["a", "b"], since: 301 * SECOND });
  });

  it("is not made of old alerts that are told late", () => {
    const late = START + 600 * SECOND - 5 * MINUTE;
    let watch = sighted(NO_STORM, firing("a", 600, late - 1), "a", now(600));
    watch = sighted(watch, firing("b", 600, late - 1), "b", now(600));
    expect(stormNow(watch, now(600))).toBeUndefined();
    watch = sighted(watch, firing("c", 600, late), "c", now(600));
    watch = sighted(watch, firing("d", 600, late), "d", now(600));
    expect(stormNow(watch, now(600))?.services).toEqual(["c", "d"]);
  });

  it("keeps what began in its time, also when that is told after it", () => {
    const watch = watchOf(["a", 100], ["b", 110], ["c", 150]);
    expect(isOfStorm(watch, firing("a", 0), now(150))).toBe(true);
    const later = now(1_000);
    expect(isOfStorm(watch, firing("a", 49), later)).toBe(false);
    expect(isOfStorm(watch, firing("a", 50), later)).toBe(true);
    expect(isOfStorm(watch, firing("a", 150), later)).toBe(true);
    expect(isOfStorm(watch, firing("a", 151), later)).toBe(false);
    expect(isOfStorm(NO_STORM, firing("a", 0), later)).toBe(false);
  });

  it("survives a restart as text, and anything else is no storm", () => {
    const watch = watchOf(["a", 0], ["b", 1]);
    const storm = stormNow(watch, now(1));
    if (storm === undefined) throw new Error("no storm");
    expect(watchFrom(stormText(storm)).storm).toEqual(storm);
    for (const text of [undefined, "", "{", "[]", '{"key":"a"}']) expect(watchFrom(text)).toEqual(NO_STORM);
  });

  it("remembers a bounded number of services", () => {
    const watch = watchOf(...Array.from({ length: 500 }, (_, index) => [`s${index}`, index / 100] as const));
    expect(watch.sightings.length).toBeLessThanOrEqual(100);
    expect(watch.storm?.services.length).toBeLessThanOrEqual(100);
  });
});
