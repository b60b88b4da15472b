/** People pressing and filling in: buttons and menus of messages, and modal views. */

import { checkView } from "./block-kit.ts";
import { blockedReason } from "./commands.ts";
import type { Context } from "./context.ts";
import type { Delivery, Transport } from "./delivery.ts";
import { actionOf, type ElementChoice, inputProblem, matching, type Placed, stateOf } from "./elements.ts";
import { isObject, type JsonObject, objectAt, objectsAt, stringAt } from "./json.ts";
import type { Channel, Message, OpenView, User } from "./model.ts";
import { outcomeOf, type Reaction, reaction } from "./reaction.ts";
import { interactiveElements, messageJson, viewJson } from "./shapes.ts";

/** A press, and whether the confirmation dialog, if there is one, is agreed to. */
export interface Press extends ElementChoice {
  readonly confirm?: boolean | undefined;
}

/** Who presses, in which channel. */
export interface Where {
  readonly user: User;
  readonly channel: Channel;
}

/** What a person fills into a view: values by action_id (or `block_id/action_id` where an action_id occurs twice). */
export type ViewValues = Readonly<Record<string, string | readonly string[]>>;

/** Presses something on a message as it is shown to this person now. */
export async function click(
  context: Context,
  transport: Transport,
  { user, channel }: Where,
  ts: string,
  press: Press,
): Promise<Reaction> {
  const blocked = blockedReason({ user, channel });
  if (blocked !== undefined) return reaction("not_allowed", { text: blocked });
  const message = context.messages.find(channel.id, ts);
  if (message === undefined || (message.onlyFor !== undefined && message.onlyFor !== user.id)) {
    return reaction("not_rendered", { text: "That message is not shown any more." });
  }
  const chosen = choose(context, message.blocks ?? [], press);
  if (chosen.kind === "not_sent") return chosen.reaction;
  if (!context.app.interactivity) return notConfigured();
  const payload = {
    ...interactionCommon(context, "block_actions", user, false),
    container: {
      type: "message",
      message_ts: message.ts,
      channel_id: channel.id,
      is_ephemeral: message.onlyFor !== undefined,
      ...(message.threadTs === undefined ? {} : { thread_ts: message.threadTs }),
    },
    channel: { id: channel.id, name: channel.kind === "im" ? "directmessage" : channel.name },
    // Slack leaves private notes out of their own payloads.
    ...(message.onlyFor === undefined ? { message: messageJson(context, message, true) } : {}),
    state: { values: valuesOf(message.blocks ?? [], {}) },
    response_url: responseUrl(context, message, user),
    actions: [chosen.action],
  };
  return deliverInteraction(context, transport, stringAt(chosen.action, "action_id") ?? "", payload);
}

/** Presses something in the view on top. */
export async function clickView(
  context: Context,
  transport: Transport,
  user: User,
  press: Press,
  values: ViewValues,
): Promise<Reaction> {
  const view = context.views.open(user.id).at(-1);
  if (view === undefined) return reaction("not_rendered", { text: "No view is open." });
  const blocks = objectsAt(view.content, "blocks");
  const chosen = choose(context, blocks, press);
  if (chosen.kind === "not_sent") return chosen.reaction;
  if (!context.app.interactivity) return notConfigured();
  const payload = {
    ...interactionCommon(context, "block_actions", user, true),
    container: { type: "view", view_id: view.id },
    view: viewJson(context, view, valuesOf(blocks, values)),
    actions: [chosen.action],
  };
  return deliverInteraction(context, transport, stringAt(chosen.action, "action_id") ?? "", payload);
}

/** Fills the view on top in and submits it. */
export async function submitView(
  context: Context,
  transport: Transport,
  user: User,
  values: ViewValues,
): Promise<Reaction> {
  const view = context.views.open(user.id).at(-1);
  if (view === undefined) return reaction("not_rendered", { text: "No view is open." });
  if (view.content.submit === undefined)
    return reaction("not_rendered", { text: "This view has no submit button." });
  const blocks = objectsAt(view.content, "blocks");
  const unknown = Object.keys(values).find((key) => !blocks.some((block) => keysOf(block).includes(key)));
  if (unknown !== undefined) return reaction("not_rendered", { text: `This view has no input ${unknown}.` });
  const errors = inputErrors(blocks, values);
  if (Object.keys(errors).length > 0) {
    context.views.setErrors(view.id, errors);
    return reaction("invalid_input", { errors, text: Object.values(errors).join(" ") });
  }
  if (!context.app.interactivity) return notConfigured();
  const what = stringAt(view.content, "callback_id") ?? "view_submission";
  const payload = {
    ...interactionCommon(context, "view_submission", user, true),
    view: viewJson(context, view, valuesOf(blocks, values)),
    response_urls: [],
  };
  const delivery = await deliver(transport, what, payload);
  if (delivery.kind === "acked") return answerSubmission(context, view, what, delivery);
  const words = "We had some trouble connecting. Try again?";
  context.views.setErrors(view.id, { "": words });
  return reaction(outcomeOf(delivery), { text: words });
}

/** Closes the view on top, or all of them; the app hears of it only if the view asked for that. */
export async function closeView(
  context: Context,
  transport: Transport,
  user: User,
  all: boolean,
): Promise<Reaction> {
  const view = context.views.open(user.id).at(-1);
  if (view === undefined) return reaction("not_rendered", { text: "No view is open." });
  const cleared = all || view.content.clear_on_close === true;
  context.views.close(user.id, cleared);
  if (view.content.notify_on_close !== true || !context.app.interactivity) return reaction("ok");
  const { trigger_id: _trigger, ...common } = interactionCommon(context, "view_closed", user, true);
  const payload = { ...common, view: viewJson(context, view, {}), is_cleared: cleared };
  return deliverInteraction(
    context,
    transport,
    stringAt(view.content, "callback_id") ?? "view_closed",
    payload,
  );
}

function answerSubmission(
  context: Context,
  view: OpenView,
  what: string,
  { ackMs, body }: Extract<Delivery, { kind: "acked" }>,
): Reaction {
  const { views, record } = context;
  const action = stringAt(body, "response_action");
  const next = objectAt(body, "view");
  if ((action === "update" || action === "push") && !acceptable(context, what, next))
    return reaction("ok", { ackMs });
  switch (action) {
    case undefined:
      views.close(view.user, false);
      return reaction("ok", { ackMs });
    case "clear":
      views.close(view.user, true);
      return reaction("ok", { ackMs });
    case "update":
      views.update(view.id, next ?? {});
      return reaction("ok", { ackMs });
    case "push":
      if (views.push(view.user, next ?? {}) === undefined)
        record.violate("push_limit_reached", `answer to ${what}`);
      return reaction("ok", { ackMs });
    case "errors":
      return refusedSubmission(context, view, what, objectAt(body, "errors") ?? {}, ackMs);
    default:
      record.violate("invalid_arguments", `answer to ${what}: unknown response_action ${action}`);
      return reaction("ok", { ackMs });
  }
}

function refusedSubmission(
  context: Context,
  view: OpenView,
  what: string,
  given: JsonObject,
  ackMs: number,
): Reaction {
  const inputs = objectsAt(view.content, "blocks").filter((block) => block.type === "input");
  const errors: Record<string, string> = {};
  for (const [blockId, text] of Object.entries(given)) {
    if (inputs.some((block) => block.block_id === blockId)) errors[blockId] = String(text);
    else context.record.violate("invalid_arguments", `answer to ${what}: no input block ${blockId}`);
  }
  context.views.setErrors(view.id, errors);
  return reaction("view_errors", { ackMs, errors, text: Object.values(errors).join(" ") });
}

function acceptable(context: Context, what: string, view: JsonObject | undefined): boolean {
  const problems = checkView(view);
  for (const problem of problems)
    context.record.violate("invalid_arguments", `answer to ${what}: ${problem}`);
  return problems.length === 0;
}

function choose(
  context: Context,
  blocks: readonly JsonObject[],
  press: Press,
):
  | { readonly kind: "sent"; readonly action: JsonObject }
  | { readonly kind: "not_sent"; readonly reaction: Reaction } {
  const found = matching(blocks, press);
  const placed = found[0];
  const refused = (outcome: "not_rendered" | "not_confirmed", text: string) =>
    ({ kind: "not_sent", reaction: reaction(outcome, { text }) }) as const;
  if (placed === undefined)
    return refused("not_rendered", `It is not shown any more. Shown: ${shownElements(blocks)}`);
  if (found.length > 1) return refused("not_rendered", "Several are alike: name the block, too.");
  const confirm = objectAt(placed.element, "confirm");
  if (confirm !== undefined && press.confirm !== true) {
    return refused("not_confirmed", stringAt(objectAt(confirm, "text"), "text") ?? "");
  }
  const action = actionOf(placed, press, (context.clock.now() / 1000).toFixed(6));
  return action === undefined
    ? refused("not_rendered", "That value is not on offer.")
    : { kind: "sent", action };
}

function shownElements(blocks: readonly JsonObject[]): string {
  const names = interactiveElements(blocks).map(
    ({ element }: Placed) =>
      stringAt(objectAt(element, "text"), "text") ?? stringAt(element, "action_id") ?? "?",
  );
  return names.length === 0 ? "nothing to press" : names.map((name) => `[${name}]`).join(" ");
}

function interactionCommon(context: Context, type: string, user: User, fromView: boolean): JsonObject {
  const { workspace } = context;
  return {
    type,
    token: context.tokens.verification,
    team: { id: workspace.team.id, domain: workspace.team.domain },
    enterprise: null,
    is_enterprise_install: false,
    api_app_id: workspace.appId,
    user: { id: user.id, username: user.name, name: user.name, team_id: user.teamId },
    trigger_id: context.triggers.issue({ user: user.id, fromView }),
  };
}

function responseUrl(context: Context, message: Message, user: User): string {
  const target = {
    channel: message.channel,
    user: user.id,
    message: { ts: message.ts, threadTs: message.threadTs },
  };
  return `${context.origin()}${context.triggers.issueResponsePath(target)}`;
}

async function deliverInteraction(
  context: Context,
  transport: Transport,
  what: string,
  payload: JsonObject,
): Promise<Reaction> {
  const delivery = await deliver(transport, what, payload);
  if (delivery.kind !== "acked") {
    const outcome = outcomeOf(delivery);
    return reaction(outcome, { text: `The app did not answer (${outcome}).` });
  }
  const { ackMs, body } = delivery;
  if (isObject(body) && Object.keys(body).length > 0) {
    context.record.violate("ack_body_ignored", `${what}: a press is acknowledged without content`);
  }
  return reaction("ok", { ackMs });
}

function deliver(transport: Transport, what: string, payload: JsonObject): Promise<Delivery> {
  return transport.deliver({
    type: "interactive",
    what,
    payload,
    acceptsBody: true,
    retryAttempt: 0,
    retryReason: "",
  });
}

function notConfigured(): Reaction {
  return reaction("not_configured", { text: "This app is not configured to handle interactive responses." });
}

function keysOf(block: JsonObject): readonly string[] {
  return interactiveElements([block]).flatMap(({ element }) => [
    String(element.action_id),
    `${String(block.block_id)}/${String(element.action_id)}`,
  ]);
}

function valueFor(
  block: JsonObject,
  element: JsonObject,
  values: ViewValues,
): string | readonly string[] | undefined {
  return (
    values[`${String(block.block_id)}/${String(element.action_id)}`] ?? values[String(element.action_id)]
  );
}

/** `state.values` of blocks: by block_id, then by action_id. */
function valuesOf(blocks: readonly JsonObject[], values: ViewValues): JsonObject {
  const state: Record<string, JsonObject> = {};
  for (const { block, element } of interactiveElements(blocks)) {
    const held = element.type === "button" ? undefined : stateOf(element, valueFor(block, element, values));
    if (held === undefined || element.type === "overflow") continue;
    const id = String(block.block_id);
    state[id] = { ...state[id], [String(element.action_id)]: held };
  }
  return state;
}

function inputErrors(blocks: readonly JsonObject[], values: ViewValues): Record<string, string> {
  const errors: Record<string, string> = {};
  for (const block of blocks.filter((one) => one.type === "input")) {
    const element = objectAt(block, "element") ?? {};
    const state = stateOf(element, valueFor(block, element, values));
    const problem = state === undefined ? "That value is not on offer." : inputProblem(block, element, state);
    if (problem !== undefined) errors[String(block.block_id)] = problem;
  }
  return errors;
}
