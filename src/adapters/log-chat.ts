/** A chat that is only the log: what would be announced is logged, so that Belay tells what it does where no Slack is configured. */

import { alertOf } from "../core/report/alert.ts";
import { cardOf } from "../core/report/card.ts";
import type { OutboxItem } from "../engine/messages.ts";
import { type Chat, type Log, OutsideFault, type RunView } from "../engine/ports.ts";

const reject = (): Promise<never> =>
  Promise.reject(
    new OutsideFault("Belay is not running; the message waits for its next start", { recoverable: true }),
  );

/** Takes nothing, neither for the chat nor for on-call: for a command beside a stopped Belay, whose messages stay in the journal until it runs. */
export const NOBODY = { post: reject, update: reject, page: reject, change: reject, incidentsOf: () => [] };

export function createLogChat(log: Log): Chat {
  const tell = (item: OutboxItem, view: RunView | undefined): void => {
    const { body } = item;
    if (body.kind === "note") log.info(body.text, { run: body.run });
    if (body.kind === "post") log[item.lane === "urgent" ? "warn" : "info"](body.post.summary);
    if (view === undefined) return;
    if (body.kind === "alert")
      log.warn(alertOf(view, body.about, body.seq)?.summary ?? "an alert", { run: body.run });
    if (body.kind === "card") {
      const card = cardOf(view);
      log.info(`${card.rollout} ${card.status}: ${card.says}`, { run: card.run });
    }
  };
  return {
    async post(item, view) {
      tell(item, view);
      return { channel: "log", ts: item.key };
    },
    async update(_ref, item, view) {
      if (item.generation > 0) tell(item, view);
    },
  };
}
