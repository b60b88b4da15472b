/** The plainest form of a message, for when showing it in full fails for a reason that trying again does not cure. */
import { alertOf } from "../core/report/alert.ts";
import type { Notice, OutboxItem } from "./messages.ts";
import type { RunView } from "./ports.ts";

/** The same message as text alone, in the same lane; undefined when it is nothing but text already. */
export function plainly(item: OutboxItem, view: RunView | undefined): OutboxItem | undefined {
  const { body } = item;
  switch (body.kind) {
    case "note":
    case "page":
    case "change":
      return undefined;
    case "post":
      return body.post.lines.length === 0 && body.post.offers.length === 0
        ? undefined
        : { ...item, body: { ...body, post: { ...body.post, lines: [], offers: [] } } };
    case "answer":
      return { ...item, body: { ...body, answer: { ...body.answer, lines: [], offers: [] } } };
    case "card":
      return { ...item, body: noteOf(item, body, 0, undefined) };
    case "alert":
      return { ...item, body: noteOf(item, body, body.seq, summaryOf(body, view)) };
  }
}

function noteOf(
  { key }: OutboxItem,
  { run, channel }: Extract<Notice, { kind: "card" | "alert" }>,
  seq: number,
  summary: string | undefined,
): Notice {
  const status = `\`/rollout status ${run}\` shows how it stands.`;
  const text =
    summary === undefined
      ? `A message about ${run} could not be shown (${key}); ${status}`
      : `${summary} (This message could not be shown in full; ${status})`;
  return { kind: "note", run, channel, seq, text };
}

/** What the alert says in one sentence; undefined when even that cannot be told. */
function summaryOf(
  { about, seq }: Extract<Notice, { kind: "alert" }>,
  view: RunView | undefined,
): string | undefined {
  try {
    return view === undefined ? undefined : alertOf(view, about, seq)?.summary;
  } catch {
    return undefined;
  }
}
