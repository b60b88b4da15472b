/** The confirmation dialog and the modal views. */

import { renderBlocks } from "./blocks.js";
import { byId, h } from "./dom.js";
import { heldValues } from "./elements.js";
import { textObject } from "./mrkdwn.js";

/** Shows a confirmation dialog. The promise says whether it was agreed to; Escape means no. */
export function confirmPress(confirm, names) {
  const dialog = byId("confirm");
  return new Promise((resolve) => {
    const done = (agreed) => {
      dialog.close();
      resolve(agreed);
    };
    dialog.replaceChildren(
      h("h2", { id: "confirm-title" }, textObject(confirm.title, names)),
      h("div", { class: "dialog-text" }, textObject(confirm.text, names)),
      h(
        "div",
        { class: "dialog-buttons" },
        h(
          "button",
          { type: "button", class: "button", onclick: () => done(false) },
          textObject(confirm.deny, names),
        ),
        h(
          "button",
          {
            type: "button",
            class: `button ${confirm.style ?? "primary"}`,
            autofocus: true,
            onclick: () => done(true),
          },
          textObject(confirm.confirm, names),
        ),
      ),
    );
    dialog.oncancel = (event) => {
      event.preventDefault();
      done(false);
    };
    dialog.showModal();
  });
}

/** Makes the place for modal views. `app` gives `names`, `submit(values)`, `press(...)` and `close()`. */
export function createViewDialog(app) {
  const dialog = byId("view");
  let shown;

  function buttons(content) {
    return h(
      "div",
      { class: "dialog-buttons" },
      h(
        "button",
        { type: "button", class: "button", onclick: () => app.close() },
        content.close?.text ?? "Cancel",
      ),
      content.submit === undefined
        ? null
        : h("button", { type: "submit", class: "button primary" }, content.submit.text),
    );
  }

  function restore(values) {
    for (const control of dialog.querySelectorAll("[data-key]")) {
      const value = values[control.dataset.key];
      if (value === undefined) continue;
      if (Array.isArray(value))
        for (const box of control.querySelectorAll("input")) box.checked = value.includes(box.value);
      else if (control.type !== "datetime-local") control.value = value;
    }
  }

  function draw(view) {
    const held = shown?.id === view.id && shown.hash === view.hash ? heldValues(dialog) : {};
    const { content } = view;
    const form = h(
      "form",
      {
        novalidate: true,
        onsubmit: (event) => {
          event.preventDefault();
          app.submit(heldValues(dialog));
        },
      },
      h("h2", { id: "view-title" }, content.title.text),
      view.errors[""] === undefined ? null : h("p", { class: "error", role: "alert" }, view.errors[""]),
      h(
        "div",
        { class: "view-blocks" },
        renderBlocks(content.blocks, {
          names: app.names,
          live: false,
          scope: view.id,
          errors: view.errors,
          press: (block, element, value, control) =>
            app.press(block, element, value, heldValues(dialog), control),
        }),
      ),
      buttons(content),
    );
    dialog.replaceChildren(form);
    restore(held);
    shown = view;
    if (!dialog.open) dialog.showModal();
  }

  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    app.close();
  });

  return {
    /** Shows the view on top, or none. */
    show(views) {
      const top = views.at(-1);
      if (top !== undefined) draw(top);
      else {
        shown = undefined;
        dialog.close();
      }
    },
  };
}
