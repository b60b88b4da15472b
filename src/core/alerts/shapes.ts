/** Alerts in the two shapes in which Alertmanager tells them: its webhook (payload version 4) and its API (v2), checked and bounded. */
import { z } from "zod";
import type { IncomingAlert } from "./incoming.ts";
import { parseInstant } from "./instant.ts";

const MOST_LABELS = 64;
const MOST_CHARS = 1_024;
const FINGERPRINT = /^[0-9A-Za-z]{1,64}$/;
const STATES: ReadonlySet<unknown> = new Set(["active", "suppressed", "unprocessed"]);

/** An alert as the API tells it; a suppressed one is silenced or inhibited. */
export interface ToldAlert {
  readonly isSuppressed: boolean;
  readonly alert: IncomingAlert;
}

const OUTSIZED = `labels: expected at most ${MOST_LABELS} texts of at most ${MOST_CHARS} characters`;

/** `string`: what is wrong, in words without any of the content. */
type Reader<T> = (fields: Fields) => T | string;

/** What Alertmanager posts; fields that Belay does not need may be there or not. */
export const webhookSchema = z.object({
  version: z.literal("4"),
  truncatedAlerts: z.int().nonnegative().default(0),
  alerts: listOf(webhookAlert),
});

/** What `/api/v2/alerts` answers. */
export const apiSchema = listOf(toldAlert);

function listOf<T>(reader: Reader<T>) {
  const list = z.custom<readonly unknown[]>(Array.isArray, "expected a list of alerts");
  return list.transform((values, context): readonly T[] => {
    const found = readEach(values, reader);
    if (typeof found !== "string") return found;
    context.addIssue(found);
    return z.NEVER;
  });
}

/**
 * An alert whose labels are too many or too long is left out: it is somebody else's oddity, and must not cost the others of its group. When nothing
 * else is in the list, it is told. What is no alert at all spoils the list: then this is not Alertmanager.
 *
 * Single alerts are read by hand: in a storm they come by the thousand, and a schema for every label would be most of the work then.
 */
function readEach<T>(values: readonly unknown[], reader: Reader<T>): readonly T[] | string {
  const found: T[] = [];
  let leftOut: string | undefined;
  for (const [index, value] of values.entries()) {
    const one = isFields(value) ? reader(value) : "expected an alert";
    if (one === OUTSIZED) leftOut ??= `${index}: ${one}`;
    else if (typeof one === "string") return `${index}: ${one}`;
    else found.push(one);
  }
  return found.length === 0 && leftOut !== undefined ? leftOut : found;
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function webhookAlert(fields: Fields): IncomingAlert | string {
  const { status, endsAt } = fields;
  if (status !== "firing" && status !== "resolved") return "status: expected firing or resolved";
  const alert = alertFrom(fields, status);
  if (typeof alert === "string" || status === "firing" || endsAt === undefined) return alert;
  const ended = instantFrom(endsAt);
  if (ended === undefined) return "endsAt: expected an instant";
  return ended > 0 ? { ...alert, endsAt: ended } : alert;
}

function toldAlert(fields: Fields): ToldAlert | string {
  const { status } = fields;
  if (!isFields(status) || !STATES.has(status["state"])) return "status: expected a state";
  const alert = alertFrom(fields, "firing");
  return typeof alert === "string" ? alert : { isSuppressed: status["state"] === "suppressed", alert };
}

/** What both shapes have in common. */
function alertFrom(fields: Fields, status: IncomingAlert["status"]): IncomingAlert | string {
  const { fingerprint, labels, annotations = {} } = fields;
  const startsAt = instantFrom(fields["startsAt"]);
  if (typeof fingerprint !== "string" || !FINGERPRINT.test(fingerprint)) return "expected a fingerprint";
  if (startsAt === undefined) return "startsAt: expected an instant such as 2026-01-05T09:00:00Z";
  if (!isTexts(labels)) return "labels: expected texts";
  if (!isShort(labels)) return OUTSIZED;
  if (!isTexts(annotations)) return "annotations: expected texts";
  const key = `${fingerprint}@${startsAt}`;
  return { key, fingerprint, status, startsAt, labels, annotations: shortened(annotations) };
}

function instantFrom(value: unknown): number | undefined {
  return typeof value === "string" ? parseInstant(value) : undefined;
}

type Texts = Readonly<Record<string, string>>;

function isTexts(value: unknown): value is Texts {
  if (!isFields(value)) return false;
  for (const name in value) if (typeof value[name] !== "string") return false;
  return true;
}

function isShort(texts: Texts): boolean {
  let count = 0;
  for (const name in texts) {
    count++;
    if (count > MOST_LABELS || name.length > MOST_CHARS || (texts[name]?.length ?? 0) > MOST_CHARS)
      return false;
  }
  return true;
}

/** Annotations are only for people: what is too much of them is cut off, and the alert still counts. */
function shortened(annotations: Texts): Texts {
  if (isShort(annotations)) return annotations;
  return Object.fromEntries(
    Object.entries(annotations)
      .filter(([name]) => name.length <= MOST_CHARS)
      .slice(0, MOST_LABELS)
      .map(([name, value]) => [name, value.slice(0, MOST_CHARS)]),
  );
}
