/** The first-week review: how each watched figure went day by day, as a small chart and in words. */
import { formatQuantity, type Unit } from "../quantity.ts";
import { formatDay } from "../watch/job-clock.ts";
import { clip, counted, LINE_ROOM, lineWeight, listed, MOST_LINES, roomBeside } from "./room.ts";
import { spark } from "./spark.ts";
import { type Alert, type AlertLine, line } from "./told.ts";

/** One local day of a figure, in the unit of its query. */
export interface DayFigures {
  /** Wall ms within the day. */
  readonly wall: number;
  readonly figures: { readonly min: number; readonly avg: number; readonly max: number } | undefined;
}

/** One figure over the days, oldest first. */
export interface ReviewSeries {
  readonly name: string;
  readonly unit: Unit;
  readonly max?: number;
  readonly min?: number;
  readonly days: readonly DayFigures[];
  /** Why nothing is known of it, when nothing is. */
  readonly why?: string;
  /** What its trend says, for a figure that has one. */
  readonly trend?: string;
}

export interface Review {
  readonly watch: string;
  readonly wall: number;
  readonly zone: string;
  readonly series: readonly ReviewSeries[];
}

/** More figures than these are named only, in the line after them. */
const MOST_SERIES = MOST_LINES - 1;
/** Most weight of that line, of a trend, and of why there is no data. */
const NOT_SHOWN_ROOM = 500;
const TREND_ROOM = 200;
const WHY_ROOM = 300;

export function firstWeekReview(review: Review): Alert {
  const { watch, wall, zone, series } = review;
  const shown = series.slice(0, MOST_SERIES);
  const days = series.reduce((most, one) => Math.max(most, one.days.length), 0);
  const title = `Review of ${watch}: ${days} days to ${formatDay(wall, zone)}`;
  const { lines, shortened } = linesOf(shown, zone);
  const left = series.slice(MOST_SERIES).map((one) => one.name);
  const notShown = [
    ...(shortened === 0 ? [] : [`by day of ${counted(shortened, "figure")}`]),
    ...(left.length === 0 ? [] : [`${counted(left.length, "more figure")}: ${listed(left, ", ", NAMES)}`]),
  ];
  const beyond = left.length === 0 ? "" : ` And ${counted(left.length, "more figure")}.`;
  return {
    title,
    lines: [
      ...lines,
      ...(notShown.length === 0 ? [] : [line("Not shown", notShown.join("; "))]),
      ...(series.length === 0 ? [line("Nothing", "the flags file has no guard to review")] : []),
    ],
    offers: [],
    summary: `${title}. ${shown.map(inOneSentence).join(" ")}${beyond}`.trim(),
  };
}

const NAMES = { room: NOT_SHOWN_ROOM - 100, each: 100 } as const;

/** One line for each figure; those for which there is no room day by day are told without their days. */
function linesOf(
  all: readonly ReviewSeries[],
  zone: string,
): { readonly lines: readonly AlertLine[]; readonly shortened: number } {
  const forms = all.map((series) => ({ short: seriesLine(series), full: seriesLine(series, zone) }));
  let room = roomBeside([]) - NOT_SHOWN_ROOM;
  for (const { short } of forms) room -= lineWeight(short);
  let shortened = 0;
  const lines = forms.map(({ short, full }) => {
    const more = lineWeight(full) - lineWeight(short);
    if (more <= room && lineWeight(full) <= LINE_ROOM) {
      room -= more;
      return full;
    }
    shortened += 1;
    return short;
  });
  return { lines, shortened };
}

/** Day by day where a zone is given. */
function seriesLine(series: ReviewSeries, zone?: string): AlertLine {
  const { name, unit, days, trend } = series;
  const whole = wholeOf(series);
  if (whole === undefined)
    return line(name, `no data${series.why === undefined ? "" : `: ${clip(series.why, WHY_ROOM)}`}`);
  const show = (value: number): string => formatQuantity(value, unit);
  const chart = spark(days.map(({ figures }) => figures?.avg));
  const towards = trend === undefined ? "" : `; trend ${clip(trend, TREND_ROOM)}`;
  const text = `${chart} ${changeOf(whole, show)}${limitWords(series, show)}${towards}`;
  if (zone === undefined) return line(name, text);
  const each = days.map(({ wall, figures }) =>
    figures === undefined
      ? `${formatDay(wall, zone)} no data`
      : `${formatDay(wall, zone)} min ${show(figures.min)}, average ${show(figures.avg)}, max ${show(figures.max)}`,
  );
  return line(name, `${text}. By day: ${each.join("; ")}`);
}

interface Whole {
  readonly first: number;
  readonly last: number;
  readonly days: number;
  readonly min: number;
  readonly max: number;
}

function wholeOf({ days }: ReviewSeries): Whole | undefined {
  const known = days.flatMap(({ figures }) => (figures === undefined ? [] : [figures]));
  const [first] = known;
  const last = known.at(-1);
  if (first === undefined || last === undefined) return undefined;
  return {
    first: first.avg,
    last: last.avg,
    days: known.length,
    min: known.reduce((least, { min }) => Math.min(least, min), first.min),
    max: known.reduce((most, { max }) => Math.max(most, max), first.max),
  };
}

/** `average 410 MiB → 512 MiB, lowest 380 MiB, highest 540 MiB`. */
function changeOf({ first, last, days, min, max }: Whole, show: (value: number) => string): string {
  const averages = days > 1 ? `average ${show(first)} → ${show(last)}` : `average ${show(last)}`;
  return `${averages}, lowest ${show(min)}, highest ${show(max)}`;
}

function limitWords({ max, min }: ReviewSeries, show: (value: number) => string): string {
  return [
    ...(max === undefined ? [] : [`, limit ${show(max)}`]),
    ...(min === undefined ? [] : [`, at least ${show(min)}`]),
  ].join("");
}

function inOneSentence(series: ReviewSeries): string {
  const whole = wholeOf(series);
  if (whole === undefined) return `${series.name}: no data.`;
  const show = (value: number): string => formatQuantity(value, series.unit);
  const over = series.max !== undefined && whole.max > series.max ? ", above its limit at times" : "";
  const under = series.min !== undefined && whole.min < series.min ? ", below its limit at times" : "";
  return `${series.name}: ${changeOf(whole, show)}${over}${under}.`;
}
