/** Block Kit blocks as DOM nodes. */

import { timeElement } from "./dates.js";
import { h } from "./dom.js";
import { elementControl } from "./elements.js";
import { emoji, link, mention, mrkdwn, textObject } from "./mrkdwn.js";

/** The blocks as nodes. `context` has `names`, `press(block, element, value, control)`, `live`, `scope` and `errors`. */
export function renderBlocks(blocks, context) {
  return blocks.map((block) => renderBlock(block, context));
}

function renderBlock(block, context) {
  switch (block.type) {
    case "header":
      return h("h3", { class: "block header" }, textObject(block.text, context.names));
    case "section":
      return section(block, context);
    case "context":
      return h(
        "div",
        { class: "block context" },
        block.elements.map((element) => contextElement(element, context)),
      );
    case "actions":
      return h(
        "div",
        { class: "block actions" },
        block.elements.map((element) => elementControl(block, element, context)),
      );
    case "divider":
      return h("hr", { class: "block" });
    case "image":
      return h(
        "figure",
        { class: "block image" },
        block.title ? h("figcaption", {}, textObject(block.title, context.names)) : null,
        picture(block),
      );
    case "rich_text":
      return h(
        "div",
        { class: "block rich" },
        block.elements.map((part) => richPart(part, context.names)),
      );
    case "table":
      return table(block, context);
    case "markdown":
      return h("div", { class: "block" }, mrkdwn(block.text.replaceAll("**", "*"), context.names));
    case "input":
      return inputBlock(block, context);
    default:
      return h("p", { class: "block unknown" }, `(${block.type})`);
  }
}

function section(block, context) {
  return h(
    "div",
    { class: "block section" },
    h(
      "div",
      { class: "section-text" },
      block.text ? h("div", { class: "text" }, textObject(block.text, context.names)) : null,
      block.fields
        ? h(
            "div",
            { class: "fields" },
            block.fields.map((field) => h("div", { class: "field" }, textObject(field, context.names))),
          )
        : null,
    ),
    block.accessory ? h("div", { class: "accessory" }, accessory(block, context)) : null,
  );
}

function accessory(block, context) {
  return block.accessory.type === "image"
    ? picture(block.accessory)
    : elementControl(block, block.accessory, context);
}

/** An image, or its description when there is nothing to load. */
function picture(image) {
  const source = image.image_url ?? image.slack_file?.url;
  return source === undefined
    ? h("span", { class: "alt" }, image.alt_text)
    : h("img", { src: source, alt: image.alt_text, loading: "lazy" });
}

function contextElement(element, context) {
  return element.type === "image"
    ? h("span", { class: "context-image" }, picture(element))
    : h("span", {}, textObject(element, context.names));
}

function table(block, context) {
  const settings = block.column_settings ?? [];
  const cell = (tag, content, column) =>
    h(
      tag,
      {
        class: [settings[column]?.align ?? "left", settings[column]?.is_wrapped ? "wrapped" : ""]
          .join(" ")
          .trim(),
        scope: tag === "th" ? "col" : undefined,
      },
      content.type === "rich_text"
        ? content.elements.map((part) => richPart(part, context.names))
        : (content.text ?? ""),
    );
  const [head, ...rows] = block.rows;
  return h(
    "div",
    { class: "block table", tabindex: "0", role: "group", "aria-label": "Table" },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          head.map((content, column) => cell("th", content, column)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            {},
            row.map((content, column) => cell("td", content, column)),
          ),
        ),
      ),
    ),
  );
}

function inputBlock(block, context) {
  const error = context.errors?.[block.block_id];
  const label = block.label.text;
  return h(
    "div",
    { class: error === undefined ? "block input" : "block input wrong" },
    h(
      "div",
      { class: "label" },
      label,
      block.optional ? h("span", { class: "optional" }, " (optional)") : null,
    ),
    elementControl(block, block.element, { ...context, label }),
    block.hint ? h("div", { class: "hint" }, textObject(block.hint, context.names)) : null,
    error === undefined ? null : h("div", { class: "error", role: "alert" }, error),
  );
}

function richPart(part, names) {
  const inside = () => part.elements.map((element) => richElement(element, names));
  switch (part.type) {
    case "rich_text_list":
      return h(
        part.style === "ordered" ? "ol" : "ul",
        {
          class: `indent-${part.indent ?? 0}`,
          start: part.offset === undefined ? undefined : part.offset + 1,
        },
        part.elements.map((item) =>
          h(
            "li",
            {},
            item.elements.map((element) => richElement(element, names)),
          ),
        ),
      );
    case "rich_text_quote":
      return h("blockquote", {}, inside());
    case "rich_text_preformatted":
      return h("pre", {}, inside());
    default:
      return h("p", {}, inside());
  }
}

function richElement(element, names) {
  const plain = richContent(element, names);
  const style = element.style ?? {};
  const tags = [
    ["code", style.code],
    ["strong", style.bold],
    ["em", style.italic],
    ["s", style.strike],
    ["u", style.underline],
  ];
  return tags.filter(([, on]) => on).reduce((node, [tag]) => h(tag, {}, node), plain);
}

function richContent(element, names) {
  switch (element.type) {
    case "user":
      return mention("user", element.user_id, undefined, names);
    case "channel":
      return mention("channel", element.channel_id, undefined, names);
    case "usergroup":
      return mention("group", element.usergroup_id, undefined, names);
    case "broadcast":
      return h("span", { class: "mention mine" }, `@${element.range}`);
    case "emoji":
      return emoji(element.name);
    case "link":
      return link(element.url, element.text);
    case "date":
      return timeElement(element.timestamp, element.format);
    case "color":
      return element.value;
    default:
      return element.text ?? "";
  }
}
