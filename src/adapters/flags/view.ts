/** What a service says of its own flags: read from a JSON page of the service, or from a metric it exposes. */
import { z } from "zod";
import { numbersOf } from "../../core/measurement.ts";
import type { FlagDef } from "../../core/plan.ts";
import { type Metrics, OutsideFault, type ServiceViewPort } from "../../engine/ports.ts";
import { HttpFault, type HttpReply, request } from "../http-client.ts";
import { within } from "./deadline.ts";

/**
 * Where the view is. `pointer` is a JSON pointer (RFC 6901) to an object of flag key -> value, or, with `{key}` or `{flag}` in it, to each flag's
 * value. `metric` is PromQL with `{key}` or `{flag}` in it (a flag's key in the store, its name in the catalogue), put in as escaped label values.
 */
export type ViewSource = { readonly http: string; readonly pointer: string } | { readonly metric: string };

export interface ViewOptions {
  /** Total deadline of one read, ms. */
  readonly timeoutMs: number;
  /** Needed for a metric. */
  readonly metrics?: Metrics;
}

/** A flag's value as a page may write it; anything else counts as not mentioned. */
const literalSchema = z.union([z.string(), z.boolean(), z.number()]).transform(String);
const tableSchema = z.record(z.string(), z.unknown());

/** Throws when a metric is given without `metrics` to ask, or names no flag: a mistake of the caller. */
export function createView(source: ViewSource, options: ViewOptions): ServiceViewPort {
  if ("http" in source)
    return { read: (flags) => readPage(source.http, source.pointer, flags, options.timeoutMs) };
  const { metrics, timeoutMs } = options;
  const { metric } = source;
  if (metrics === undefined) throw new Error("a view by metric needs something to ask");
  if (!PLACE.test(metric))
    throw new Error(`the view's metric names no flag: expected {key} or {flag} in ${metric}`);
  const late = () =>
    new OutsideFault(`the service's view did not come within ${timeoutMs} ms`, { recoverable: true });
  return { read: (flags) => within(timeoutMs, late, () => readMetric(metric, flags, metrics)) };
}

const PLACE = /\{(?:key|flag)\}/;
const PLACES = /\{(key|flag)\}/g;

function filled(template: string, flag: FlagDef, escaped: (text: string) => string): string {
  return template.replace(PLACES, (_place, word: string) => escaped(word === "key" ? flag.key : flag.name));
}

async function readPage(
  url: string,
  pointer: string,
  flags: readonly FlagDef[],
  timeoutMs: number,
): Promise<Readonly<Record<string, string>>> {
  const page = pageOf(await ask(url, timeoutMs), url);
  const perFlag = PLACE.test(pointer);
  const table = perFlag ? {} : tableAt(page, pointer, url);
  const found: [string, string][] = [];
  for (const flag of flags) {
    const value = perFlag ? at(page, filled(pointer, flag, escapePointer)) : own(table, flag.key);
    const literal = literalSchema.safeParse(value);
    if (literal.success) found.push([flag.name, literal.data]);
  }
  return Object.fromEntries(found);
}

async function ask(url: string, timeoutMs: number): Promise<HttpReply> {
  try {
    return await request({ method: "GET", url, timeoutMs, headers: { accept: "application/json" } });
  } catch (error) {
    if (error instanceof HttpFault)
      throw new OutsideFault(`the service's view: ${error.detail}`, { recoverable: true, cause: error });
    throw error;
  }
}

function pageOf(reply: HttpReply, url: string): unknown {
  const host = URL.parse(url)?.host ?? "the service";
  if (reply.status !== 200)
    throw new OutsideFault(`the service's view: ${host} answered ${reply.status}`, { recoverable: true });
  try {
    return JSON.parse(reply.text);
  } catch {
    throw new OutsideFault(`the service's view: ${host} answered something that is not JSON`, {
      recoverable: true,
    });
  }
}

function tableAt(page: unknown, pointer: string, url: string): Readonly<Record<string, unknown>> {
  const table = tableSchema.safeParse(at(page, pointer));
  if (table.success) return table.data;
  const host = URL.parse(url)?.host ?? "the service";
  throw new OutsideFault(
    `the service's view: the answer of ${host} has no object at ${pointer === "" ? "its top" : pointer}`,
    { recoverable: true },
  );
}

/** The value at a JSON pointer; undefined when there is none. */
function at(page: unknown, pointer: string): unknown {
  let value = page;
  for (const token of pointer.split("/").slice(1)) {
    const name = token.replaceAll("~1", "/").replaceAll("~0", "~");
    value = own(value, name);
  }
  return value;
}

function own(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return Object.getOwnPropertyDescriptor(value, name)?.value;
}

function escapePointer(text: string): string {
  return text.replaceAll("~", "~0").replaceAll("/", "~1");
}

async function readMetric(
  metric: string,
  flags: readonly FlagDef[],
  metrics: Metrics,
): Promise<Readonly<Record<string, string>>> {
  const now = Date.now();
  const answers = await Promise.all(
    flags.map((flag) => metrics.query(filled(metric, flag, escapeLabel), now)),
  );
  const found: [string, string][] = [];
  for (const [index, flag] of flags.entries()) {
    const answer = answers[index];
    if (answer === undefined) continue;
    const numbers = numbersOf(answer);
    if (numbers.kind !== "numbers")
      throw new OutsideFault(`the service's view by metric: ${numbers.detail}`, { recoverable: true });
    // Instances that disagree are shown as they are: "0 and 1" is neither on nor off, and nothing is believed of it.
    const distinct = [...new Set(numbers.values)].sort((a, b) => a - b);
    if (distinct.length > 0 && distinct.every((value) => Number.isFinite(value)))
      found.push([flag.name, distinct.join(" and ")]);
  }
  return Object.fromEntries(found);
}

/** A text inside a quoted PromQL string. */
function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
