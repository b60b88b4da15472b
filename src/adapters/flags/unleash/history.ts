/** Unleash's event log: who changed a flag, when, and in words. */
import type { FlagDef } from "../../../core/plan.ts";
import type { FlagChange } from "../../../engine/ports.ts";
import type { UnleashApi } from "./api.ts";
import { describeStrategies } from "./served.ts";
import { type Me, strategyShape, type UnleashEvent } from "./shapes.ts";
import type { Deadline } from "./transport.ts";

const PAGE = 100;
const MOST_PAGES = 10;

/** Whether this event was done with the token that Belay uses. */
export function isOwn(event: UnleashEvent, { user }: Me): boolean {
  const id = user.id ?? user.internalAdminTokenUserId;
  // All admin tokens share one user id: their names tell them apart.
  const name = user.email || user.username;
  return event.createdByUserId === id && (event.createdBy ?? undefined) === (name || undefined);
}

/** Changes since `sinceWall` (Unix ms) in this environment, or of the whole flag; oldest first. Rejects with an `OutsideFault`. */
export async function historyOf(
  api: UnleashApi,
  flags: readonly FlagDef[],
  environment: string,
  sinceWall: number,
  deadline: Deadline,
): Promise<readonly FlagChange[]> {
  if (flags.length === 0) return [];
  const names = new Map(flags.map((flag) => [flag.key, flag.name] as const));
  const [me, events] = await Promise.all([
    api.me(deadline),
    eventsSince(api, [...names.keys()], sinceWall, deadline),
  ]);
  return events.flatMap((event) => {
    const flag = names.get(event.featureName ?? "");
    const isHere = event.environment === environment || (event.environment ?? "") === "";
    if (flag === undefined || !isHere) return [];
    const what = whatOf(event);
    if (what === undefined) return [];
    return [
      {
        flag,
        wall: Date.parse(event.createdAt),
        by: event.createdBy ?? undefined,
        own: isOwn(event, me),
        what,
        ...(LIFE.has(event.type) ? { isLife: true as const } : {}),
      },
    ];
  });
}

/** Oldest first. Unleash filters by day only, and hands out pages, newest first. */
async function eventsSince(
  api: UnleashApi,
  keys: readonly string[],
  sinceWall: number,
  deadline: Deadline,
): Promise<readonly UnleashEvent[]> {
  const fromDay = new Date(Math.max(0, sinceWall)).toISOString().slice(0, 10);
  const found = new Map<number, UnleashEvent>();
  for (let page = 0; page < MOST_PAGES; page++) {
    const events = await api.events({ keys, fromDay, limit: PAGE, offset: page * PAGE }, deadline);
    // An event that came meanwhile moves the others on: the same one may be on two pages.
    for (const event of events) found.set(event.id, event);
    const oldest = events.at(-1);
    if (events.length < PAGE || oldest === undefined || Date.parse(oldest.createdAt) < sinceWall) break;
  }
  return [...found.values()]
    .filter((event) => Date.parse(event.createdAt) >= sinceWall)
    .toSorted((a, b) => a.id - b.id);
}

/** What becomes of the flag itself, whatever it serves. */
const LIFE: ReadonlySet<string> = new Set([
  "feature-created",
  "feature-archived",
  "feature-revived",
  "feature-deleted",
  "feature-project-change",
]);

/** What happened, as the end of a sentence; undefined for what changes nothing that is served. */
function whatOf({ type, environment, data }: UnleashEvent): string | undefined {
  const where = (environment ?? "") === "" ? "" : ` in ${environment}`;
  switch (type) {
    case "feature-environment-enabled":
      return `turned on${where}`;
    case "feature-environment-disabled":
      return `turned off${where}`;
    case "feature-strategy-add":
      return `strategy added${where}${shownStrategy(data)}`;
    case "feature-strategy-update":
      return `strategy changed${where}${shownStrategy(data)}`;
    case "feature-strategy-remove":
      return `strategy removed${where}`;
    case "feature-environment-variants-updated":
      return `variants changed${where}`;
    case "feature-dependency-added":
    case "feature-dependency-removed":
    case "feature-dependencies-removed":
      return `dependency ${type.endsWith("added") ? "added" : "removed"}`;
    case "feature-created":
      return "created";
    case "feature-archived":
      return "archived";
    case "feature-revived":
      return "revived";
    case "feature-deleted":
      return "deleted";
    case "feature-project-change":
      return "moved to another project";
    default:
      return undefined;
  }
}

function shownStrategy(data: unknown): string {
  const parsed = strategyShape.safeParse(data);
  if (!parsed.success) return "";
  const payloads = (parsed.data.variants ?? []).flatMap(({ payload }) =>
    payload === undefined ? [] : [JSON.stringify(payload.value)],
  );
  const values = payloads.length === 0 ? "" : `: ${payloads.join(", ")}`;
  return ` (${describeStrategies([parsed.data])}${values})`.slice(0, 200);
}
