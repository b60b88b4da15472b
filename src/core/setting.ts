/** How a flag is set: off, on, a percentage, or a value; and how a setting is written in a flag store. */

/** `percent` is strictly between 0 and 100 (0 is `off`, 100 is `on`). `value` is the literal text the service reads. */
export type Setting =
  | { readonly kind: "off" }
  | { readonly kind: "on" }
  | { readonly kind: "percent"; readonly percent: number }
  | { readonly kind: "value"; readonly value: string };

export const OFF: Setting = { kind: "off" };
export const ON: Setting = { kind: "on" };

/** A percentage as a setting; 0 and 100 become `off` and `on`. */
export function percentSetting(percent: number): Setting {
  if (percent <= 0) return OFF;
  return percent >= 100 ? ON : { kind: "percent", percent };
}

export function sameSetting(a: Setting, b: Setting): boolean {
  switch (a.kind) {
    case "off":
    case "on":
      return a.kind === b.kind;
    case "percent":
      return b.kind === "percent" && a.percent === b.percent;
    case "value":
      return b.kind === "value" && a.value === b.value;
  }
}

/** The two literals of a flag, as the service reads them. */
export interface Literals {
  readonly on: string;
  readonly off: string;
}

const NUMBER = /^-?\d{1,15}(\.\d{1,9})?$/;

/** Whether a flag is a number, such as a limit: both its literals are. */
export function isNumeric({ on, off }: Literals): boolean {
  return NUMBER.test(on) && NUMBER.test(off);
}

/** The number that a literal or value is; undefined when it is none. */
export function numberOf(text: string): number | undefined {
  return NUMBER.test(text.trim()) ? Number(text) : undefined;
}

/** `ON`, `OFF`, `25 %` or the value, a number with its thousands apart, for people. Of a flag that is a number `on` and `off` are shown as numbers. */
export function formatSetting(setting: Setting, literals?: Literals): string {
  const numeric = literals !== undefined && isNumeric(literals);
  switch (setting.kind) {
    case "off":
      return numeric ? withThousands(literals.off) : "OFF";
    case "on":
      return numeric ? withThousands(literals.on) : "ON";
    case "percent":
      return `${setting.percent} %`;
    case "value":
      return withThousands(setting.value);
  }
}

/** What a person is told to set by hand: a value as the service reads it, without anything between its digits. */
export function typedSetting(setting: Setting, literals: Literals | undefined): string {
  if (setting.kind === "value") return setting.value;
  return literals !== undefined && isNumeric(literals) && setting.kind !== "percent"
    ? toWire(literals, setting).value
    : formatSetting(setting);
}

function withThousands(text: string): string {
  if (!NUMBER.test(text)) return text;
  const [whole = "", fraction] = text.split(".");
  const apart = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === undefined ? apart : `${apart}.${fraction}`;
}

/** A setting as a flag store keeps it: a literal, and for a percentage the share (0-100) that gets it. */
export interface Wire {
  readonly value: string;
  readonly percent?: number;
}

export function toWire(literals: Literals, setting: Setting): Wire {
  switch (setting.kind) {
    case "off":
      return { value: literals.off };
    case "on":
      return { value: literals.on };
    case "percent":
      return { value: literals.on, percent: setting.percent };
    case "value":
      return { value: setting.value };
  }
}

/** The setting that a stored literal means; a literal that is neither `on` nor `off` is a value. */
export function fromWire(literals: Literals, wire: Wire): Setting {
  if (wire.percent !== undefined && wire.value === literals.on) return percentSetting(wire.percent);
  if (wire.value === literals.on) return ON;
  if (wire.value === literals.off) return OFF;
  return { kind: "value", value: wire.value };
}
