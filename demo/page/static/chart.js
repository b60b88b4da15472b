/** A line over the last two minutes, with labelled vertical marks; hand-made SVG. */

import { h, setText, svg } from "./dom.js";

const ROW_PX = 13;
const ROWS = 3;
/** Rows that the caption stands in. */
const CAPTION_ROWS = 2;
const CAPTION_GAP_PX = 12;
const TOP_PX = ROWS * ROW_PX + 4;
const LEFT_PX = 40;
const RIGHT_PX = 6;
const TIMES_PX = 15;
const EDGE_PX = 6;
const LABEL_PX = 11;
const LABEL_GAP_PX = 4;
/** A label keeps this much away from the others. */
const APART_PX = 8;
/** Which marks get room for their label first. */
const ORDER = { rollback: 0, flip: 1, deed: 2 };

/**
 * Makes a chart in a figure. `options`: `title`, `name` (class of the line), `pick(point)`, `words(value)` for the figure beside the
 * title, `tick(value)`, `least` (the smallest top of the scale), `times` (whether the time axis is written), and `limit`, drawn as a
 * line, or null.
 */
export function createChart(figure, options) {
  const value = h("strong", { class: "value" });
  const warning = h("span", { class: "warning" });
  const caption = h("figcaption", {}, h("span", {}, options.title), value, warning);
  const canvas = svg("svg", { class: `chart ${options.name}`, role: "img" });
  figure.replaceChildren(caption, canvas);

  return {
    /** Draws `points` and `marks` over the `shownMs` before `now`. */
    draw({ points, marks, now, shownMs }) {
      const { width, height } = canvas.getBoundingClientRect();
      if (width === 0) return;
      const shown = points.map((point) => ({ t: point[0], value: options.pick(point), up: point[3] }));
      tell(options, { value, warning, canvas }, shown.at(-1));
      const right = width - RIGHT_PX;
      const foot = height - (options.times ? TIMES_PX : EDGE_PX);
      const top = scaleTop(shown, options.least);
      const area = {
        right,
        foot,
        top,
        now,
        shownMs,
        x: (t) => LEFT_PX + ((t - now + shownMs) / shownMs) * (right - LEFT_PX),
        y: (v) => foot - (v / top) * (foot - TOP_PX),
      };
      const captioned = caption.getBoundingClientRect().width + CAPTION_GAP_PX;
      canvas.setAttribute("viewBox", `0 0 ${width} ${height}`);
      canvas.replaceChildren(
        ...outages(shown, area),
        ...grid(area, options),
        ...line(shown, area),
        ...(options.limit === null ? [] : limitLine(area, options)),
        ...markLines(marks, area, width, captioned),
      );
    },
  };
}

function tell(options, { value, warning, canvas }, last) {
  const known = last !== undefined && last.value !== null;
  const words = known ? options.words(last.value) : last?.up === false ? "no answer" : "";
  const over = known && options.limit !== null && last.value > options.limit;
  setText(value, words);
  setText(warning, over ? "above the limit" : "");
  const label = `${options.title}: ${words}${over ? ", above the limit" : ""}`;
  if (canvas.getAttribute("aria-label") !== label) canvas.setAttribute("aria-label", label);
}

/** A round number above everything that is shown. */
function scaleTop(shown, least) {
  const most = Math.max(least, ...shown.map((point) => (point.value ?? 0) * 1.05));
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((round) => round >= most) ?? most;
}

function grid({ x, y, right, foot, top, now, shownMs }, options) {
  const bars = [0, 0.5, 1].flatMap((share) => {
    const at = y(top * share);
    const place = { x: LEFT_PX - 6, y: at + 4, "text-anchor": "end" };
    return [
      svg("line", { class: share === 0 ? "base" : "grid", x1: LEFT_PX, x2: right, y1: at, y2: at }),
      svg("text", { class: "tick", ...place }, options.tick(top * share)),
    ];
  });
  if (!options.times) return bars;
  const times = [120, 90, 60, 30, 0].filter((ago) => ago * 1_000 <= shownMs);
  const words = times.map((ago) => {
    const anchor = ago === 0 ? "end" : ago * 1_000 === shownMs ? "start" : "middle";
    const place = { x: x(now - ago * 1_000), y: foot + 12, "text-anchor": anchor };
    return svg("text", { class: "tick", ...place }, ago === 0 ? "now" : `${ago} s ago`);
  });
  return [...bars, ...words];
}

function limitLine({ y, right }, options) {
  const at = y(options.limit);
  return [
    svg("line", { class: "limit", x1: LEFT_PX, x2: right, y1: at, y2: at }),
    svg("text", { class: "limit-word", x: LEFT_PX + 4, y: at - 3 }, `limit ${options.words(options.limit)}`),
  ];
}

/** The stretches without an answer of the service. */
function outages(shown, { x, foot }) {
  const spans = [];
  for (const [index, { t, up }] of shown.entries()) {
    if (up) continue;
    const from = shown[index - 1]?.t ?? t;
    const last = spans.at(-1);
    if (last !== undefined && last.to === from) last.to = t;
    else spans.push({ from, to: t });
  }
  return spans.map(({ from, to }) => {
    const left = Math.max(LEFT_PX, x(from));
    const width = Math.max(1, x(to) - left);
    return svg("rect", { class: "outage", x: left, y: TOP_PX, width, height: foot - TOP_PX });
  });
}

function line(shown, { x, y, foot }) {
  const pieces = [[]];
  for (const { t, value } of shown) {
    const at = x(t);
    if (value !== null && at >= LEFT_PX) pieces.at(-1).push([at.toFixed(1), y(value).toFixed(1)]);
    else if (pieces.at(-1).length > 0) pieces.push([]);
  }
  return pieces
    .filter((piece) => piece.length > 0)
    .flatMap((piece) => {
      const path = piece.map((pair) => pair.join(" ")).join(" L");
      return [
        svg("path", { class: "area", d: `M${piece[0][0]} ${foot} L${path} L${piece.at(-1)[0]} ${foot} Z` }),
        svg("path", { class: "line", d: `M${path}` }),
      ];
    });
}

const ruler = document.createElement("canvas").getContext("2d");
const widths = new Map();

/** How wide a label is, in px; bold ones are wider. */
function widthOf({ label, kind }) {
  const font = `${kind === "rollback" ? 700 : 400} ${LABEL_PX}px ${getComputedStyle(document.body).fontFamily}`;
  const key = `${font} ${label}`;
  if (!widths.has(key)) {
    ruler.font = font;
    widths.set(key, ruler.measureText(label).width);
  }
  return widths.get(key);
}

/** A label stands right or left of its line, wherever there is room; without room the line stands alone. */
function markLines(marks, { x, foot }, width, captioned) {
  const caption = { from: 0, to: captioned };
  const taken = Array.from({ length: ROWS }, (_, row) => (row < CAPTION_ROWS ? [caption] : []));
  const lineXs = marks.map((mark) => x(mark.t));
  const sorted = marks.toSorted((a, b) => ORDER[a.kind] - ORDER[b.kind] || b.t - a.t);
  const lines = [];
  const words = [];
  for (const mark of sorted) {
    const at = x(mark.t);
    if (at < LEFT_PX) continue;
    const most = mark.kind === "deed" ? 0 : marks.length;
    const place = findRoom(taken, at, widthOf(mark) + LABEL_GAP_PX, { width, lineXs, most });
    const from = place === undefined ? TOP_PX : place.row * ROW_PX + 3;
    lines.push(svg("line", { class: `mark ${mark.kind}`, x1: at, x2: at, y1: from, y2: foot }));
    if (place === undefined) continue;
    const where = {
      x: at + (place.isRight ? LABEL_GAP_PX : -LABEL_GAP_PX),
      y: place.row * ROW_PX + 11,
      "text-anchor": place.isRight ? "start" : "end",
    };
    words.push(svg("text", { class: `mark-word ${mark.kind}`, ...where }, mark.label));
  }
  // Every label stands above every line.
  return [...lines, ...words];
}

/** The place where a label crosses the fewest other lines, at most `most`; the right side and the upper rows first. Undefined when there is none. */
function findRoom(taken, at, long, { width, lineXs, most }) {
  let best;
  for (const isRight of [true, false]) {
    const [from, to] = isRight ? [at, at + long] : [at - long, at];
    if (from < LEFT_PX || to > width) continue;
    const isFree = (span) => from > span.to + APART_PX || to < span.from - APART_PX;
    const row = taken.findIndex((spans) => spans.every(isFree));
    if (row < 0) continue;
    const near = (lineX) => lineX !== at && lineX > from - LABEL_GAP_PX && lineX < to + LABEL_GAP_PX;
    const crossed = lineXs.filter(near).length;
    if (crossed <= most && crossed < (best?.crossed ?? Number.POSITIVE_INFINITY))
      best = { row, isRight, crossed, span: { from, to } };
  }
  if (best !== undefined) taken[best.row].push(best.span);
  return best;
}
