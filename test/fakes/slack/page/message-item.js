/** One message as a list item: its body, which is drawn anew at every change, and its thread underneath. */

import { renderBlocks } from "./blocks.js";
import { clockOf } from "./dates.js";
import { h } from "./dom.js";
import { mrkdwn } from "./mrkdwn.js";

/**
 * Makes the item. `app` gives `names`, `userOf(id)`, `press(message, block, element, value, control)` and
 * `reply(threadTs, text)`; `toggle()` opens or closes the thread.
 */
export function createMessageItem(app, message, toggle) {
  const summary = h("button", { type: "button", class: "thread-summary", onclick: toggle });
  const replyList = h("ol", { class: "messages" });
  const replies = h("div", { class: "replies" }, replyList, replyForm(app, message.ts));
  const thread = h("div", { class: "thread" }, summary, replies);
  let body = messageBody(app, message);
  const element = h("li", { class: classOf(message), "data-ts": message.ts }, body, thread);
  element.addEventListener("thread", toggle);
  return {
    element,
    /** Draws the message's present version; what was focused stays focused. */
    drawBody(changed) {
      const focused = body.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
      const fresh = messageBody(app, changed);
      body.replaceWith(fresh);
      body = fresh;
      if (focused !== undefined) body.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    },
    /** Draws the thread: a line when closed, the replies when open. */
    drawThread(all, open) {
      thread.hidden = all.length === 0 && !open;
      summary.replaceChildren(threadSummary(app, all, open));
      summary.setAttribute("aria-expanded", String(open));
      replies.hidden = !open;
      if (open) replyList.replaceChildren(...all.map((reply) => replyItem(app, reply)));
    },
  };
}

function replyForm(app, threadTs) {
  const field = h("input", {
    class: "control",
    "aria-label": "Reply in thread",
    placeholder: `Reply… (@${app.names.bot} to ask)`,
  });
  const send = (event) => {
    event.preventDefault();
    const text = field.value.trim();
    field.value = "";
    if (text !== "") app.reply(threadTs, text);
  };
  return h(
    "form",
    { class: "reply", onsubmit: send },
    field,
    h("button", { type: "submit", class: "button" }, "Reply"),
  );
}

function replyItem(app, reply) {
  return h("li", { class: classOf(reply), "data-ts": reply.ts }, messageBody(app, reply));
}

function classOf(message) {
  return message.onlyFor === undefined ? "message" : "message private";
}

function messageBody(app, message) {
  const author = app.userOf(message.author);
  return h(
    "article",
    { class: "message-body", "aria-label": `${author.shown}, ${clockOf(message.ts).textContent}` },
    h(
      "div",
      { class: `avatar ${author.kind}`, "aria-hidden": "true", "data-hue": author.hue },
      author.initials,
    ),
    h(
      "div",
      { class: "content" },
      message.onlyFor === undefined ? null : h("div", { class: "only-you" }, "Only visible to you"),
      byline(author, message),
      h("div", { class: "shown" }, content(app, message)),
      message.edited ? h("span", { class: "note" }, "(edited)") : null,
    ),
  );
}

function byline(author, message) {
  const hasThread = message.onlyFor === undefined && message.threadTs === undefined;
  const openThread = (event) =>
    event.currentTarget.dispatchEvent(new CustomEvent("thread", { bubbles: true }));
  return h(
    "div",
    { class: "byline" },
    h("strong", {}, author.shown),
    author.tag === "" ? null : h("span", { class: "tag" }, author.tag),
    clockOf(message.ts),
    message.broadcast ? h("span", { class: "note" }, "also in its thread") : null,
    hasThread
      ? h("button", { type: "button", class: "thread-open", onclick: openThread }, "Reply in thread")
      : null,
  );
}

function content(app, message) {
  if (message.blocks === undefined || message.blocks.length === 0) {
    return h("div", { class: "plain" }, mrkdwn(message.text, app.names));
  }
  return renderBlocks(message.blocks, {
    names: app.names,
    live: true,
    scope: message.ts,
    press: (block, element, value, control) => app.press(message, block, element, value, control),
  });
}

function threadSummary(app, replies, open) {
  const last = replies.at(-1);
  const count = h(
    "span",
    { class: "thread-count" },
    `${replies.length} ${replies.length === 1 ? "reply" : "replies"}`,
  );
  if (open) return h("span", {}, replies.length === 0 ? "Thread" : count, " — hide");
  if (last === undefined) return count;
  return h(
    "span",
    {},
    count,
    " · last ",
    clockOf(last.ts),
    " · ",
    h("span", { class: "thread-last" }, preview(app, last)),
  );
}

/** The beginning of a message in one line. */
function preview(app, message) {
  const text = h("span", {}, mrkdwn(message.text, app.names)).textContent.replace(/\s+/g, " ");
  return text.length > 90 ? `${text.slice(0, 90)}…` : text;
}
