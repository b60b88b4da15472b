/** The message box: sends with Enter, completes commands and names, and remembers the last lines. */

import { createCompletion } from "./completion.js";
import { byId } from "./dom.js";

const HISTORY_MAX = 50;
const HEIGHT_MAX_PX = 160;

/** Makes it. `app` gives `send(line)` and `suggestions(word)`, a list of `{ insert, label, detail }`. */
export function createComposer(app) {
  const box = byId("composer-text");
  const history = [];
  let fromEnd = 0;
  const completion = createCompletion(box, byId("suggestions"), app.suggestions, () => grow(box));

  function setText(text) {
    box.value = text;
    grow(box);
    completion.offer();
  }

  function submit() {
    const line = box.value.trim();
    if (line === "") return;
    history.push(line);
    if (history.length > HISTORY_MAX) history.shift();
    fromEnd = 0;
    setText("");
    app.send(line);
  }

  /** Goes back (1) or forward (-1) in the lines that were sent. */
  function recall(step) {
    const next = Math.min(Math.max(0, fromEnd + step), history.length);
    if (next === fromEnd) return;
    fromEnd = next;
    box.value = next === 0 ? "" : history[history.length - next];
    grow(box);
  }

  function takeKey(event) {
    if (completion.takeKey(event)) return true;
    if (event.key === "Enter" && !event.shiftKey) submit();
    else if (event.key === "ArrowUp" && (box.value === "" || fromEnd > 0)) recall(1);
    else if (event.key === "ArrowDown" && fromEnd > 0) recall(-1);
    else return false;
    return true;
  }

  box.addEventListener("keydown", (event) => {
    if (!event.isComposing && takeKey(event)) event.preventDefault();
  });
  box.addEventListener("input", () => {
    fromEnd = 0;
    grow(box);
    completion.offer();
  });
  box.addEventListener("blur", () => completion.close());
  byId("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });

  return {
    /** Puts a line into the box, ready to be sent. */
    draft(line) {
      setText(line);
      box.focus();
    },
    setPlaceholder(text) {
      box.placeholder = text;
    },
  };
}

function grow(box) {
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight, HEIGHT_MAX_PX)}px`;
}
