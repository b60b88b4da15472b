/** The views.* methods: open, push and update modals. */

import { checkView } from "../block-kit.ts";
import type { Context } from "../context.ts";
import { isObject, type JsonObject, stringAt } from "../json.ts";
import type { OpenView } from "../model.ts";
import { viewJson } from "../shapes.ts";
import type { TriggerOrigin } from "../triggers.ts";
import { type Args, type Method, ok, type Reply, refuse, TIER } from "./method.ts";

/** The views methods by name. */
export const VIEW_METHODS: Readonly<Record<string, Method>> = {
  "views.open": {
    token: "bot",
    scopes: [],
    perMinute: TIER.four,
    required: ["view", "trigger_id"],
    optional: [],
    run: open,
  },
  "views.push": {
    token: "bot",
    scopes: [],
    perMinute: TIER.four,
    required: ["view", "trigger_id"],
    optional: [],
    run: push,
  },
  "views.update": {
    token: "bot",
    scopes: [],
    perMinute: TIER.four,
    required: ["view"],
    optional: ["view_id", "external_id", "hash"],
    run: update,
  },
};

function open(context: Context, args: Args): Reply {
  const view = readModal(context, args, undefined);
  if (view.kind === "error") return view;
  const origin = takeTrigger(context, args);
  if (origin.kind === "error") return origin;
  return shown(context, context.views.show(origin.origin.user, view.content));
}

function push(context: Context, args: Args): Reply {
  const view = readModal(context, args, undefined);
  if (view.kind === "error") return view;
  const origin = takeTrigger(context, args);
  if (origin.kind === "error") return origin;
  const { user, fromView } = origin.origin;
  if (!fromView || context.views.open(user).length === 0) return refuse("not_found");
  const pushed = context.views.push(user, view.content);
  return pushed === undefined ? refuse("push_limit_reached") : shown(context, pushed);
}

function update(context: Context, args: Args): Reply {
  const id = args.text("view_id");
  const externalId = args.text("external_id");
  if (id === undefined && externalId === undefined)
    return refuse("invalid_arguments", ["view_id or external_id"]);
  const old = id === undefined ? context.views.findExternal(externalId ?? "") : context.views.find(id);
  if (old === undefined) return refuse("not_found");
  const hash = args.text("hash");
  if (hash !== undefined && hash !== old.hash) return refuse("hash_conflict");
  const view = readModal(context, args, old.id);
  if (view.kind === "error") return view;
  const updated = context.views.update(old.id, view.content);
  return updated === undefined ? refuse("not_found") : shown(context, updated);
}

function shown(context: Context, view: OpenView): Reply {
  return ok({ view: viewJson(context, view, {}) });
}

/** The view argument as a modal that may be shown; `replaces` is the id of the view whose external_id it may keep. */
function readModal(
  context: Context,
  args: Args,
  replaces: string | undefined,
): { readonly kind: "modal"; readonly content: JsonObject } | Extract<Reply, { kind: "error" }> {
  const content = args.value("view");
  const problems = checkView(content);
  if (problems.some((problem) => problem.startsWith("view_too_large"))) return refuse("view_too_large");
  if (problems.length > 0 || !isObject(content)) return refuse("invalid_arguments", problems);
  if (content.type !== "modal")
    return refuse("invalid_arguments", ["a home view cannot be opened as a modal"]);
  const externalId = stringAt(content, "external_id") ?? "";
  const holder = externalId === "" ? undefined : context.views.findExternal(externalId);
  if (holder !== undefined && holder.id !== replaces) return refuse("duplicate_external_id");
  return { kind: "modal", content };
}

function takeTrigger(
  context: Context,
  args: Args,
): { readonly kind: "taken"; readonly origin: TriggerOrigin } | Extract<Reply, { kind: "error" }> {
  const taken = context.triggers.take(args.text("trigger_id") ?? "");
  return taken.kind === "ok" ? { kind: "taken", origin: taken.origin } : refuse(taken.error);
}
