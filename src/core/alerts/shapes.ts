/** Alerts in the two shapes in which Alertmanager tells them: its webhook (payload version 4) and its API (v2), checked and bounded. */
import { z } from "zod";
import type { IncomingAlert } from "./incoming.ts";
import { parseInstant } from "./instant.ts";

const MOST_LABELS = 64;
const MOST_CHARS = 1_024;

const text = z.string().max(MOST_CHARS);

/** Labels say what an alert is: one with too many or too long ones is refused. */
const labels = z
  .record(text, text)
  .refine((found) => Object.keys(found).length <= MOST_LABELS, `expected at most ${MOST_LABELS} labels`);

/** Annotations are only for people: what is too much of them is cut off, and the alert still counts. */
const annotations = z.record(z.string(), z.string()).transform((found) =>
  Object.fromEntries(
    Object.entries(found)
      .filter(([name]) => name.length <= MOST_CHARS)
      .slice(0, MOST_LABELS)
      .map(([name, value]) => [name, value.slice(0, MOST_CHARS)]),
  ),
);

function fits(found: Readonly<Record<string, string>>): boolean {
  const entries = Object.entries(found);
  const isShort = entries.every(([name, value]) => name.length <= MOST_CHARS && value.length <= MOST_CHARS);
  return entries.length <= MOST_LABELS && isShort;
}

const fingerprint = z.string().regex(/^[0-9A-Za-z]{1,64}$/, "expected a fingerprint");

/** RFC 3339; Unix ms. */
const instant = z
  .string()
  .max(64)
  .transform((at, context) => {
    const wall = parseInstant(at);
    if (wall !== undefined) return wall;
    context.addIssue("expected an instant such as 2026-01-05T09:00:00Z");
    return z.NEVER;
  });

/** One alert of a webhook. */
const webhookAlert = z
  .object({
    status: z.enum(["firing", "resolved"]),
    labels,
    annotations: annotations.default({}),
    startsAt: instant,
    endsAt: instant.optional(),
    fingerprint,
  })
  .transform(({ endsAt, ...alert }): IncomingAlert => {
    const isEnded = alert.status === "resolved" && endsAt !== undefined && endsAt > 0;
    return { ...alert, key: keyOf(alert), ...(isEnded ? { endsAt } : {}) };
  });

/** What Alertmanager posts; fields that Belay does not need may be there or not. */
export const webhookSchema = z.object({
  version: z.literal("4"),
  truncatedAlerts: z.int().nonnegative().default(0),
  alerts: z.array(webhookAlert),
});

/** What `/api/v2/alerts` answers; `suppressed` alerts are silenced or inhibited. */
export const apiSchema = z.array(
  z
    .object({
      status: z.object({ state: z.enum(["active", "suppressed", "unprocessed"]) }),
      labels,
      annotations: annotations.default({}),
      startsAt: instant,
      fingerprint,
    })
    .transform(({ status, ...alert }): ToldAlert => {
      return {
        isSuppressed: status.state === "suppressed",
        alert: { ...alert, status: "firing", key: keyOf(alert) },
      };
    }),
);

interface ToldAlert {
  readonly isSuppressed: boolean;
  readonly alert: IncomingAlert;
}

function keyOf(alert: { readonly fingerprint: string; readonly startsAt: number }): string {
  return `${alert.fingerprint}@${alert.startsAt}`;
}
