/** What of PagerDuty's REST answers is read; everything else in them may change. */
import { z } from "zod";

/** A person, as a reference or in full when `include[]=users` was heard. */
const person = z.looseObject({
  summary: z.string().nullish(),
  name: z.string().nullish(),
  email: z.string().nullish(),
});

const incident = z.looseObject({
  id: z.string().min(1),
  html_url: z.string().catch(""),
  status: z.enum(["triggered", "acknowledged", "resolved"]),
  created_at: z.string().nullish(),
  assignments: z.array(z.looseObject({ assignee: person })).catch([]),
  escalation_policy: z.looseObject({ id: z.string() }).nullish(),
});

export type IncidentShape = z.infer<typeof incident>;

export const incidentsShape = z.looseObject({ incidents: z.array(incident) });

export const policyShape = z.looseObject({
  escalation_policy: z.looseObject({ escalation_rules: z.array(z.unknown()) }),
});

export const logEntriesShape = z.looseObject({
  log_entries: z.array(z.looseObject({ id: z.string().catch(""), type: z.string().catch("") })),
  more: z.boolean().catch(false),
});

export const onCallsShape = z.looseObject({
  oncalls: z.array(
    z.looseObject({
      user: person,
      escalation_level: z.number().int(),
      end: z.string().nullish(),
    }),
  ),
  more: z.boolean().catch(false),
});

/** A person's name, however much of the person is there. */
export function nameOf(shape: z.infer<typeof person>): string {
  return shape.name ?? shape.summary ?? "somebody";
}
