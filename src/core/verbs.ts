/** Every verb Belay understands, as one table: the command line is parsed by it and help is written from it. */

import { DESK_VERBS } from "./desk-verbs.ts";

/** What a slash command says already. */
export type SlashNoun = "rollout" | "belay";

/** `/rollout VERB` and `/belay VERB`; the others are `/belay NOUN VERB`. */
export type Noun = SlashNoun | DeskNoun;

/** Nouns that desks besides the rollouts answer for. */
export type DeskNoun = "oncall" | "schedule" | "health";

/** `read` changes nothing; `backward` is never gated; `forward` obeys every gate. */
export type Direction = "read" | "backward" | "forward";

export interface VerbSpec {
  readonly noun: Noun;
  readonly verb: string;
  readonly usage: string;
  readonly says: string;
  readonly direction: Direction;
  readonly options: readonly string[];
  /** Most positional words after the verb. */
  readonly most: number;
}

export const DESK_NOUNS: readonly DeskNoun[] = ["oncall", "schedule", "health"];

/** What a noun alone means. */
export const USUAL_VERB: Readonly<Record<Noun, string>> = {
  rollout: "help",
  belay: "help",
  oncall: "list",
  schedule: "list",
  health: "now",
};

/** How a command is typed in Slack. */
export function typedAs({ noun, usage }: VerbSpec): string {
  return noun === "rollout" || noun === "belay" ? `/${noun} ${usage}` : `/belay ${noun} ${usage}`;
}

const RUN = "run";
const LEAVE_ON = "leave-on";
/** Options that are there or not. */
export const SWITCHES: ReadonlySet<string> = new Set([LEAVE_ON]);

/** Every verb Belay understands; help is written from this table. */
export const VERBS: readonly VerbSpec[] = [
  {
    noun: "rollout",
    verb: "list",
    usage: "list",
    says: "rollouts that can be started, and live ones",
    direction: "read",
    options: [],
    most: 0,
  },
  {
    noun: "rollout",
    verb: "status",
    usage: "status [ROLLOUT]",
    says: "where a rollout stands and what it waits for",
    direction: "read",
    options: [RUN],
    most: 1,
  },
  {
    noun: "rollout",
    verb: "plan",
    usage: "plan ROLLOUT",
    says: "stages, times, guards and the worst-case rollback time",
    direction: "read",
    options: [],
    most: 1,
  },
  {
    noun: "rollout",
    verb: "rehearse",
    usage: "rehearse ROLLOUT",
    says: "try the way back of every flag, without any effect",
    direction: "read",
    options: [],
    most: 1,
  },
  {
    noun: "rollout",
    verb: "evidence",
    usage: "evidence [ROLLOUT]",
    says: "what each guard measured",
    direction: "read",
    options: [RUN],
    most: 1,
  },
  {
    noun: "rollout",
    verb: "history",
    usage: "history [ROLLOUT]",
    says: "what happened, who did it and why",
    direction: "read",
    options: [RUN],
    most: 1,
  },
  {
    noun: "rollout",
    verb: "start",
    usage: "start ROLLOUT [at=14:00]",
    says: "begin a rollout at its first stage",
    direction: "forward",
    options: ["at", "env"],
    most: 1,
  },
  {
    noun: "rollout",
    verb: "enable",
    usage: "enable STAGE",
    says: "go up to a stage, or start it alone when what it requires is on",
    direction: "forward",
    options: ["env", RUN],
    most: 1,
  },
  {
    noun: "rollout",
    verb: "advance",
    usage: "advance [ROLLOUT]",
    says: "do not wait out the soak: go on as soon as the evidence allows",
    direction: "forward",
    options: [RUN],
    most: 1,
  },
  {
    noun: "rollout",
    verb: "resume",
    usage: "resume [ROLLOUT]",
    says: "end a hold",
    direction: "forward",
    options: [RUN],
    most: 1,
  },
  {
    noun: "rollout",
    verb: "extend",
    usage: "extend 30m",
    says: "soak the present stage longer",
    direction: "forward",
    options: [RUN],
    most: 2,
  },
  {
    noun: "rollout",
    verb: "approve",
    usage: "approve [ROLLOUT]",
    says: "approve the stage that waits for it",
    direction: "forward",
    options: [RUN],
    most: 1,
  },
  {
    noun: "rollout",
    verb: "signoff",
    usage: 'signoff go|no-go [because "..."]',
    says: "sign the open review",
    direction: "forward",
    options: [RUN],
    most: 2,
  },
  {
    noun: "rollout",
    verb: "unlock",
    usage: 'unlock STAGE because "..."',
    says: "let a rolled-back flag be enabled again",
    direction: "forward",
    options: [RUN, "env"],
    most: 1,
  },
  {
    noun: "rollout",
    verb: "stop",
    usage: "stop [ROLLOUT] [--leave-on]",
    says: "end the rollout and leave flags as they are",
    direction: "forward",
    options: [RUN, LEAVE_ON],
    most: 1,
  },
  {
    noun: "rollout",
    verb: "release",
    usage: "release [ROLLOUT]",
    says: "hand its flags to people for good; guards still judge, Belay flips nothing by itself",
    direction: "forward",
    options: [RUN],
    most: 1,
  },
  {
    noun: "rollout",
    verb: "hold",
    usage: "hold [ROLLOUT]",
    says: "stand still; guards still judge, a breach still rolls back",
    direction: "backward",
    options: [RUN],
    most: 1,
  },
  {
    noun: "rollout",
    verb: "rollback",
    usage: "rollback [STAGE | to STAGE | all]",
    says: "take back the newest stage, down to a stage, or everything",
    direction: "backward",
    options: [RUN, "rollout"],
    most: 3,
  },
  { noun: "belay", verb: "help", usage: "help", says: "this list", direction: "read", options: [], most: 1 },
  {
    noun: "belay",
    verb: "list",
    usage: "list",
    says: "rollouts that can be started, and live ones",
    direction: "read",
    options: [],
    most: 0,
  },
  {
    noun: "belay",
    verb: "changes",
    usage: "changes [2h]",
    says: "what changed lately: flips, drift, deploys and restarts, by whom and why",
    direction: "read",
    options: [],
    most: 1,
  },
  {
    noun: "belay",
    verb: "whoami",
    usage: "whoami",
    says: "who Belay takes you for and what you may do",
    direction: "read",
    options: [],
    most: 0,
  },
  {
    noun: "belay",
    verb: "observe",
    usage: 'observe [on | off because "..."]',
    says: "who flips: people (on) or Belay (off)",
    direction: "forward",
    options: [],
    most: 1,
  },
  ...DESK_VERBS,
];
