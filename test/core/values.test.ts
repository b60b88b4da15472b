/** Quantities with their units, and settings with their literals in a flag store. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatQuantity, parseQuantity, type Unit } from "../../src/core/quantity.ts";
import {
  formatSetting,
  fromWire,
  OFF,
  ON,
  percentSetting,
  type Setting,
  sameSetting,
  toWire,
  type Wire,
} from "../../src/core/setting.ts";

describe("parseQuantity", () => {
  it.each<[string | number, number, Unit]>([
    ["2%", 0.02, "percent"],
    ["0.1 %", 0.001, "percent"],
    ["250ms", 0.25, "seconds"],
    ["1.5s", 1.5, "seconds"],
    ["2m", 120, "seconds"],
    ["1h", 3600, "seconds"],
    ["512B", 512, "bytes"],
    ["1KB", 1000, "bytes"],
    ["2MB", 2e6, "bytes"],
    ["3GB", 3e9, "bytes"],
    ["1KiB", 1024, "bytes"],
    ["1MiB", 1_048_576, "bytes"],
    ["1GiB", 1_073_741_824, "bytes"],
    ["20", 20, "none"],
    ["-5", -5, "none"],
    [0.5, 0.5, "none"],
    [-0, -0, "none"],
    ["  20  ", 20, "none"],
  ])("%j is %d %s", (text, value, unit) => {
    const found = parseQuantity(text);
    expect(found?.unit).toBe(unit);
    expect(found?.value).toBeCloseTo(value, 12);
  });

  it.each([
    "",
    "%",
    "ms",
    "2 parsecs",
    "1e3",
    "0x10",
    ".5",
    "5.",
    "--5",
    "+5",
    "1,000",
    "2%%",
    "NaN",
    "Infinity",
    "1gib",
    "1Gib",
    "1234567890123456",
    "0.1234567890",
    "２%",
    "constructor",
    Number.NaN,
    Number.POSITIVE_INFINITY,
  ])("%j is no quantity", (text) => {
    expect(parseQuantity(text)).toBeUndefined();
  });
});

describe("formatQuantity", () => {
  it.each<[number, Unit, string]>([
    [0.02, "percent", "2 %"],
    [0.0235, "percent", "2.35 %"],
    [0.5, "percent", "50 %"],
    [1.5, "percent", "150 %"],
    [0.00001, "percent", "0.001 %"],
    [0, "percent", "0 %"],
    [0.188, "seconds", "188 ms"],
    [0.0021, "seconds", "2.1 ms"],
    [1, "seconds", "1 s"],
    [12.345, "seconds", "12.3 s"],
    [512, "bytes", "512 B"],
    [1_536, "bytes", "1.5 KiB"],
    [536_870_912, "bytes", "512 MiB"],
    [1_073_741_824, "bytes", "1 GiB"],
    [-2_097_152, "bytes", "-2 MiB"],
    [0.35, "none", "0.35"],
    [-0.5, "none", "-0.5"],
    [123_456, "none", "123456"],
    [Number.NaN, "none", "NaN"],
    [Number.POSITIVE_INFINITY, "seconds", "Infinity s"],
  ])("%d as %s reads %s", (value, unit, text) => {
    expect(formatQuantity(value, unit)).toBe(text);
  });
});

describe("settings", () => {
  it.each<[number, string]>([
    [-5, "OFF"],
    [0, "OFF"],
    [0.5, "0.5 %"],
    [25, "25 %"],
    [99.99, "99.99 %"],
    [100, "ON"],
    [150, "ON"],
  ])("%d percent is %s", (percent, text) => {
    expect(formatSetting(percentSetting(percent))).toBe(text);
  });

  it("of different kinds or values differ", () => {
    const all: readonly Setting[] = [
      ON,
      OFF,
      percentSetting(5),
      percentSetting(25),
      { kind: "value", value: "5" },
      { kind: "value", value: "on" },
    ];
    for (const [i, a] of all.entries())
      for (const [j, b] of all.entries()) expect(sameSetting(a, b)).toBe(i === j);
  });

  const literals = { on: "enabled", off: "disabled" };

  it.each<[Setting, Wire]>([
    [ON, { value: "enabled" }],
    [OFF, { value: "disabled" }],
    [percentSetting(25), { value: "enabled", percent: 25 }],
    [{ kind: "value", value: "1000" }, { value: "1000" }],
  ])("%j is stored as %j and read back the same", (setting, wire) => {
    expect(toWire(literals, setting)).toEqual(wire);
    expect(fromWire(literals, wire)).toEqual(setting);
  });

  it.each<[Wire, Setting]>([
    [{ value: "enabled", percent: 0 }, OFF],
    [{ value: "enabled", percent: 100 }, ON],
    [{ value: "disabled", percent: 50 }, OFF],
    [
      { value: "1000", percent: 50 },
      { kind: "value", value: "1000" },
    ],
    [{ value: "true" }, { kind: "value", value: "true" }],
    [{ value: "" }, { kind: "value", value: "" }],
  ])("%j in a store means %j", (wire, setting) => {
    expect(fromWire(literals, wire)).toEqual(setting);
  });

  it("every setting survives the store, whatever the two literals", () => {
    const setting: fc.Arbitrary<Setting> = fc.oneof(
      fc.constantFrom(ON, OFF),
      fc.integer({ min: 1, max: 99 }).map(percentSetting),
      fc.string().map((value): Setting => ({ kind: "value", value })),
    );
    fc.assert(
      fc.property(setting, fc.string(), fc.string(), (one, on, off) => {
        fc.pre(on !== off && !(one.kind === "value" && (one.value === on || one.value === off)));
        expect(fromWire({ on, off }, toWire({ on, off }, one))).toEqual(one);
      }),
    );
  });
});
