/** Who changed a flag last and why, from LaunchDarkly's audit log; and all that was done to flags since an instant. */
import type { FlagDef } from "../../../core/plan.ts";
import type { Reading } from "../../../core/rollout/desired.ts";
import type { FlagChange, Log } from "../../../engine/ports.ts";
import { messageOfFault } from "../../../engine/ports.ts";
import type { Api } from "./api.ts";
import { intentIn } from "./comment.ts";
import { type AuditItem, type FlagShape, versionOf } from "./shapes.ts";

/** A reading waits this long at most for the name of who changed a flag. */
const LOOK_MS = 1_500;
/** A deadline is kept in whole ms, so it may pass a little early. */
const EARLY_MS = 20;
/** An entry of the log belongs to a change this near to it. */
const NEAR_MS = 1_000;
/** An entry that is not of the very instant is believed for good only when the log has had this long to show a nearer one. */
const SETTLED_MS = 5_000;
/** After this nobody looks again: the log does not say. */
const GIVE_UP_MS = 60_000;
const MOST_PAGES = 10;
const SAID_CHARS = 120;

export interface Writer {
  readonly intent?: string;
  readonly by?: NonNullable<Reading["by"]>;
}

export interface Writers {
  /** Our write was taken, and made this of the flag; `before`: the version that it was known to have. */
  wrote(key: string, flag: FlagShape, intent: string, before: string): void;
  /** Who made the flag what it is; knows nothing while the log does not say. Rejects never. */
  of(key: string, flag: FlagShape, until: number): Promise<Writer>;
  /** Oldest first. Rejects with an `OutsideFault`. */
  changes(flags: readonly FlagDef[], sinceWall: number, until: number): Promise<readonly FlagChange[]>;
  /** The id of our own token; asked for once. Rejects with an `OutsideFault`. */
  ownTokenId(until: number): Promise<string | undefined>;
}

interface Known {
  readonly version: string;
  /** Steady ms at which this version was first seen. */
  readonly since: number;
  /** The intent of our write that led to this version, as its answer says. */
  readonly hint: string | undefined;
  writer?: Writer;
  /** The log took all of its time the last time: nobody waits for it again, it is asked on the side. */
  isSilent?: boolean;
  looking?: Promise<Writer>;
}

export function createWriters(api: Api, log: Log, isClosed: () => boolean): Writers {
  const known = new Map<string, Known>();
  let tokenId: string | undefined;

  async function ownTokenId(until: number): Promise<string | undefined> {
    tokenId ??= await api.ownTokenId(until);
    return tokenId;
  }

  async function isOwn({ token }: AuditItem, until: number): Promise<boolean> {
    if (token === undefined || token === null) return false;
    // Not every token may ask for itself; how it ends is then what there is.
    const own = await ownTokenId(until).catch(() => undefined);
    return own === undefined || token._id === undefined
      ? api.isOwnEnding(token.ending ?? "")
      : token._id === own;
  }

  async function look(key: string, flag: FlagShape, entry: Known, until: number): Promise<Writer> {
    const { lastModified } = flag;
    const range = { after: lastModified - NEAR_MS - 1, before: lastModified + NEAR_MS + 1 };
    const items = await api.audit(key, range, until);
    const [nearest] = items.toSorted(
      (a, b) => Math.abs(a.date - lastModified) - Math.abs(b.date - lastModified),
    );
    if (nearest === undefined) return hinted(entry);
    const own = await isOwn(nearest, until);
    const intent = own ? intentIn(nearest.comment) : undefined;
    const writer: Writer = {
      // Belay needs no name for itself, and its own write is the same before the log has it and after.
      by: { name: own ? undefined : nameOf(nearest), own },
      ...(intent === undefined ? {} : { intent }),
    };
    const isExact = nearest.date === lastModified;
    if (!isExact && entry.hint !== undefined && intent !== entry.hint) return hinted(entry);
    if (isExact || performance.now() - entry.since > SETTLED_MS) entry.writer = writer;
    return writer;
  }

  function looked(key: string, flag: FlagShape, entry: Known, until: number): Promise<Writer> {
    entry.looking ??= look(key, flag, entry, until)
      .then((writer) => {
        entry.isSilent = false;
        return writer;
      })
      .catch((error: unknown) => {
        entry.isSilent = performance.now() > until - EARLY_MS;
        if (!isClosed())
          log.warn(`who changed ${key} could not be asked: ${messageOfFault(error)}`, { flag: key });
        return hinted(entry);
      })
      .finally(() => {
        delete entry.looking;
      });
    return entry.looking;
  }

  return {
    ownTokenId,
    wrote(key, flag, intent, before) {
      const version = versionOf(flag);
      // Nothing was changed, so nothing in the log is ours.
      if (version === before) return;
      known.set(key, { version, since: performance.now(), hint: intent });
    },
    async of(key, flag, until) {
      const version = versionOf(flag);
      const found = known.get(key);
      const entry: Known =
        found?.version === version ? found : { version, since: performance.now(), hint: undefined };
      known.set(key, entry);
      if (entry.writer !== undefined) return entry.writer;
      if (performance.now() - entry.since > GIVE_UP_MS) return hinted(entry);
      const soon = Math.min(until, performance.now() + LOOK_MS);
      const looking = looked(key, flag, entry, soon);
      // Our own write is known already: the read that proves it does not wait for the log to say the same.
      return entry.hint === undefined && entry.isSilent !== true ? looking : hinted(entry);
    },
    async changes(flags, sinceWall, until) {
      const lists = await Promise.all(flags.map((flag) => changesOf(api, flag, sinceWall, until, isOwn)));
      return lists.flat().toSorted((a, b) => a.wall - b.wall);
    },
  };
}

function hinted({ hint }: Known): Writer {
  return hint === undefined ? {} : { intent: hint, by: { name: undefined, own: true } };
}

async function changesOf(
  api: Api,
  flag: FlagDef,
  sinceWall: number,
  until: number,
  isOwn: (item: AuditItem, until: number) => Promise<boolean>,
): Promise<readonly FlagChange[]> {
  const changes: FlagChange[] = [];
  let before: number | undefined;
  for (let page = 0; page < MOST_PAGES; page++) {
    // The log leaves out the instant itself.
    const range = { after: Math.floor(sinceWall) - 1, ...(before === undefined ? {} : { before }) };
    const items = await api.audit(flag.key, range, until);
    for (const item of items) {
      const own = await isOwn(item, until);
      changes.push({
        flag: flag.name,
        wall: item.date,
        by: nameOf(item),
        own,
        what: whatOf(item, api.place.environment, own),
        ...(isLife(item) ? { isLife: true as const } : {}),
      });
    }
    before = items.at(-1)?.date;
    if (before === undefined) break;
  }
  return changes;
}

/** The person, or the token or program that acted for nobody. */
function nameOf({ member, token, app }: AuditItem): string | undefined {
  const person = [member?.firstName, member?.lastName]
    .filter((word) => word !== undefined && word !== "")
    .join(" ");
  const who = person === "" ? member?.email : person;
  const by = token?.name ?? app?.name;
  if (who === undefined || who === "") return by === undefined ? undefined : `the token ${line(by)}`;
  return by === undefined ? line(who) : `${line(who)} by the token ${line(by)}`;
}

/** What becomes of the flag itself or of its words, whatever it serves. */
const LIFE: ReadonlySet<string> = new Set([
  "createFlag",
  "cloneFlag",
  "deleteFlag",
  "updateGlobalArchived",
  "updateName",
  "updateDescription",
  "updateTags",
  "updateTemporary",
  "updateMaintainer",
]);

function isLife({ accesses }: AuditItem): boolean {
  const actions = (accesses ?? []).flatMap(({ action }) => action ?? []);
  return actions.length > 0 && actions.every((action) => LIFE.has(action));
}

/** `turned off in production: "why"`; our own comments say to people what Belay tells them anyway. */
function whatOf({ titleVerb, accesses, comment }: AuditItem, environment: string, own: boolean): string {
  const actions = (accesses ?? []).flatMap(({ action }) => action ?? []);
  const verb = line(titleVerb ?? "").replace(/ the flag$/, "");
  const did = verb === "" ? `changed${actions.length === 0 ? "" : ` (${actions.join(", ")})`}` : verb;
  const isOurs = (accesses ?? []).some(({ resource }) => resource?.includes(`:env/${environment}:`) === true);
  const where = isOurs ? ` in ${environment}` : "";
  const why = own || line(comment ?? "") === "" ? "" : `: "${line(comment ?? "")}"`;
  return `${did}${where}${why}`;
}

function line(text: string): string {
  const short = text.replace(/\s+/g, " ").trim();
  return short.length <= SAID_CHARS ? short : `${short.slice(0, SAID_CHARS)}...`;
}
