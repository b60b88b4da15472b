/** What PagerDuty's Events API takes, made from our own events: every field within its limit, however odd the input is. */
import type { PagerChange, PagerEvent } from "../../core/oncall/page.ts";
import { dedupKeyOf, fitted } from "./texts.ts";

const SUMMARY_POINTS = 1_024;
const NAME_POINTS = 255;
const VALUE_POINTS = 1_024;
/** Bytes of JSON that details may take together: PagerDuty leaves details out of webhooks that would be longer than 55 KB. */
const DETAILS_BYTES = 32 * 1_024;
const LINKS_MOST = 10;
const HREF_CHARS = 2_000;
/** The furthest instant a Date can hold, ms from 1970. */
const LAST_INSTANT_MS = 8.64e15;

interface Link {
  readonly href: string;
  readonly text?: string;
}

export type EventBody =
  | {
      readonly routing_key: string;
      readonly event_action: "trigger";
      readonly dedup_key: string;
      readonly client: string;
      readonly payload: {
        readonly summary: string;
        readonly source: string;
        readonly severity: string;
        readonly timestamp?: string;
        readonly component?: string;
        readonly custom_details: Readonly<Record<string, string>>;
      };
      readonly links: readonly Link[];
    }
  | {
      readonly routing_key: string;
      readonly event_action: "acknowledge" | "resolve";
      readonly dedup_key: string;
    };

export interface ChangeBody {
  readonly routing_key: string;
  readonly payload: {
    readonly summary: string;
    readonly source: string;
    readonly timestamp?: string;
    readonly custom_details: Readonly<Record<string, string>>;
  };
  readonly links: readonly Link[];
}

/** One event for one integration. */
export function eventBody(event: PagerEvent, routingKey: string): EventBody {
  const dedupKey = dedupKeyOf(event.dedupKey);
  if (event.kind !== "trigger")
    return { routing_key: routingKey, event_action: event.kind, dedup_key: dedupKey };
  const component = fitted(event.component ?? "", NAME_POINTS);
  return {
    routing_key: routingKey,
    event_action: "trigger",
    dedup_key: dedupKey,
    client: "Belay",
    payload: {
      summary: fitted(event.summary, SUMMARY_POINTS) || dedupKey,
      source: fitted(event.source, NAME_POINTS) || "belay",
      severity: event.severity,
      ...timestamp(event.wall),
      ...(component === "" ? {} : { component }),
      custom_details: details(event.details),
    },
    links: links(event.links),
  };
}

/** One change for one integration. Our key is among the details: PagerDuty knows no key for changes. */
export function changeBody(change: PagerChange, routingKey: string): ChangeBody {
  return {
    routing_key: routingKey,
    payload: {
      summary: fitted(change.summary, SUMMARY_POINTS) || change.key.slice(0, NAME_POINTS),
      source: fitted(change.source, NAME_POINTS) || "belay",
      ...timestamp(change.wall),
      custom_details: details({ key: change.key, ...change.details }),
    },
    links: [],
  };
}

/** PagerDuty takes its own clock for an event without a time, which is better than no page. */
function timestamp(wall: number): { readonly timestamp?: string } {
  return Math.abs(wall) <= LAST_INSTANT_MS ? { timestamp: new Date(wall).toISOString() } : {};
}

function details(given: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const taken = new Map<string, string>();
  const entries = Object.entries(given);
  let bytes = 0;
  for (const [name, value] of entries) {
    const field = [fitted(name, NAME_POINTS) || "detail", fitted(value, VALUE_POINTS)] as const;
    bytes += Buffer.byteLength(JSON.stringify(field));
    if (bytes > DETAILS_BYTES) {
      taken.set("left out", `${entries.length - taken.size} more, for their length`);
      break;
    }
    taken.set(...field);
  }
  return Object.fromEntries(taken);
}

/** PagerDuty refuses a whole event for one bad link, so a link that is none is left out. */
function links(given: readonly { readonly href: string; readonly text: string }[]): readonly Link[] {
  return given
    .filter(({ href }) => isWebAddress(href))
    .slice(0, LINKS_MOST)
    .map(linkOf);
}

function linkOf({ href, text }: { readonly href: string; readonly text: string }): Link {
  const label = fitted(text, NAME_POINTS);
  return { href, ...(label === "" ? {} : { text: label }) };
}

function isWebAddress(href: string): boolean {
  const url = href.length > HREF_CHARS ? null : URL.parse(href);
  return url !== null && (url.protocol === "https:" || url.protocol === "http:");
}
