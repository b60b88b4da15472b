/** The rollout in planned time: its stops, and where on the way we are. */

import { byId, createRedraw, h, setText } from "./dom.js";

const WORDS = {
  done: "done",
  now: "now",
  next: "to come",
  undone: "rolled back",
  skipped: "not in this run",
};

const drawStops = createRedraw((stops) => {
  byId("stops").replaceChildren(
    ...stops.map((stop) =>
      h(
        "li",
        { class: `stop ${stop.mark}`, "aria-current": stop.mark === "now" ? "step" : undefined },
        h("span", { class: "planned" }, stop.planned),
        h("span", { class: "stage", title: stop.what }, stop.name),
        h("span", { class: "mark-is" }, WORDS[stop.mark]),
      ),
    ),
  );
});

export function drawTimeline(timeline) {
  drawStops(timeline.stops);
  setText(byId("rollout-name"), timeline.rollout);
  setText(byId("rollout-status"), timeline.status);
  setText(byId("rollout-at"), timeline.atName);
  setText(byId("rollout-says"), timeline.says);
  byId("rollout-says").title = timeline.says;
  // The middle of each stop's column is its place.
  const share = `${((timeline.at + 0.5) / timeline.stops.length) * 100}%`;
  byId("walked").style.width = timeline.atName === "" ? "0" : share;
  byId("here").style.left = share;
  byId("here").hidden = timeline.atName === "";
  byId("here").classList.toggle("stands", !timeline.moves);
}
