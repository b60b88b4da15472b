/** The flags of one project as LaunchDarkly keeps them: made, changed, archived, deleted and made again, each change numbered and in the audit log. */
import { randomBytes, randomUUID } from "node:crypto";
import type { AuditEntry, Author, Config, Flag } from "./model.ts";

/** What the SDKs of an environment are told. */
export type Change =
  | { readonly kind: "put"; readonly environment: string; readonly flag: Flag }
  | {
      readonly kind: "gone";
      readonly environment: string;
      readonly key: string;
      readonly version: number;
    };

export interface NewFlag {
  readonly kind?: "boolean" | "multivariate";
  /** `true` and `false` unless said otherwise. */
  readonly values?: readonly unknown[];
  /** Index of what is served when the flag is on, and when it is off: the first and the last unless said otherwise. */
  readonly on?: number;
  readonly off?: number;
}

export class Flags {
  readonly project: string;
  readonly environments: readonly string[];
  readonly #flags = new Map<string, Flag>();
  readonly #audit: AuditEntry[] = [];
  /** Versions go on where a deleted flag of the same key ended: an SDK takes nothing older than what it has. */
  readonly #versions = new Map<string, number>();
  readonly #told: (change: Change) => void;
  #time = 0;

  constructor(project: string, environments: readonly string[], told: (change: Change) => void) {
    this.project = project;
    this.environments = environments;
    this.#told = told;
  }

  all(): readonly Flag[] {
    return [...this.#flags.values()];
  }

  get(key: string): Flag | undefined {
    return this.#flags.get(key);
  }

  /** @throws Error when there is none. */
  need(key: string): Flag {
    const flag = this.#flags.get(key);
    if (flag === undefined) throw new Error(`there is no flag ${key}`);
    return flag;
  }

  /** Newest first. */
  audit(): readonly AuditEntry[] {
    return this.#audit.toReversed();
  }

  /** A new flag, off everywhere. @throws Error when the key is taken. */
  create(key: string, made: NewFlag, author: Author): Flag {
    if (this.#flags.has(key)) throw new Error(`there is a flag ${key} already`);
    const {
      values = [true, false],
      kind = values.every((value) => typeof value === "boolean") ? "boolean" : "multivariate",
    } = made;
    const at = this.#now();
    const variations = values.map((value) => ({ id: randomUUID(), value }));
    const environments = this.environments.map((environment): [string, Config] => [
      environment,
      {
        on: false,
        fallthrough: { variation: made.on ?? 0 },
        offVariation: made.off ?? values.length - 1,
        targets: [],
        rules: [],
        prerequisites: [],
        version: this.#nextVersion(key, environment),
        lastModified: at,
      },
    ]);
    const flag: Flag = {
      key,
      kind,
      variations,
      version: 1,
      creationDate: at,
      archived: false,
      environments: Object.fromEntries(environments),
    };
    this.#flags.set(key, flag);
    this.#note(at, key, "*", ["createFlag"], "created the flag", undefined, author);
    this.#tell(flag);
    return flag;
  }

  /** A new configuration in one environment; its version and time are set here. */
  configure(
    key: string,
    environment: string,
    change: (config: Config) => Config,
    entry: {
      readonly actions: readonly string[];
      readonly comment?: string | undefined;
      readonly author: Author;
    },
  ): Flag {
    const flag = this.need(key);
    const before = flag.environments[environment];
    if (before === undefined) throw new Error(`there is no environment ${environment}`);
    const at = this.#now();
    const config: Config = {
      ...change(before),
      version: this.#nextVersion(key, environment),
      lastModified: at,
    };
    const after: Flag = {
      ...flag,
      version: flag.version + 1,
      environments: { ...flag.environments, [environment]: config },
    };
    this.#flags.set(key, after);
    const verb = before.on === config.on ? "updated the flag" : `turned ${config.on ? "on" : "off"} the flag`;
    this.#note(at, key, environment, entry.actions, verb, entry.comment, entry.author);
    this.#told({ kind: "put", environment, flag: after });
    return after;
  }

  /** Archived: no SDK is told of it any more. */
  archive(key: string, archived: boolean, author: Author): void {
    const flag = this.need(key);
    if (flag.archived === archived) return;
    const at = this.#now();
    const environments = Object.entries(flag.environments).map(([environment, config]) => [
      environment,
      { ...config, version: this.#nextVersion(key, environment), lastModified: at },
    ]);
    const after: Flag = {
      ...flag,
      archived,
      version: flag.version + 1,
      environments: Object.fromEntries(environments),
    };
    this.#flags.set(key, after);
    const verb = archived ? "archived the flag" : "restored the flag";
    this.#note(at, key, "*", ["updateGlobalArchived"], verb, undefined, author);
    if (archived) this.#gone(after);
    else this.#tell(after);
  }

  remove(key: string, author: Author): void {
    const flag = this.need(key);
    this.#flags.delete(key);
    this.#note(this.#now(), key, "*", ["deleteFlag"], "deleted the flag", undefined, author);
    for (const environment of this.environments) this.#nextVersion(key, environment);
    this.#gone(flag);
  }

  #tell(flag: Flag): void {
    for (const environment of this.environments) this.#told({ kind: "put", environment, flag });
  }

  #gone({ key }: Flag): void {
    for (const environment of this.environments) {
      const version = this.#versions.get(`${environment} ${key}`) ?? 0;
      this.#told({ kind: "gone", environment, key, version });
    }
  }

  #nextVersion(key: string, environment: string): number {
    const version = (this.#versions.get(`${environment} ${key}`) ?? 0) + 1;
    this.#versions.set(`${environment} ${key}`, version);
    return version;
  }

  /** No two changes share an instant, so that lists can be paged by time. */
  #now(): number {
    this.#time = Math.max(Date.now(), this.#time + 1);
    return this.#time;
  }

  #note(
    at: number,
    key: string,
    environment: string,
    actions: readonly string[],
    titleVerb: string,
    comment: string | undefined,
    author: Author,
  ): void {
    const resource = `proj/${this.project}:env/${environment}:flag/${key}`;
    const accesses = actions.map((action) => ({ action, resource }));
    this.#audit.push({
      id: randomBytes(12).toString("hex"),
      at,
      accesses,
      name: key,
      titleVerb,
      comment,
      author,
    });
  }
}
