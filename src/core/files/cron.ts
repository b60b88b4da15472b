/** Reads cron expressions of five fields (minute, hour, day, month, weekday) strictly, and says what is wrong with others. */

/** The values at which each field matches, ascending; Sunday is 0. */
export interface CronFields {
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly days: readonly number[];
  readonly months: readonly number[];
  readonly weekdays: readonly number[];
  /** Both day and weekday are given: it fires when either matches. */
  readonly eitherDay: boolean;
}

export type CronRead =
  | { readonly kind: "fields"; readonly fields: CronFields }
  /** `offset`: where in the text, in characters. */
  | { readonly kind: "fault"; readonly message: string; readonly offset: number };

interface Field {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** Names of the values from `from` on. */
  readonly names?: readonly string[];
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: readonly Field[] = [
  { name: "minute", from: 0, to: 59 },
  { name: "hour", from: 0, to: 23 },
  { name: "day", from: 1, to: 31 },
  { name: "month", from: 1, to: 12, names: MONTHS },
  { name: "weekday", from: 0, to: 7, names: WEEKDAYS },
];
const LONGEST_MONTHS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Lists, ranges, steps and names; no seconds, nicknames such as `@daily`, or `L`, `W`, `#` and `?`. Total: any text is read or has a fault. */
export function readCron(text: string): CronRead {
  const parts = [...text.matchAll(/\S+/g)];
  if (parts.length !== FIELDS.length)
    return fault(
      `expected five fields such as 0 3 * * * (minute hour day month weekday), found ${parts.length}`,
      0,
    );
  const sets: (readonly number[])[] = [];
  for (const [index, field] of FIELDS.entries()) {
    const part = parts[index];
    const read = readField(part?.[0] ?? "", field);
    if (typeof read === "string") return fault(read, part?.index ?? 0);
    sets.push(read);
  }
  const [minutes = [], hours = [], days = [], months = [], sevens = []] = sets;
  const weekdays = ascending(sevens.map((day) => day % 7));
  const everyDay = parts[2]?.[0] === "*";
  const everyWeekday = parts[4]?.[0] === "*";
  const first = days[0] ?? 1;
  if (everyWeekday && months.every((month) => (LONGEST_MONTHS[month - 1] ?? 0) < first))
    return fault(`it never fires: no such month has a day ${first}`, parts[2]?.index ?? 0);
  return {
    kind: "fields",
    fields: { minutes, hours, days, months, weekdays, eitherDay: !everyDay && !everyWeekday },
  };
}

/** Minutes since midnight at which it fires on a day that it fires on, ascending. */
export function minutesOfDay({ hours, minutes }: Pick<CronFields, "hours" | "minutes">): readonly number[] {
  return hours.flatMap((hour) => minutes.map((minute) => hour * 60 + minute));
}

/** The shortest time between two fires, minutes, as if it fired every day. */
export function shortestGapMinutes(fields: CronFields): number {
  const minutes = minutesOfDay(fields);
  const first = minutes[0] ?? 0;
  return minutes.reduce(
    (least, minute, index) => Math.min(least, (minutes[index + 1] ?? first + 24 * 60) - minute),
    24 * 60,
  );
}

function fault(message: string, offset: number): CronRead {
  return { kind: "fault", message, offset };
}

function ascending(values: readonly number[]): readonly number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}

/** The values of a field, or what is wrong with it. */
function readField(text: string, field: Field): readonly number[] | string {
  const values: number[] = [];
  for (const item of text.split(",")) {
    const match = /^(?:(\*)|([A-Za-z0-9]{1,4})(?:-([A-Za-z0-9]{1,4}))?)(?:\/(\d{1,4}))?$/.exec(item);
    if (match === null) return wrong(item, field);
    const [, star, low = "", high, every] = match;
    const top = field.name === "weekday" ? 6 : field.to;
    const from = star === undefined ? numberOf(low, field, false) : field.from;
    const to = star === undefined ? (high === undefined ? from : numberOf(high, field, true)) : top;
    if (from === undefined || to === undefined) return wrong(item, field);
    if (from > to) return `${field.name}: expected a range that rises, found ${item}`;
    const step = Number(every ?? 1);
    if (every !== undefined && star === undefined && high === undefined)
      return `${field.name}: a step needs \`*\` or a range before it, such as */${every}, found ${item}`;
    if (step < 1 || step > field.to)
      return `${field.name}: expected a step from 1 to ${field.to}, found ${item}`;
    for (let value = from; value <= to; value += step) values.push(value);
  }
  return ascending(values);
}

function wrong(item: string, field: Field): string {
  const names = field.names === undefined ? "" : ` or ${field.names[0]} to ${field.names.at(-1)}`;
  return `${field.name}: expected *, ${field.from} to ${field.to}${names}, a list, a range or a step, found ${item === "" ? "nothing" : item}`;
}

/** Sunday ends a range as 7 when it is named: `fri-sun`. */
function numberOf(text: string, field: Field, ends: boolean): number | undefined {
  const named = field.names?.indexOf(text.toLowerCase()) ?? -1;
  if (named >= 0) return field.name === "weekday" && ends && named === 0 ? 7 : named + field.from;
  if (!/^\d{1,2}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= field.from && value <= field.to ? value : undefined;
}
