/** The modal views that are open, as a stack per person. */

import { randomUUID } from "node:crypto";
import type { Emitter } from "./emitter.ts";
import { type JsonObject, objectsAt, stringAt } from "./json.ts";
import { idSource, withIds } from "./messages.ts";
import type { FakeSlackEvents, OpenView } from "./model.ts";

/** Most views that one modal may stack. */
export const VIEW_STACK_MAX = 3;

/** The store of open views. */
export interface ViewStore {
  /** Newest last; the last is the one on top. */
  open(user: string): readonly OpenView[];
  find(viewId: string): OpenView | undefined;
  /** The open view with this `external_id`. */
  findExternal(externalId: string): OpenView | undefined;
  /** Opens a first view, in place of whatever the person had open. */
  show(user: string, content: JsonObject): OpenView;
  /** Puts a view on top. @returns undefined when the stack is full or empty. */
  push(user: string, content: JsonObject): OpenView | undefined;
  /** Replaces a view's content, which takes its errors away. */
  update(viewId: string, content: JsonObject): OpenView | undefined;
  setErrors(viewId: string, errors: Readonly<Record<string, string>>): void;
  /** Takes the top view away, or all of them. */
  close(user: string, all: boolean): void;
}

/** Makes an empty store. */
export function createViewStore(events: Emitter<FakeSlackEvents>): ViewStore {
  const stacks = new Map<string, readonly OpenView[]>();
  const nextViewId = idSource("V0");
  const nextBlockId = idSource("vblk");

  const open = (user: string): readonly OpenView[] => stacks.get(user) ?? [];
  const all = (): readonly OpenView[] => [...stacks.values()].flat();

  function set(user: string, views: readonly OpenView[]): void {
    stacks.set(user, views);
    events.emit("views", { user, open: views });
  }

  function make(user: string, content: JsonObject, below: OpenView | undefined): OpenView {
    const id = nextViewId().toUpperCase();
    return {
      id,
      user,
      hash: newHash(),
      rootId: below?.rootId ?? id,
      previousId: below?.id,
      content: filled(content, nextBlockId),
      errors: {},
    };
  }

  function replace(view: OpenView): void {
    set(
      view.user,
      open(view.user).map((one) => (one.id === view.id ? view : one)),
    );
  }

  return {
    open,
    find: (viewId) => all().find((view) => view.id === viewId),
    findExternal: (externalId) => all().find((view) => stringAt(view.content, "external_id") === externalId),
    show(user, content) {
      const view = make(user, content, undefined);
      set(user, [view]);
      return view;
    },
    push(user, content) {
      const stack = open(user);
      const top = stack.at(-1);
      if (top === undefined || stack.length >= VIEW_STACK_MAX) return undefined;
      const view = make(user, content, top);
      set(user, [...stack, view]);
      return view;
    },
    update(viewId, content) {
      const old = all().find((view) => view.id === viewId);
      if (old === undefined) return undefined;
      const view = { ...old, hash: newHash(), content: filled(content, nextBlockId), errors: {} };
      replace(view);
      return view;
    },
    setErrors(viewId, errors) {
      const old = all().find((view) => view.id === viewId);
      if (old !== undefined) replace({ ...old, errors });
    },
    close: (user, everything) => set(user, everything ? [] : open(user).slice(0, -1)),
  };
}

function filled(content: JsonObject, next: () => string): JsonObject {
  return { ...content, blocks: withIds(objectsAt(content, "blocks"), next) };
}

function newHash(): string {
  return `${Math.floor(Date.now() / 1000)}.${randomUUID().slice(0, 8)}`;
}
