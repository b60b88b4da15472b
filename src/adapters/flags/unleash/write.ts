/** Writes to Unleash: forward over the version that was read, backward without asking for more than it must. */
import { createHash } from "node:crypto";
import type { FlagDef } from "../../../core/plan.ts";
import { type FlagWrite, OutsideFault, type WriteResult } from "../../../engine/ports.ts";
import type { UnleashApi } from "./api.ts";
import { gone, placeOf } from "./place.ts";
import type { Place } from "./served.ts";
import type { Feature, UnleashEvent } from "./shapes.ts";
import { type Call, callsFor } from "./target.ts";
import type { Deadline, Lane } from "./transport.ts";

const DIGEST_LENGTH = 12;

export interface WritePlace {
  readonly project: string;
  readonly environment: string;
  readonly stickiness: string;
  /** How many writes that go back have begun, by key: a forward one that began before sends nothing more. */
  readonly backs: Map<string, number>;
}

/** Writes all at once, none waiting for another. Rejects with the fault that all of them have in common. */
export async function writeAll(
  api: UnleashApi,
  where: WritePlace,
  writes: readonly FlagWrite[],
  deadline: Deadline,
): Promise<Readonly<Record<string, WriteResult>>> {
  const results = await Promise.all(
    writes.map((write) =>
      (write.ifVersion === undefined
        ? goBack(api, where, write, deadline)
        : goForward(api, where, write, deadline)
      ).catch(asFault),
    ),
  );
  throwShared(writes, results);
  return Object.fromEntries(
    writes.map((write, index) => [write.flag.name, results[index] ?? "conflict"] as const),
  );
}

async function goForward(
  api: UnleashApi,
  where: WritePlace,
  { flag, setting, ifVersion, note }: FlagWrite,
  deadline: Deadline,
): Promise<WriteResult> {
  const { backs, environment, project, stickiness } = where;
  const before = backs.get(flag.key);
  // An OFF over what is off is no new version; what was sent after it would win all the same.
  const givesWay = (): boolean => backs.get(flag.key) !== before;
  const { newest, feature } = await look(api, flag, environment, deadline, "forward");
  if (feature === undefined) throw gone(flag, project);
  const place = placeOf(feature, environment, project);
  if (versionOf(feature, place, newest) !== ifVersion) return "conflict";
  const calls = callsFor({ flag, setting, direction: "forward", note, stickiness }, place);
  return send(api, flag, calls, { deadline, lane: "forward", givesWay });
}

/** Whatever is there. */
const ANYTHING: Place = { environment: { enabled: true, strategies: [] }, parents: [] };

async function goBack(
  api: UnleashApi,
  { backs, environment, project, stickiness }: WritePlace,
  { flag, setting, note }: FlagWrite,
  deadline: Deadline,
): Promise<WriteResult> {
  backs.set(flag.key, (backs.get(flag.key) ?? 0) + 1);
  const how: Sending = { deadline, lane: "backward", givesWay: () => false };
  const wish = { flag, setting, direction: "backward", note, stickiness } as const;
  const blind = callsFor(wish, ANYTHING);
  // Turning the environment off needs no look at what is there.
  if (!("kind" in blind) && blind.every((call) => call.kind === "off")) {
    return send(api, flag, blind, how);
  }
  const feature = await api.feature(flag.key, deadline, "backward");
  if (feature === undefined) throw gone(flag, project);
  return send(api, flag, callsFor(wish, placeOf(feature, environment, project)), how);
}

interface Sending {
  readonly deadline: Deadline;
  readonly lane: Lane;
  /** Whether something that goes back has begun meanwhile. */
  readonly givesWay: () => boolean;
}

async function send(
  api: UnleashApi,
  flag: FlagDef,
  calls: ReturnType<typeof callsFor>,
  { deadline, givesWay, lane }: Sending,
): Promise<WriteResult> {
  if ("kind" in calls)
    throw new OutsideFault(`${flag.key} ${calls.why}; nothing was changed`, { recoverable: false });
  const done: Call[] = [];
  for (const call of calls) {
    if (givesWay()) return "conflict";
    const outcome = done.length === 0 ? undefined : "Its strategy was set before; the environment stays off";
    await api.call(flag.key, call, { deadline, lane, outcome });
    done.push(call);
  }
  return "written";
}

/** The newest event and the feature; undefined where there is none. */
export async function look(
  api: UnleashApi,
  flag: FlagDef,
  environment: string,
  deadline: Deadline,
  lane: Lane,
): Promise<{ readonly newest: UnleashEvent | undefined; readonly feature: Feature | undefined }> {
  // The log first: should a change come in between, this version is already outdated, and nothing is written over that change.
  const [newest] = await api.events({ keys: [flag.key], environment, limit: 1 }, deadline, lane);
  return { newest, feature: await api.feature(flag.key, deadline, lane) };
}

/** Changes with every change in this environment, also with one that leads back to what was (the log), and when the flag is another one (its creation). */
export function versionOf(feature: Feature, place: Place, newest: UnleashEvent | undefined): string {
  const { enabled, strategies } = place.environment;
  const content = JSON.stringify([feature.createdAt, enabled, strategies, place.parents]);
  const digest = createHash("sha256").update(content).digest("hex").slice(0, DIGEST_LENGTH);
  return `${newest?.id ?? 0}.${digest}`;
}

function asFault(error: unknown): OutsideFault {
  if (error instanceof OutsideFault) return error;
  throw error;
}

/** Throws when all of several writes failed for one cause: the same words but for the flag's key. */
function throwShared(writes: readonly FlagWrite[], results: readonly WriteResult[]): void {
  const [first] = results;
  if (!(first instanceof OutsideFault)) return;
  const causes = results.map((result, index) =>
    result instanceof OutsideFault ? result.message.replaceAll(writes[index]?.flag.key ?? "", "") : undefined,
  );
  if (causes.some((cause) => cause !== causes[0])) return;
  const others = writes.slice(1).map((write) => write.flag.key);
  if (others.length === 0) throw first;
  throw new OutsideFault(`${first.message} (and the same for ${others.join(", ")})`, {
    recoverable: first.recoverable,
    retryAfterMs: first.retryAfterMs,
    cause: first.cause,
  });
}
