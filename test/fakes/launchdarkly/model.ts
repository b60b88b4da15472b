/** The nouns of the stand-in LaunchDarkly: flags with their environments, tokens, the audit log, requests heard, and what was wrong with them. */

/** Somebody with an account. */
export interface Person {
  readonly id: string;
  readonly firstName: string;
  readonly lastName: string;
  readonly email: string;
}

export interface Variation {
  readonly id: string;
  readonly value: unknown;
  readonly name?: string;
}

/** `weight` in thousandths of a percent. */
export interface Weighted {
  readonly variation: number;
  readonly weight: number;
}

export interface Rollout {
  readonly variations: readonly Weighted[];
  readonly bucketBy?: string;
  readonly contextKind?: string;
  /** Part of an experiment. */
  readonly experiment?: true;
}

/** By index into the flag's variations. */
export type Served = { readonly variation: number } | { readonly rollout: Rollout };

export interface Rule {
  readonly id: string;
  readonly attribute: string;
  readonly values: readonly string[];
  readonly variation: number;
}

/** A flag in one environment. */
export interface Config {
  readonly on: boolean;
  readonly fallthrough: Served;
  readonly offVariation: number | undefined;
  readonly targets: readonly { readonly values: readonly string[]; readonly variation: number }[];
  readonly rules: readonly Rule[];
  readonly prerequisites: readonly { readonly key: string; readonly variation: number }[];
  readonly version: number;
  /** Wall ms. */
  readonly lastModified: number;
}

export interface Flag {
  readonly key: string;
  readonly kind: "boolean" | "multivariate";
  readonly variations: readonly Variation[];
  readonly version: number;
  /** Wall ms; no two flags have the same one. */
  readonly creationDate: number;
  readonly archived: boolean;
  readonly environments: Readonly<Record<string, Config>>;
}

export interface Statement {
  readonly effect: "allow" | "deny";
  readonly actions?: readonly string[];
  readonly notActions?: readonly string[];
  readonly resources?: readonly string[];
  readonly notResources?: readonly string[];
}

/** Its rights: a base role, custom roles by their ids, or a role of its own. */
export type Rights =
  | { readonly role: "reader" | "writer" | "admin" }
  | { readonly customRoleIds: readonly string[] }
  | { readonly inlineRole: readonly Statement[] };

export interface Token {
  readonly id: string;
  readonly value: string;
  readonly name: string;
  readonly service: boolean;
  readonly owner: Person;
  readonly rights: Rights;
}

/** Who did something. */
export type Author = { readonly member: Person } | { readonly token: Token };

export interface AuditEntry {
  readonly id: string;
  /** Wall ms; no two entries have the same one. */
  readonly at: number;
  readonly accesses: readonly { readonly action: string; readonly resource: string }[];
  readonly name: string;
  readonly titleVerb: string;
  readonly comment: string | undefined;
  readonly author: Author;
}

/** A request as it came in. */
export interface Heard {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The decoded JSON; undefined when there was none. */
  readonly body: unknown;
  /** Wall ms. */
  readonly at: number;
}

/** Something that the real LaunchDarkly would refuse, or that a careful client never does. */
export interface Violation {
  readonly rule: string;
  readonly detail: string;
}

/** An answer before it is sent. */
export interface Answer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}
