/** The flags of one project and environment of Unleash, as Belay's flag system: absolute writes, readings past any cache, changes from the event log. */
import type { FlagDef } from "../../../core/plan.ts";
import type { Reading } from "../../../core/rollout/desired.ts";
import type { FlagAbilities, Flags } from "../../../engine/ports.ts";
import { createUnleashApi } from "./api.ts";
import { historyOf, isOwn } from "./history.ts";
import { placeOf } from "./place.ts";
import { reachOf } from "./reach.ts";
import { rehearseFlag } from "./rehearse.ts";
import { type Place, servedOf, settingOf } from "./served.ts";
import type { Feature, Me, UnleashEvent } from "./shapes.ts";
import { type ApiOptions, type Deadline, deadlineOf } from "./transport.ts";
import { look, versionOf, writeAll } from "./write.ts";

export const UNLEASH_CAN: FlagAbilities = {
  percent: true,
  values: true,
  creates: false,
  together: false,
  compareAndSet: false,
  keepsIntent: false,
  history: true,
  restarts: false,
};

export interface UnleashOptions extends ApiOptions {
  /** Field of the context that decides who is among a share; Unleash's own `default` when not given. */
  readonly stickiness?: string | undefined;
  /** Total deadline of each method, ms. */
  readonly timeoutMs: number;
}

export interface UnleashFlags extends Flags {
  /** Ends what is under way. */
  close(): void;
}

export function createUnleashFlags(options: UnleashOptions): UnleashFlags {
  const { environment, project, timeoutMs, stickiness = "default" } = options;
  const api = createUnleashApi(options);
  const backs = new Map<string, number>();
  let knownMe: Me | undefined;

  /** Who the token is; undefined when Unleash does not say so now. A name is worth no failed reading. */
  async function me(deadline: Deadline): Promise<Me | undefined> {
    knownMe ??= await api.me(deadline).catch(() => undefined);
    return knownMe;
  }

  async function readOne(
    flag: FlagDef,
    deadline: Deadline,
    who: Promise<Me | undefined>,
  ): Promise<Omit<Reading, "at"> | undefined> {
    const { newest, feature } = await look(api, flag, environment, deadline, "read");
    if (feature === undefined) return undefined;
    const place = placeOf(feature, environment, project);
    return { ...readingOf(flag, feature, place, newest), ...authorOf(newest, await who) };
  }

  return {
    can: UNLEASH_CAN,
    async read(flags) {
      const deadline = deadlineOf(timeoutMs);
      const who = me(deadline);
      const readings = await Promise.all(flags.map((flag) => readOne(flag, deadline, who)));
      const found = flags.map((flag, index) => [flag.name, readings[index]] as const);
      return Object.fromEntries(
        found.flatMap(([name, reading]) => (reading === undefined ? [] : [[name, reading]])),
      );
    },
    write: (writes) =>
      writeAll(api, { backs, environment, project, stickiness }, writes, deadlineOf(timeoutMs)),
    history: (flags, sinceWall) => historyOf(api, flags, environment, sinceWall, deadlineOf(timeoutMs)),
    rehearse: (flag) => rehearseFlag({ api, flag, environment, project, stickiness, timeoutMs }),
    reach: async () =>
      reachOf(await api.me(deadlineOf(timeoutMs)), { project, environment, setting: options.setting }),
    close: () => api.close(),
  };
}

function readingOf(
  flag: FlagDef,
  feature: Feature,
  place: Place,
  newest: UnleashEvent | undefined,
): Omit<Reading, "at"> {
  return {
    setting: settingOf(flag, servedOf(place)),
    version: versionOf(feature, place, newest),
    effective: true,
    id: feature.createdAt,
  };
}

function authorOf(newest: UnleashEvent | undefined, me: Me | undefined): Pick<Reading, "by"> {
  if (newest === undefined || me === undefined) return {};
  return { by: { name: newest.createdBy ?? undefined, own: isOwn(newest, me) } };
}
