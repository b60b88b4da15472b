/** Storms: alerts for several services within a minute. Whatever is wrong then is larger than one rollout, and no single alert is believed to point at a flip. */
import { z } from "zod";
import { MINUTE, type Now } from "../time.ts";
import type { IncomingAlert } from "./incoming.ts";
import type { AlertStorm } from "./view.ts";

/** Firings first seen this close together belong together; a storm is over when none was new for as long. Steady ms. */
export const STORM_MS = MINUTE;

/** A firing that is first told so long after it began says nothing about now: Belay was away, or alerts are told again. Wall ms. */
const MOST_LATE_MS = 5 * MINUTE;

/** Services remembered at most; more do not make a storm any larger. */
const MOST_SERVICES = 100;

interface Sighting {
  readonly service: string;
  readonly key: string;
  /** Steady ms. */
  readonly at: number;
}

/** A storm that was seen. `key` is the firing with which it began; `since` and `last` are steady ms, `fromWall` and `lastWall` Unix ms. */
export interface SeenStorm extends AlertStorm {
  readonly key: string;
  readonly last: number;
  readonly fromWall: number;
  readonly lastWall: number;
}

/** What is remembered to recognise a storm: the newest sighting of each service, and the newest storm, over or not. */
export interface StormWatch {
  readonly sightings: readonly Sighting[];
  readonly storm?: SeenStorm;
}

export const NO_STORM: StormWatch = { sightings: [] };

/** The watch after a firing of a service was seen for the first time. */
export function sighted(watch: StormWatch, firing: IncomingAlert, service: string, now: Now): StormWatch {
  if (now.wall - firing.startsAt > MOST_LATE_MS) return watch;
  const known = stormNow(watch, now);
  // Most firings of a large storm only make it go on.
  if (known?.services.includes(service) === true)
    return { ...watch, storm: { ...known, last: now.steady, lastWall: now.wall } };
  const recent = watch.sightings.filter((one) => now.steady - one.at <= STORM_MS && one.service !== service);
  const sightings = [...recent, { service, key: firing.key, at: now.steady }].slice(-MOST_SERVICES);
  if (known === undefined && recent.length === 0) return { ...watch, sightings };
  const services = new Set([...(known?.services ?? []), ...sightings.map((one) => one.service)]);
  return {
    sightings,
    storm: {
      key: known?.key ?? sightings[0]?.key ?? firing.key,
      services: [...services].sort().slice(0, MOST_SERVICES),
      since: known?.since ?? now.steady,
      last: now.steady,
      fromWall: known?.fromWall ?? now.wall,
      lastWall: now.wall,
    },
  };
}

/** The storm that goes on now; undefined when there is none, or when nothing new was seen for a minute. */
export function stormNow({ storm }: StormWatch, now: Now): SeenStorm | undefined {
  return storm !== undefined && now.steady - storm.last <= STORM_MS ? storm : undefined;
}

/** Whether a firing belongs to the newest storm: told while it goes on, or begun in its time. Such a firing takes nothing back, not even later. */
export function isOfStorm(watch: StormWatch, firing: IncomingAlert, now: Now): boolean {
  if (stormNow(watch, now) !== undefined) return true;
  const { storm } = watch;
  return (
    storm !== undefined && firing.startsAt >= storm.fromWall - STORM_MS && firing.startsAt <= storm.lastWall
  );
}

const stormSchema = z.object({
  key: z.string(),
  services: z.array(z.string()),
  since: z.number(),
  last: z.number(),
  fromWall: z.number(),
  lastWall: z.number(),
});

/** A storm as text that `watchFrom` reads. */
export function stormText(storm: SeenStorm): string {
  return JSON.stringify(storm);
}

/** The watch after a restart: with the storm that was saved, if there was one. */
export function watchFrom(saved: string | undefined): StormWatch {
  const storm = stormSchema.safeParse(saved === undefined ? undefined : parsed(saved));
  return storm.success ? { sightings: [], storm: storm.data } : NO_STORM;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
