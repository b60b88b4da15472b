/** What each rollback cost: the newest one large, the others in a list. */

import { byId, createRedraw, h, setText } from "./dom.js";

const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });
const time = (wall) => CLOCK.format(wall);

/** "OFF in 2.1 s: 87 failed files; ..." with the part before the colon large. */
function drawCost(text) {
  const [head, ...rest] = text.split(":");
  if (byId("cost").textContent === text) return;
  byId("cost").replaceChildren(h("b", {}, head), rest.length === 0 ? "" : `:${rest.join(":")}`);
}

export const drawRollbacks = createRedraw((rollbacks) => {
  const [newest, ...older] = rollbacks;
  const isKnown = newest !== undefined;
  drawCost(isKnown ? newest.cost || `${newest.flags} rolled back` : "No rollback yet");
  const note = isKnown
    ? `${newest.flags} · ${newest.why} · ${newest.outcome}`
    : "From the first trouble to the flag off, as the service itself counts it: that will stand here.";
  setText(byId("cost-note"), note);
  byId("cost-note").title = note;
  byId("earlier").hidden = older.length === 0;
  setText(byId("earlier-count"), `${older.length} earlier`);
  byId("earlier-list").replaceChildren(
    ...older.map((one) =>
      h(
        "li",
        {},
        h("span", { class: "soft" }, `${time(one.wall)} · ${one.flags} · ${one.why}`),
        h("br"),
        one.cost || one.outcome,
      ),
    ),
  );
});
