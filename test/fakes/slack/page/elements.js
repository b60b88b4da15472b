/** Interactive elements as controls: `press(element, value)` is called when one is used at once. */

import { h } from "./dom.js";
import { textObject } from "./mrkdwn.js";

function optionText(option) {
  return option.text.text;
}

function allOptions(element) {
  return [...(element.options ?? []), ...(element.option_groups ?? []).flatMap((group) => group.options)];
}

function key(block, element) {
  return `${block.block_id}/${element.action_id}`;
}

/** A button, as a link too when it has a URL. */
function button(block, element, context) {
  const style = element.style === undefined ? "" : ` ${element.style}`;
  return h(
    "button",
    {
      type: "button",
      class: `button${style}`,
      "data-key": key(block, element),
      "aria-label": element.accessibility_label,
      "aria-haspopup": element.confirm === undefined ? undefined : "dialog",
      onclick: (event) => {
        if (element.url !== undefined) window.open(element.url, "_blank", "noreferrer");
        context.press(block, element, undefined, event.currentTarget);
      },
    },
    textObject(element.text, context.names),
    element.url === undefined ? null : h("span", { class: "hidden" }, " (opens in a new tab)"),
  );
}

function placeholder(element, text) {
  return h("option", { value: "" }, element.placeholder?.text ?? text);
}

/** A menu of options, people, channels; used at once in messages, read on submit in views. */
function menu(block, element, context, options, initial, text) {
  const select = h(
    "select",
    {
      class: "control",
      "data-key": key(block, element),
      "aria-label": context.label ?? element.placeholder?.text ?? text,
      onchange: (event) => {
        if (context.live && event.currentTarget.value !== "") {
          context.press(block, element, event.currentTarget.value, event.currentTarget);
        }
      },
    },
    placeholder(element, text),
    options.map(({ value, label }) => h("option", { value, selected: value === initial }, label)),
  );
  return select;
}

function choices(block, element, context, type) {
  const initial = (element.initial_options ?? (element.initial_option ? [element.initial_option] : [])).map(
    (option) => option.value,
  );
  const name = `${context.scope}-${key(block, element)}`;
  return h(
    "div",
    {
      class: "choices",
      role: type === "radio" ? "radiogroup" : "group",
      "data-key": key(block, element),
      "data-many": type,
    },
    element.options.map((option) =>
      h(
        "label",
        { class: "choice" },
        h("input", {
          type,
          name,
          value: option.value,
          checked: initial.includes(option.value),
          onchange: (event) => {
            if (context.live)
              context.press(block, element, chosen(event.currentTarget.closest(".choices")), null);
          },
        }),
        h("span", {}, textObject(option.text, context.names)),
        option.description ? h("small", {}, textObject(option.description, context.names)) : null,
      ),
    ),
  );
}

function chosen(group) {
  return [...group.querySelectorAll("input:checked")].map((input) => input.value);
}

function input(block, element, context, type, extra = {}) {
  const initial = element.initial_value ?? element.initial_date ?? element.initial_time;
  const tag = element.multiline ? "textarea" : "input";
  const control = h(tag, {
    class: "control",
    "data-key": key(block, element),
    type: tag === "input" ? type : undefined,
    rows: tag === "textarea" ? 4 : undefined,
    placeholder: element.placeholder?.text,
    "aria-label": context.label,
    autofocus: element.focus_on_load,
    ...extra,
  });
  if (initial !== undefined) control.value = initial;
  return control;
}

/** The control for an element; a plain note for a type that is not known. */
export function elementControl(block, element, context) {
  const names = context.names;
  switch (element.type) {
    case "button":
      return button(block, element, context);
    case "overflow":
      return menu(
        block,
        element,
        { ...context, live: true },
        allOptions(element).map((o) => ({ value: o.value, label: optionText(o) })),
        "",
        "More…",
      );
    case "static_select":
      return menu(
        block,
        element,
        context,
        allOptions(element).map((o) => ({ value: o.value, label: optionText(o) })),
        element.initial_option?.value,
        "Choose…",
      );
    case "users_select":
      return menu(block, element, context, names.allUsers(), element.initial_user, "Choose a person…");
    case "channels_select":
    case "conversations_select":
      return menu(
        block,
        element,
        context,
        names.allChannels(),
        element.initial_channel ?? element.initial_conversation,
        "Choose a channel…",
      );
    case "multi_static_select":
      return choices(block, { ...element, options: allOptions(element) }, context, "checkbox");
    case "multi_users_select":
      return choices(
        block,
        {
          ...element,
          options: names
            .allUsers()
            .map(({ value, label }) => ({ value, text: { type: "plain_text", text: label } })),
        },
        context,
        "checkbox",
      );
    case "radio_buttons":
      return choices(block, element, context, "radio");
    case "checkboxes":
      return choices(block, element, context, "checkbox");
    case "datepicker":
      return input(block, element, context, "date");
    case "timepicker":
      return input(block, element, context, "time");
    case "datetimepicker":
      return input(block, element, context, "datetime-local");
    case "number_input":
      return input(block, element, context, "text", { inputmode: "decimal" });
    case "email_text_input":
      return input(block, element, context, "email");
    case "url_text_input":
      return input(block, element, context, "url");
    case "plain_text_input":
      return input(block, element, context, "text");
    default:
      return h("span", { class: "unknown" }, `(${element.type})`);
  }
}

/** What the controls inside a form hold, by `block_id/action_id`. */
export function heldValues(root) {
  const values = {};
  for (const control of root.querySelectorAll("[data-key]")) {
    if (control.tagName === "BUTTON") continue;
    const name = control.dataset.key;
    if (control.dataset.many !== undefined) values[name] = chosen(control);
    else if (control.type === "datetime-local") {
      if (control.value !== "") values[name] = String(Math.floor(new Date(control.value).getTime() / 1000));
    } else values[name] = control.value;
  }
  return values;
}
