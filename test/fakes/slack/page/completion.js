/** Completes commands and names in a text box: a list box that is worked with the arrow keys. */

import { h } from "./dom.js";

/** The word before the caret that could be completed, and where it starts. */
function wordAtCaret(box) {
  const before = box.value.slice(0, box.selectionStart);
  if (/^\/[a-z0-9_-]*$/.test(before)) return { word: before, start: 0 };
  const name = /(^|\s)([@#][a-z0-9._-]*)$/.exec(before);
  return name === null ? undefined : { word: name[2], start: before.length - name[2].length };
}

/**
 * Adds completion to a text box. `suggestions(word)` gives a list of `{ insert, label, detail }`; `changed` is called
 * after one was put in.
 */
export function createCompletion(box, listbox, suggestions, changed) {
  let offered = [];
  let active = -1;

  function draw() {
    listbox.hidden = offered.length === 0;
    box.setAttribute("aria-expanded", String(offered.length > 0));
    listbox.replaceChildren(...offered.map(optionOf));
    if (active < 0) {
      box.removeAttribute("aria-activedescendant");
      return;
    }
    box.setAttribute("aria-activedescendant", `suggestion-${active}`);
    listbox.children[active].scrollIntoView({ block: "nearest" });
  }

  function optionOf(one, index) {
    const take = (event) => {
      event.preventDefault();
      accept(index);
    };
    const properties = {
      id: `suggestion-${index}`,
      role: "option",
      "aria-selected": String(index === active),
      onmousedown: take,
    };
    return h("div", properties, h("strong", {}, one.label), h("span", {}, one.detail));
  }

  function close() {
    offered = [];
    active = -1;
    draw();
  }

  function accept(index) {
    const found = wordAtCaret(box);
    const one = offered[index];
    if (found !== undefined && one !== undefined) {
      box.setRangeText(`${one.insert} `, found.start, found.start + found.word.length, "end");
    }
    close();
    box.focus();
    changed();
  }

  return {
    close,
    /** Offers what fits the word before the caret. */
    offer() {
      const found = wordAtCaret(box);
      offered = found === undefined ? [] : suggestions(found.word);
      if (offered.length === 1 && offered[0].insert === found?.word) offered = [];
      active = offered.length > 0 ? 0 : -1;
      draw();
    },
    /** Takes a key when the list is open. Returns whether it did. */
    takeKey(event) {
      if (offered.length === 0) return false;
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step !== undefined) {
        active = (active + step + offered.length) % offered.length;
        draw();
      } else if (event.key === "Tab" || (event.key === "Enter" && !event.shiftKey)) accept(active);
      else if (event.key === "Escape") close();
      else return false;
      return true;
    },
  };
}
