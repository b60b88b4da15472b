/** One way out for everything announced: what is for on-call goes to its desk, all else to the chat. */
import type { PageRequest, PagerChange } from "../core/oncall/page.ts";
import type { Chat } from "./ports.ts";

/** Where pages and changes go. Both resolve once the desk has them for good; repeats are harmless. */
export interface OnCallDesk {
  /** `again`: an earlier try may have succeeded. */
  page(page: PageRequest, again: boolean): Promise<void>;
  change(change: PagerChange): Promise<void>;
}

/** The same chat; pages and changes go to the desk. */
export function routedChat(chat: Chat, desk: OnCallDesk): Chat {
  return {
    async post(item, view, thread) {
      const { body } = item;
      if (body.kind === "page") await desk.page(body.page, item.attempts > 0);
      else if (body.kind === "change") await desk.change(body.change);
      else return chat.post(item, view, thread);
      return undefined;
    },
    update: (ref, item, view) => chat.update(ref, item, view),
  };
}
