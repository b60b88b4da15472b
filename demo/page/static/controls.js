/** The buttons: what they do, what they are called now, and the words of each process. */

import { byId, createRedraw, h, setText } from "./dom.js";

const PARTS = ["service", "prometheus", "slack", "belay"];
const NAMES = { prometheus: "Prometheus", slack: "Slack" };
let answerTimer;

function say(text, failed) {
  setText(byId("answer"), text);
  byId("answer").classList.toggle("failed", failed);
  clearTimeout(answerTimer);
  answerTimer = setTimeout(() => setText(byId("answer"), ""), 12_000);
}

async function act(deed) {
  try {
    const headers = { "content-type": "application/json" };
    const response = await fetch("/act", { method: "POST", headers, body: JSON.stringify(deed) });
    const answer = await response.json();
    say(answer.text ?? answer.error ?? "", !response.ok);
  } catch {
    say("The demo does not answer; nothing changed.", true);
  }
}

/** `draft(line)` puts a line into the chat's message box. */
export function startControls(draft) {
  byId("break").addEventListener("click", () => {
    void act({ do: "break", mode: document.querySelector("input[name=mode]:checked").value });
  });
  byId("mend").addEventListener("click", () => void act({ do: "mend" }));
  for (const part of ["prometheus", "slack"]) {
    byId(part).addEventListener("click", (event) => {
      void act({ do: part, up: event.currentTarget.dataset.up === "true" });
    });
  }
  byId("belay").addEventListener("click", () => void act({ do: "kill-belay" }));
  document.addEventListener("click", (event) => {
    const line = event.target.closest?.("[data-line]")?.dataset.line;
    if (line !== undefined) draft(line);
  });
}

const drawFlags = createRedraw((flags) => {
  byId("flags").replaceChildren(
    ...flags.map(({ name, word }) =>
      h(
        "li",
        { class: word === "OFF" ? "off" : "on" },
        h("span", {}, name),
        h("strong", {}, word === "" ? "unknown" : word),
      ),
    ),
  );
});

const drawOptimisations = createRedraw((count) => {
  byId("optimisations").replaceChildren(h("b", {}, `${count} of 4`), " optimisations on");
});

const drawNext = createRedraw((next) => {
  setText(byId("next-text"), next.text);
  const line = byId("next-line");
  line.hidden = next.line === undefined;
  line.dataset.line = next.line ?? "";
  setText(line, next.line ?? "");
  for (const id of ["break", "mend", "prometheus", "slack", "belay"]) {
    byId(id).classList.toggle("suggested", next.press === id);
  }
});

export function drawControls(picture) {
  drawFlags(picture.flags);
  drawNext(picture.next);
  const count = picture.optimisations;
  drawOptimisations(count);
  for (const part of PARTS) {
    const { word, detail } = picture[part];
    setText(byId(`${part}-word`), word);
    byId(`${part}-word`).className = word;
    setText(byId(`${part}-detail`), detail);
    byId(`${part}-detail`).title = detail;
  }
  for (const part of ["prometheus", "slack"]) {
    const { word } = picture[part];
    const button = byId(part);
    const starts = word === "down" || word === "starting";
    setText(button, `${starts ? "Start" : "Kill"} ${NAMES[part]}`);
    button.dataset.up = String(starts);
    button.disabled = word === "starting" || word === "stopping";
  }
  byId("belay").disabled = picture.belay.word !== "up";
  byId("mend").disabled = picture.mode === "none";
  setText(byId("mode"), modeWords(picture));
  byId("mode").title = modeWords(picture);
}

function modeWords({ mode, strikes }) {
  if (mode === "none") return "parallel works as it should";
  return strikes ? `broken now: ${mode}` : `broken when it is on: ${mode}`;
}
