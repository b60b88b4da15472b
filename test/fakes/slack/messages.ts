/** The messages of the workspace, with every version that each of them has had. */

import type { Clock } from "./clock.ts";
import type { Emitter } from "./emitter.ts";
import { isList, isObject, type JsonObject } from "./json.ts";
import type { FakeSlackEvents, Message, MessageVersion, Via } from "./model.ts";

/** What is needed to post. */
export interface MessageDraft {
  readonly channel: string;
  readonly author: string;
  readonly byBot: boolean;
  readonly text: string;
  readonly via: Via;
  readonly blocks?: readonly JsonObject[] | undefined;
  readonly threadTs?: string | undefined;
  readonly metadata?: JsonObject | undefined;
  readonly onlyFor?: string | undefined;
  readonly broadcast?: boolean | undefined;
}

/** What an edit changes; a property that is left out stays. */
export interface MessageEdit {
  readonly via: Via;
  readonly text: string;
  readonly blocks: readonly JsonObject[] | undefined;
  readonly metadata?: JsonObject | undefined;
  readonly edited?: boolean;
}

/** The store of messages. */
export interface MessageStore {
  post(draft: MessageDraft): Message;
  /** @throws Error when there is no such message: callers look it up first. */
  edit(channel: string, ts: string, edit: MessageEdit): Message;
  remove(channel: string, ts: string, via: Via): Message;
  find(channel: string, ts: string): Message | undefined;
  /** Oldest first, threads and private notes included, deleted ones not unless asked for. */
  list(channel: string, options?: { readonly deleted?: boolean }): readonly Message[];
}

/** Makes an empty store. */
export function createMessageStore(clock: Clock, events: Emitter<FakeSlackEvents>): MessageStore {
  const byChannel = new Map<string, Map<string, Message>>();
  const nextTs = tsSource(clock);
  const nextId = idSource("blk");

  function put(message: Message, event: "message" | "update" | "delete"): Message {
    const inChannel = byChannel.get(message.channel) ?? new Map<string, Message>();
    byChannel.set(message.channel, inChannel);
    inChannel.set(message.ts, message);
    events.emit(event, message);
    return message;
  }

  function find(channel: string, ts: string): Message | undefined {
    const message = byChannel.get(channel)?.get(ts);
    return message?.deleted === true ? undefined : message;
  }

  function must(channel: string, ts: string): Message {
    const message = find(channel, ts);
    if (message === undefined) throw new Error(`no message ${ts} in ${channel}`);
    return message;
  }

  return {
    find,
    post: (draft) => put(posted(draft, nextTs(), clock.now(), nextId), "message"),
    edit: (channel, ts, edit) => put(edited(must(channel, ts), edit, clock.now(), nextId), "update"),
    remove(channel, ts, via) {
      const old = must(channel, ts);
      const last: MessageVersion = {
        kind: "deleted",
        at: clock.now(),
        via,
        text: old.text,
        blocks: old.blocks,
      };
      return put({ ...old, deleted: true, history: [...old.history, last] }, "delete");
    },
    list(channel, options) {
      const all = [...(byChannel.get(channel)?.values() ?? [])];
      return options?.deleted === true ? all : all.filter((message) => !message.deleted);
    },
  };
}

function posted(draft: MessageDraft, ts: string, at: number, nextId: () => string): Message {
  const blocks = draft.blocks === undefined ? undefined : withIds(draft.blocks, nextId);
  return {
    channel: draft.channel,
    ts,
    threadTs: draft.threadTs,
    author: draft.author,
    byBot: draft.byBot,
    text: draft.text,
    blocks,
    metadata: draft.metadata,
    onlyFor: draft.onlyFor,
    edited: false,
    deleted: false,
    broadcast: draft.broadcast ?? false,
    history: [{ kind: "posted", at, via: draft.via, text: draft.text, blocks }],
  };
}

function edited(old: Message, edit: MessageEdit, at: number, nextId: () => string): Message {
  const blocks = edit.blocks === undefined ? undefined : withIds(edit.blocks, nextId);
  return {
    ...old,
    text: edit.text,
    blocks,
    metadata: edit.metadata === undefined ? old.metadata : emptyAsNone(edit.metadata),
    edited: edit.edited ?? old.edited,
    history: [...old.history, { kind: "updated", at, via: edit.via, text: edit.text, blocks }],
  };
}

/** An empty metadata object takes the message's metadata away. */
function emptyAsNone(metadata: JsonObject): JsonObject | undefined {
  return Object.keys(metadata).length === 0 ? undefined : metadata;
}

/** Timestamps that rise by at least a microsecond, whatever the clock does. */
function tsSource(clock: Clock): () => string {
  let lastMicros = 0;
  return () => {
    lastMicros = Math.max(lastMicros + 1, Math.floor(clock.now() * 1000));
    return `${Math.floor(lastMicros / 1e6)}.${String(lastMicros % 1e6).padStart(6, "0")}`;
  };
}

/** Short ids, for the block_id and action_id that Slack fills in where an app gives none. */
export function idSource(prefix: string): () => string {
  let count = 0;
  return () => {
    count += 1;
    return `${prefix}${count.toString(36)}`;
  };
}

/** The blocks with a block_id each, and an action_id on each interactive element. */
export function withIds(blocks: readonly JsonObject[], next: () => string): readonly JsonObject[] {
  const element = (value: unknown): unknown =>
    isObject(value) && isInteractive(value) && value.action_id === undefined
      ? { ...value, action_id: next() }
      : value;
  return blocks.map((block) => ({
    ...block,
    block_id: block.block_id ?? next(),
    ...(isList(block.elements) && block.type === "actions" ? { elements: block.elements.map(element) } : {}),
    ...(block.accessory === undefined ? {} : { accessory: element(block.accessory) }),
    ...(block.element === undefined ? {} : { element: element(block.element) }),
  }));
}

function isInteractive(element: JsonObject): boolean {
  return element.type !== "image";
}
