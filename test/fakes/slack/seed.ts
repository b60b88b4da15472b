/** The people, channels and user groups that a workspace starts with. */

/** A person or bot; `kind` defaults to `member`. */
export interface SeedUser {
  /** Handle without the `@`. */
  readonly name: string;
  readonly realName?: string;
  /** `guest`: single-channel guest; `stranger`: from another organisation, through Slack Connect. */
  readonly kind?: "member" | "guest" | "stranger" | "deleted" | "bot";
}

/** A channel; everyone who is not deleted is a member unless `members` says otherwise. */
export interface SeedChannel {
  /** Name without the `#`. */
  readonly name: string;
  readonly botIsMember?: boolean;
  readonly archived?: boolean;
  readonly private?: boolean;
  readonly topic?: string;
  /** Handles. */
  readonly members?: readonly string[];
}

/** A user group. */
export interface SeedGroup {
  readonly handle: string;
  /** Handles of people. */
  readonly members: readonly string[];
}

/** Everything a workspace starts with; each list that is given replaces the default list. */
export interface Seed {
  readonly users?: readonly SeedUser[];
  readonly channels?: readonly SeedChannel[];
  readonly usergroups?: readonly SeedGroup[];
}

/** People of every sort that a bot has to tell apart. */
export const DEFAULT_USERS: readonly SeedUser[] = [
  { name: "ana", realName: "Ana Laine" },
  { name: "ben", realName: "Ben Okafor" },
  { name: "kim", realName: "Kim Aoki" },
  { name: "eve", realName: "Eve Novak" },
  { name: "gus", realName: "Gus Moreau", kind: "guest" },
  { name: "stan", realName: "Stan Petit", kind: "stranger" },
  { name: "dora", realName: "Dora Lind", kind: "deleted" },
  { name: "grafana", realName: "Grafana", kind: "bot" },
];

/** One channel where the bot is, one where it is not, one that is archived. */
export const DEFAULT_CHANNELS: readonly SeedChannel[] = [
  { name: "ingestion-ops", botIsMember: true, topic: "Rollouts and on-call of the ingestion service" },
  { name: "random", botIsMember: false, topic: "Anything else" },
  { name: "old-launch", botIsMember: true, archived: true, topic: "Finished" },
];

/** Two groups with people and one without. */
export const DEFAULT_GROUPS: readonly SeedGroup[] = [
  { handle: "oncall", members: ["ana", "ben"] },
  { handle: "release-approvers", members: ["ben", "kim"] },
  { handle: "db-owners", members: [] },
];
