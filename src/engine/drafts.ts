/** Messages that belong to no rollout's card: a post to a channel, and a page to on-call. */
import type { PageRequest } from "../core/oncall/page.ts";
import type { Alert } from "../core/report/told.ts";
import type { Lane, OutboxDraft } from "./messages.ts";

/** A post that says all that it shows; the same `key` again edits it. `mention`: on-call is mentioned. */
export function postDraft(
  key: string,
  lane: Lane,
  channel: string,
  post: Alert,
  mention: boolean,
  wall: number,
): OutboxDraft {
  return { run: undefined, key, lane, body: { kind: "post", channel, post, mention }, wall };
}

export function pageDraft(page: PageRequest): OutboxDraft {
  return {
    run: page.run,
    key: `page:${page.key}`,
    lane: "page",
    body: { kind: "page", page },
    wall: page.wall,
  };
}
