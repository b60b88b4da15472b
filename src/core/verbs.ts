/** Every verb Belay understands, as one table: the command line is parsed by it and help is written from it. */

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
    verb: "whoami",
    usage: "whoami",
    says: "who Belay takes you for and what you may do",
    direction: "read",
    options: [],
    most: 0,
  },
  {
    noun: "oncall",
    verb: "who",
    usage: "who",
    says: "who is on call now, and until when",
    direction: "read",
    options: [],
    most: 0,
  },
  {
    noun: "oncall",
    verb: "list",
    usage: "list",
    says: "pages that are open",
    direction: "read",
    options: [],
    most: 0,
  },
  {
    noun: "oncall",
    verb: "page",
    usage: 'page [P0|P1|P2] SERVICE "..."',
    says: "page on-call about a service",
    direction: "backward",
    options: [],
    most: 80,
  },
  {
    noun: "oncall",
    verb: "ack",
    usage: "ack [INCIDENT]",
    says: "acknowledge a page: you have it",
    direction: "backward",
    options: [],
    most: 1,
  },
  {
    noun: "oncall",
    verb: "escalate",
    usage: 'escalate [INCIDENT] [because "..."]',
    says: "ask the next person now",
    direction: "backward",
    options: [],
    most: 1,
  },
  {
    noun: "oncall",
    verb: "resolve",
    usage: 'resolve [INCIDENT] [because "..."]',
    says: "the trouble is over",
    direction: "backward",
    options: [],
    most: 1,
  },
  {
    noun: "schedule",
    verb: "list",
    usage: "list",
    says: "jobs, when each runs next, and gaps ahead",
    direction: "read",
    options: [],
    most: 0,
  },
  {
    noun: "schedule",
    verb: "next",
    usage: "next JOB",
    says: "the next times of a job",
    direction: "read",
    options: [],
    most: 1,
  },
  {
    noun: "schedule",
    verb: "missed",
    usage: "missed",
    says: "fires that did not run, and why",
    direction: "read",
    options: [],
    most: 0,
  },
  {
    noun: "schedule",
    verb: "run",
    usage: "run JOB",
    says: "run a job now",
    direction: "forward",
    options: [],
    most: 1,
  },
  {
    noun: "schedule",
    verb: "skip-next",
    usage: "skip-next JOB",
    says: "leave out the next time",
    direction: "forward",
    options: [],
    most: 1,
  },
  {
    noun: "schedule",
    verb: "pause",
    usage: 'pause JOB [because "..."]',
    says: "no fires until resumed",
    direction: "forward",
    options: [],
    most: 1,
  },
  {
    noun: "schedule",
    verb: "resume",
    usage: "resume JOB",
    says: "let a paused job fire again",
    direction: "forward",
    options: [],
    most: 1,
  },
  {
    noun: "health",
    verb: "now",
    usage: "now [WATCH]",
    says: "how each probe stands",
    direction: "read",
    options: [],
    most: 1,
  },
  {
    noun: "health",
    verb: "history",
    usage: "history PROBE",
    says: "what happened to a probe",
    direction: "read",
    options: [],
    most: 1,
  },
  {
    noun: "health",
    verb: "mute",
    usage: 'mute PROBE 30m [because "..."]',
    says: "no page, notice or restart for a while",
    direction: "forward",
    options: [],
    most: 2,
  },
  {
    noun: "health",
    verb: "unmute",
    usage: "unmute PROBE",
    says: "end a mute",
    direction: "forward",
    options: [],
    most: 1,
  },
  {
    noun: "health",
    verb: "restart",
    usage: "restart TARGET",
    says: "restart a target, one replica at a time",
    direction: "forward",
    options: [],
    most: 1,
  },
];
