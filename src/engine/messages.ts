/** What goes between Belay and people: commands as accepted, and messages on their way out. */
import type { Actor } from "../core/event.ts";
import type { PageRequest, PagerChange } from "../core/oncall/page.ts";
import type { Offer } from "../core/refusal.ts";
import type { Alert, AlertKind } from "../core/report/told.ts";

/** Where a command came from and where its answer goes; plain data, so that it survives a restart. */
export type ReplyTo =
  | { readonly kind: "slack"; readonly responseUrl: string; readonly user: string; readonly channel: string }
  | {
      readonly kind: "slack_mention";
      readonly user: string;
      readonly channel: string;
      readonly thread?: string;
    }
  | { readonly kind: "none" };

/** A command as accepted: durable before it is acknowledged. `key` makes a second delivery of it harmless. */
export interface Intake {
  readonly key: string;
  readonly text: string;
  /** The noun that the slash command already said. */
  readonly noun?: "rollout" | "belay";
  readonly actor: Actor;
  readonly replyTo: ReplyTo;
  /** The run's `face` that a button showed; a forward command with another one is stale. */
  readonly seen?: { readonly run: string; readonly face: number };
  readonly at: number;
  readonly wall: number;
}

/** Lanes are delivered independently: rollbacks and approvals; private answers; cards and notes; what goes to on-call and its pager. */
export type Lane = "urgent" | "answer" | "normal" | "page";

/**
 * A message to be delivered at least once, and shown once: `key` finds it again after a lost reply. A draft under a known key does not make a
 * second message: it raises `generation`, and the message already sent is edited to show the run as it is now.
 */
export interface OutboxItem {
  readonly id: number;
  readonly run: string | undefined;
  readonly key: string;
  readonly lane: Lane;
  readonly generation: number;
  readonly attempts: number;
  readonly body: Notice;
  readonly wall: number;
}

/** A message before it has an id. */
export type OutboxDraft = Omit<OutboxItem, "id" | "attempts" | "generation"> & {
  /** It may have been sent without the journal: the first try counts as a second one, so that it is looked for. */
  readonly maybeSent?: true;
};

/** What is announced; adapters render it for their medium from the run as it is when the message is sent. */
export type Notice =
  /** The one card of a run: posted once, then edited in place. */
  | { readonly kind: "card"; readonly run: string; readonly channel: string }
  /** A thread reply under the card. */
  | {
      readonly kind: "note";
      readonly run: string;
      readonly channel: string;
      readonly seq: number;
      readonly text: string;
    }
  /** A message of its own, because it must notify: rollbacks, approvals, reviews, pages, holds that need a person. `seq` is the number of the event it tells of. */
  | {
      readonly kind: "alert";
      readonly run: string;
      readonly channel: string;
      readonly seq: number;
      readonly about: AlertKind;
    }
  /** A message that belongs to no run: an incident, a degraded service, the daily post. It says all that it shows. */
  | {
      readonly kind: "post";
      readonly channel: string;
      readonly post: Alert;
      /** Mentions on-call. */
      readonly mention: boolean;
    }
  /** Handed to the on-call desk, which opens an incident under its key. */
  | { readonly kind: "page"; readonly page: PageRequest }
  /** For the pager's timeline of changes. */
  | { readonly kind: "change"; readonly change: PagerChange }
  /** The private answer to a command. */
  | { readonly kind: "answer"; readonly replyTo: ReplyTo; readonly answer: CommandAnswer };

/** What a command is answered with. `text` is whole sentences; `blocks` carry structured output (status, plan, history). */
export interface CommandAnswer {
  readonly ok: boolean;
  readonly code: string;
  readonly text: string;
  readonly lines: readonly string[];
  readonly offers: readonly Offer[];
  readonly run?: string;
}

/** Where a delivered message is: `channel` and `ts` as Slack has them. */
export interface MessageRef {
  readonly channel: string;
  readonly ts: string;
}
