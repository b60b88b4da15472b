/** The list of messages of one channel: drawn in order, each edited in place. */

import { dayOf } from "./dates.js";
import { byId, h } from "./dom.js";
import { createMessageItem } from "./message-item.js";

/** Messages of one person within this time need only one heading. */
const GROUPED_S = 300;
/** Nearer to the end than this, the list follows new messages. */
const NEAR_END_PX = 80;

/** Makes the list; `app` is what `createMessageItem` needs. */
export function createMessageList(app) {
  const scroll = createScroll(byId("scroller"), byId("more"));
  const items = new Map();
  const openThreads = new Set();
  const days = new Map();
  let messages = new Map();

  const drawThread = (ts) => items.get(ts)?.drawThread(repliesOf(messages, ts), openThreads.has(ts));

  function toggle(ts) {
    if (openThreads.has(ts)) openThreads.delete(ts);
    else openThreads.add(ts);
    drawThread(ts);
  }

  /** Draws the channel anew, keeping the items that are still there. */
  function draw() {
    const shown = topLevel(messages);
    for (const message of shown) {
      if (!items.has(message.ts))
        items.set(
          message.ts,
          createMessageItem(app, message, () => toggle(message.ts)),
        );
      drawThread(message.ts);
    }
    place(byId("messages"), arranged(shown, items, days));
  }

  return {
    /** Shows another channel, or another person's view of it. */
    show(all) {
      messages = new Map(all.map((message) => [message.ts, message]));
      items.clear();
      openThreads.clear();
      draw();
      scroll.toEnd();
    },
    /** Shows one new or changed message. */
    put(message) {
      const known = messages.has(message.ts);
      const inThread = items.has(message.threadTs) && !message.broadcast;
      messages.set(message.ts, message);
      // A private answer, or one's own, must not stay folded away.
      const own = message.onlyFor !== undefined || message.author === app.names.me;
      if (inThread && own) openThreads.add(message.threadTs);
      const stayed = scroll.keepingEnd(() => {
        if (inThread) drawThread(message.threadTs);
        else if (known && items.has(message.ts)) items.get(message.ts).drawBody(message);
        else draw();
      });
      if (known || inThread) return;
      items.get(message.ts)?.element.classList.add("fresh");
      if (own) scroll.toEnd();
      else if (!stayed) scroll.tellOfMore();
    },
    remove(ts) {
      const threadTs = messages.get(ts)?.threadTs;
      messages.delete(ts);
      items.delete(ts);
      if (items.has(threadTs)) drawThread(threadTs);
      else draw();
    },
    /** Scrolls to a message and marks it. */
    reveal(ts) {
      const threadTs = messages.get(ts)?.threadTs;
      if (threadTs !== undefined && !openThreads.has(threadTs)) toggle(threadTs);
      const element = byId("messages").querySelector(`[data-ts="${CSS.escape(ts)}"]`);
      element?.scrollIntoView({ block: "center" });
      element?.classList.add("revealed");
    },
  };
}

/** Keeps the list at its end when it was there, and tells of new messages when it was not. */
function createScroll(scroller, more) {
  const atEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END_PX;
  const toEnd = () => {
    scroller.scrollTop = scroller.scrollHeight;
    more.hidden = true;
  };
  more.addEventListener("click", toEnd);
  scroller.addEventListener("scroll", () => {
    if (atEnd()) more.hidden = true;
  });
  return {
    toEnd,
    /** Changes something; a list that was at its end stays there. Returns whether it was. */
    keepingEnd(change) {
      const stay = atEnd();
      change();
      if (stay) toEnd();
      return stay;
    },
    tellOfMore() {
      more.hidden = false;
    },
  };
}

function sorted(messages) {
  return [...messages.values()].sort((a, b) => a.ts.localeCompare(b.ts));
}

function repliesOf(messages, ts) {
  return sorted(messages).filter((message) => message.threadTs === ts);
}

function topLevel(messages) {
  return sorted(messages).filter((message) => message.threadTs === undefined || message.broadcast);
}

/** The items in order, with a line where a new day begins. */
function arranged(shown, items, days) {
  const nodes = [];
  let previous;
  for (const message of shown) {
    const day = dayOf(message.ts);
    if (previous === undefined || dayOf(previous.ts) !== day) {
      if (!days.has(day)) days.set(day, h("li", { class: "day" }, h("span", {}, day)));
      nodes.push(days.get(day));
      previous = undefined;
    }
    const { element } = items.get(message.ts);
    element.classList.toggle("grouped", isGrouped(previous, message));
    nodes.push(element);
    previous = message;
  }
  return nodes.length > 0 ? nodes : [h("li", { class: "empty" }, "Nothing has been said here yet.")];
}

/** Makes the nodes the list's children, without touching those that are in their place already. */
function place(list, nodes) {
  for (const old of [...list.children]) if (!nodes.includes(old)) old.remove();
  for (const [index, node] of nodes.entries()) {
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
  }
}

function isGrouped(previous, message) {
  return (
    previous !== undefined &&
    previous.author === message.author &&
    previous.onlyFor === message.onlyFor &&
    previous.blocks === undefined &&
    message.blocks === undefined &&
    Number(message.ts) - Number(previous.ts) < GROUPED_S
  );
}
