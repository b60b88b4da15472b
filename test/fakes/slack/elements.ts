/** Interactive elements as a person uses them: which one is meant, and what it sends. */

import { type JsonObject, objectAt, objectsAt, stringAt } from "./json.ts";
import { interactiveElements } from "./shapes.ts";

/** Which element: by action_id, by the text on the button, or by both; `blockId` when several are alike. */
export interface ElementChoice {
  readonly actionId?: string | undefined;
  readonly text?: string | undefined;
  readonly blockId?: string | undefined;
  /** What is picked in a menu, list or date field: an option's value, a user's or channel's id, a date, a text. */
  readonly value?: string | readonly string[] | undefined;
}

/** An element in its block. */
export interface Placed {
  readonly block: JsonObject;
  readonly element: JsonObject;
}

/** The elements that the choice may mean; one, when it is clear. */
export function matching(blocks: readonly JsonObject[], choice: ElementChoice): readonly Placed[] {
  return interactiveElements(blocks).filter(
    ({ block, element }) =>
      (choice.actionId === undefined || element.action_id === choice.actionId) &&
      (choice.blockId === undefined || block.block_id === choice.blockId) &&
      (choice.text === undefined || stringAt(objectAt(element, "text"), "text") === choice.text),
  );
}

/** The action that a payload carries for an element; undefined when the picked value is not on offer. */
export function actionOf(placed: Placed, choice: ElementChoice, actionTs: string): JsonObject | undefined {
  const { block, element } = placed;
  const common = {
    type: element.type,
    action_id: element.action_id,
    block_id: block.block_id,
    action_ts: actionTs,
    ...(element.confirm === undefined ? {} : { confirm: element.confirm }),
  };
  if (element.type === "button") {
    const { text, value, url, style } = element;
    return { ...common, ...defined({ text, value, url, style }) };
  }
  const state = stateOf(element, choice.value);
  return state === undefined ? undefined : { ...common, ...state };
}

/**
 * What an element holds when a person has picked `value`, as `state.values` shows it. Without a value, what it holds
 * from the start. @returns undefined when the value is not on offer.
 */
export function stateOf(
  element: JsonObject,
  value: string | readonly string[] | undefined,
): JsonObject | undefined {
  const type = stringAt(element, "type") ?? "";
  const one = typeof value === "string" ? value : value?.[0];
  const many = typeof value === "string" ? [value] : value;
  switch (type) {
    case "overflow":
    case "static_select":
    case "radio_buttons": {
      if (one === undefined || one === "") return { type, selected_option: element.initial_option ?? null };
      const option = optionsOf(element).find((candidate) => candidate.value === one);
      return option === undefined ? undefined : { type, selected_option: option };
    }
    case "checkboxes":
    case "multi_static_select": {
      if (many === undefined) return { type, selected_options: element.initial_options ?? [] };
      const options = many.map((each) => optionsOf(element).find((candidate) => candidate.value === each));
      return options.includes(undefined) ? undefined : { type, selected_options: options };
    }
    case "users_select":
      return { type, selected_user: one ?? element.initial_user ?? null };
    case "multi_users_select":
      return { type, selected_users: many ?? element.initial_users ?? [] };
    case "conversations_select":
      return { type, selected_conversation: one ?? element.initial_conversation ?? null };
    case "channels_select":
      return { type, selected_channel: one ?? element.initial_channel ?? null };
    case "datepicker":
      return { type, selected_date: one ?? element.initial_date ?? null };
    case "timepicker":
      return { type, selected_time: one ?? element.initial_time ?? null };
    case "datetimepicker":
      return {
        type,
        selected_date_time: one === undefined ? (element.initial_date_time ?? null) : Number(one),
      };
    case "button":
      return undefined;
    default:
      return { type, value: one === undefined || one === "" ? (element.initial_value ?? null) : one };
  }
}

/** The options of a menu, with those inside groups. */
export function optionsOf(element: JsonObject): readonly JsonObject[] {
  return [
    ...objectsAt(element, "options"),
    ...objectsAt(element, "option_groups").flatMap((group) => objectsAt(group, "options")),
  ];
}

/** Why an input would not be accepted by Slack's own client; undefined when it would. */
export function inputProblem(block: JsonObject, element: JsonObject, state: JsonObject): string | undefined {
  const { type: _type, ...held } = state;
  const value = Object.values(held)[0];
  const empty =
    value === null || value === undefined || value === "" || (Array.isArray(value) && value.length === 0);
  if (empty) return block.optional === true ? undefined : "Please complete this required field.";
  if (typeof value !== "string") return undefined;
  const min = Number(element.min_length ?? 0);
  const max = Number(element.max_length ?? 3000);
  if (element.type === "plain_text_input" && [...value].length < min)
    return `Must be at least ${min} characters.`;
  if (element.type === "plain_text_input" && [...value].length > max)
    return `Must be at most ${max} characters.`;
  if (element.type === "number_input") return numberProblem(element, value);
  if (element.type === "email_text_input" && !/^\S+@\S+\.\S+$/.test(value))
    return "Must be an email address.";
  if (element.type === "url_text_input" && !/^https?:\/\/\S+$/.test(value)) return "Must be a URL.";
  return undefined;
}

function numberProblem(element: JsonObject, value: string): string | undefined {
  const number = Number(value);
  if (!Number.isFinite(number)) return "Must be a number.";
  if (element.is_decimal_allowed !== true && !Number.isInteger(number)) return "Must be a whole number.";
  if (element.min_value !== undefined && number < Number(element.min_value))
    return `Must be at least ${element.min_value}.`;
  if (element.max_value !== undefined && number > Number(element.max_value))
    return `Must be at most ${element.max_value}.`;
  return undefined;
}

function defined(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
