/** What a Web API method is made of, and how its arguments are read. */

import type { Context } from "../context.ts";
import { isObject, type JsonObject } from "../json.ts";
import type { Channel } from "../model.ts";

/** One method: who may call it, how often, with what, and what it does. */
export interface Method {
  readonly token: "bot" | "app" | "any";
  /** One of these is needed; none when the list is empty. */
  readonly scopes: readonly string[];
  /** Calls that one app may make in a minute. */
  readonly perMinute: number;
  /** Whether it posts, which counts towards the channel's limit of one post per second. */
  readonly posts?: true;
  readonly required: readonly string[];
  readonly optional: readonly string[];
  readonly run: (context: Context, args: Args) => Reply;
}

/** Slack's tiers, in calls per minute. */
export const TIER = { two: 20, three: 50, four: 100, special: 600 } as const;

/** What a method answers: the body without `ok`, or an error code. */
export type Reply =
  | { readonly kind: "ok"; readonly body: JsonObject }
  | { readonly kind: "error"; readonly code: string; readonly problems: readonly string[] };

/** A good answer. */
export function ok(body: JsonObject): Reply {
  return { kind: "ok", body };
}

/** A refusal with one of Slack's error codes; `problems` say where it is wrong. */
export function refuse(code: string, problems: readonly string[] = []): Extract<Reply, { kind: "error" }> {
  return { kind: "error", code, problems };
}

/** A call's arguments; forms give strings, JSON bodies give typed values, and both read the same. */
export interface Args {
  /** As they came, with JSON in strings decoded, and without the token. */
  readonly all: JsonObject;
  text(name: string): string | undefined;
  flag(name: string): boolean | undefined;
  /** A whole number; undefined when missing or not a number. */
  count(name: string): number | undefined;
  /** The decoded value; a string that should have been JSON and is not stays a string. */
  value(name: string): unknown;
}

/** Reads arguments. */
export function readArgs(all: JsonObject): Args {
  return {
    all,
    text(name) {
      const value = all[name];
      return typeof value === "string" ? value : typeof value === "number" ? String(value) : undefined;
    },
    flag(name) {
      const value = all[name];
      if (value === true || value === "true" || value === "1") return true;
      return value === undefined ? undefined : false;
    },
    count(name) {
      const value = Number(all[name]);
      return Number.isInteger(value) ? value : undefined;
    },
    value: (name) => all[name],
  };
}

const TS = /^\d{10}\.\d{6}$/;

/** A message's ts; a malformed one is a violation, because it was kept as a number somewhere. */
export function readTs(context: Context, where: string, ts: string): string {
  if (!TS.test(ts))
    context.record.violate("ts_malformed", `${where}: ${ts.slice(0, 40)} is not a message's ts`);
  return ts;
}

/**
 * The channel that the bot named by its id, when the bot may know of it.
 * A name in place of the id is a violation, as it is for most of Slack's methods.
 */
export function readChannel(context: Context, where: string, args: Args): Channel | undefined {
  const given = args.text("channel") ?? "";
  const channel = context.workspace.findChannel(given);
  if (channel === undefined) return undefined;
  if (channel.id !== given) {
    context.record.violate("channel_by_name", `${where}: "${given}" is a name; the id is ${channel.id}`);
    return undefined;
  }
  return channel.kind === "public" || context.workspace.botIsIn(channel) ? channel : undefined;
}

/** A page of a list, with Slack's `response_metadata.next_cursor`. */
export function page<T>(
  items: readonly T[],
  args: Args,
  defaultLimit: number,
): { readonly items: readonly T[]; readonly next: string } | undefined {
  const cursor = args.text("cursor") ?? "";
  const start = cursor === "" ? 0 : Number(Buffer.from(cursor, "base64").toString().replace(/^at:/, ""));
  if (!Number.isInteger(start) || start < 0) return undefined;
  const limit = Math.min(Math.max(1, args.count("limit") ?? defaultLimit), 999);
  const end = start + limit;
  const next = end < items.length ? Buffer.from(`at:${end}`).toString("base64") : "";
  return { items: items.slice(start, end), next };
}

/** Whether the value is a metadata object; Slack's error code when it is not. */
export function checkMetadata(value: unknown): string | undefined {
  if (!isObject(value)) return "invalid_metadata_format";
  if (Object.keys(value).length === 0) return undefined;
  if (typeof value.event_type !== "string" || value.event_type === "") return "invalid_metadata_format";
  if (!isObject(value.event_payload)) return "invalid_metadata_schema";
  return JSON.stringify(value).length > 8_000 ? "metadata_too_large" : undefined;
}
