/** The demo's page: the chat on the left, and on the right the live picture that the server streams. */

import { createChart } from "./chart.js";
import { drawControls, startControls } from "./controls.js";
import { byId, setText } from "./dom.js";
import { drawRollbacks } from "./rollbacks.js";
import { drawTimeline } from "./timeline.js";

const short = (value) => (value >= 10 ? value.toFixed(0) : value.toFixed(1));

let frame;
let points = [];
let charts = [];
let latest;

function takeFrame(next) {
  points = [];
  if (frame !== undefined) return;
  frame = next;
  byId("chat").src = `${frame.slackOrigin}/?embed=1&as=ana&channel=ingestion-ops`;
  setText(byId("pace"), `${frame.speed} s for each planned hour; everything measured is real time`);
  const { limitPercent } = frame;
  charts = [
    createChart(byId("failed"), {
      title: "Failed files",
      name: "failures",
      pick: (point) => point[1],
      words: (value) => `${value === limitPercent ? value : short(value)} %`,
      tick: (value) => `${value} %`,
      least: 4,
      times: false,
      limit: limitPercent,
    }),
    createChart(byId("throughput"), {
      title: "Throughput",
      name: "files",
      pick: (point) => point[2],
      words: (value) => `${short(value)} files/s`,
      tick: (value) => String(value),
      least: 40,
      times: true,
      limit: null,
    }),
  ];
}

function takePicture(picture) {
  latest = picture;
  const from = picture.now - frame.shownMs - 5_000;
  points = [...points.filter((point) => point[0] > from), ...picture.points];
  drawTimeline(picture.timeline);
  drawRollbacks(picture.rollbacks);
  drawControls(picture);
  drawCharts();
  document.body.dataset.ready = "true";
}

function drawCharts() {
  if (latest === undefined || document.hidden) return;
  for (const chart of charts)
    chart.draw({ points, marks: latest.marks, now: latest.now, shownMs: frame.shownMs });
}

function follow() {
  const source = new EventSource("/live");
  source.addEventListener("frame", (event) => takeFrame(JSON.parse(event.data)));
  source.addEventListener("picture", (event) => takePicture(JSON.parse(event.data)));
  source.addEventListener("open", () => {
    byId("lost").hidden = true;
  });
  source.addEventListener("error", () => {
    byId("lost").hidden = false;
  });
}

startControls((draft) => {
  const chat = byId("chat");
  chat.focus();
  chat.contentWindow.postMessage({ draft }, frame.slackOrigin);
});
window.addEventListener("resize", drawCharts);
follow();
