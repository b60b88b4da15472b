/** The command line that people type in Slack or a terminal: normalised, split and checked against the table of verbs. */
import { type Refusal, refuse } from "./refusal.ts";

export type Noun = "rollout" | "belay";

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

const RUN = "run";
const LEAVE_ON = "leave-on";
/** Options that are there or not. */
const SWITCHES: ReadonlySet<string> = new Set([LEAVE_ON]);

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
];

/** A command split into words. `options` holds `key=value` and `--flag[=value]` (value "true" when none). */
export interface Parsed {
  readonly spec: VerbSpec;
  readonly words: readonly string[];
  readonly options: ReadonlyMap<string, string>;
  readonly because?: string;
}

const LONGEST = 2_000;

/** Undoes what chat clients do to typed text: smart quotes and dashes, escaped entities, links and mentions with labels, odd and invisible spaces. */
export function normalise(text: string): string {
  return text
    .replace(/[\u200B\u200E\u200F\u202A-\u202E\u2060\u2066-\u2069\uFEFF]/g, "")
    .replace(/[\u201C\u201D\u201E\u00AB\u00BB]/g, '"')
    .replace(/[\u2018\u2019\u201A]/g, "'")
    .replace(/(^|\s)[\u2012-\u2015](?=[A-Za-z])/g, "$1--")
    .replace(/[\u2010-\u2015\u2212]/g, "-")
    .replace(/<(?:https?:\/\/[^|<>]*|[@#!][^|<>]*)\|([^<>]*)>/g, "$1")
    .replace(/<(https?:\/\/[^<>]*)>/g, "$1")
    .replace(/&lt;/g, "<")
    .replace(/&gt;/g, ">")
    .replace(/&amp;/g, "&")
    .replace(/[\u00A0\u2000-\u200A\u202F\u3000]/g, " ")
    .trim();
}

/** Splits at spaces; double or single quotes keep a phrase together. Undefined when a quote stays open. */
function split(text: string): readonly string[] | undefined {
  const words: string[] = [];
  const pattern = /\s*(?:"([^"]*)"|'([^']*)'|([^\s"']+(?:"[^"]*"|'[^']*'|[^\s"'])*))/y;
  let at = 0;
  while (at < text.length && text.slice(at).trim() !== "") {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match === null) return undefined;
    words.push(match[1] ?? match[2] ?? (match[3] ?? "").replace(/["']/g, ""));
    at = pattern.lastIndex;
  }
  return words;
}

/**
 * Reads one command. `noun` is what the slash command already said; without it the first word names the noun, and a bare verb means `rollout`.
 * Unknown words are refused with the nearest known one; nothing is ever guessed into a change.
 */
export function parseCommand(text: string, noun?: Noun): Parsed | Refusal {
  if (text.length > LONGEST)
    return refuse(
      "too_long",
      `that message has ${text.length} characters; a command has at most ${LONGEST}. Shorten it.`,
    );
  const clean = normalise(text);
  const { head, because } = cutReason(clean);
  const words = split(head);
  if (words === undefined)
    return refuse("bad_value", "a quote is opened and not closed. Close it, or leave the quotes out.");
  const [named, rest] = takeNoun(words, noun);
  const [verb = "help", ...tail] = rest;
  const spec =
    VERBS.find((one) => one.noun === named && one.verb === verb.toLowerCase()) ??
    VERBS.find((one) => one.noun === "belay" && one.verb === verb.toLowerCase());
  if (spec === undefined) return unknownVerb(named, verb, tail, because);
  return readTail(spec, tail, because);
}

function takeNoun(words: readonly string[], noun: Noun | undefined): readonly [Noun, readonly string[]] {
  const [first, ...rest] = words;
  if (noun !== "rollout" && first?.toLowerCase() === "rollout") return ["rollout", rest];
  if (noun === undefined && first?.toLowerCase() === "belay") return takeNoun(rest, "belay");
  if (noun === "belay" && VERBS.some((one) => one.noun === "belay" && one.verb === first?.toLowerCase()))
    return ["belay", words];
  return ["rollout", words];
}

const OPTION_NAMES = [...new Set(VERBS.flatMap((spec) => spec.options))].join("|");
/** A quoted reason with nothing but known options behind it. */
const QUOTED_THEN_OPTIONS = new RegExp(
  String.raw`^(["'])([\s\S]*?)\1((?:\s+(?:--(?:${OPTION_NAMES})(?:=\S*)?|(?:${OPTION_NAMES})=\S*))*)$`,
  "i",
);

/** Everything after the word `because` is the reason, quoted or not; only options may follow a quoted one. */
function cutReason(text: string): { readonly head: string; readonly because?: string } {
  const match = /(?:^|\s)because:?(?:\s+([\s\S]*))?$/i.exec(text);
  if (match === null) return { head: text };
  const said = (match[1] ?? "").trim();
  const quoted = QUOTED_THEN_OPTIONS.exec(said);
  const head = `${text.slice(0, match.index)} ${quoted?.[3] ?? ""}`;
  const reason = (quoted?.[2] ?? said).trim();
  return reason === "" ? { head } : { head, because: reason.slice(0, 500) };
}

function readTail(spec: VerbSpec, tail: readonly string[], because: string | undefined): Parsed | Refusal {
  const words: string[] = [];
  const options = new Map<string, string>();
  for (const word of tail) {
    const option =
      /^(?:--)([A-Za-z][A-Za-z-]*)(?:=([\s\S]*))?$/.exec(word) ??
      /^([A-Za-z][A-Za-z-]*)=([\s\S]*)$/.exec(word);
    if (option === null) {
      words.push(word);
      continue;
    }
    const key = (option[1] ?? "").toLowerCase();
    if (!spec.options.includes(key)) {
      const known = spec.options.length === 0 ? "it takes no options" : `it takes ${spec.options.join(", ")}`;
      return refuse(
        "unknown_option",
        `\`${spec.verb}\` does not know the option \`${shorten(key)}\`; ${known}.`,
      );
    }
    const value = option[2];
    if (SWITCHES.has(key) && value !== undefined)
      return refuse("bad_value", `\`--${key}\` takes no value; leave it out to be asked.`);
    if (!SWITCHES.has(key) && (value === undefined || value === ""))
      return refuse("bad_value", `\`${key}\` needs a value, such as ${key}=...`);
    options.set(key, value ?? "true");
  }
  if (words.length > spec.most)
    return refuse(
      "bad_value",
      `\`${shorten(words[spec.most] ?? "")}\` is one word too many. Usage: \`/${spec.noun} ${spec.usage}\``,
    );
  return { spec, words, options, ...(because === undefined ? {} : { because }) };
}

function unknownVerb(
  noun: Noun,
  verb: string,
  tail: readonly string[],
  because: string | undefined,
): Refusal {
  const near = nearest(verb.toLowerCase(), [
    ...new Set(VERBS.filter((one) => one.noun === noun).map((one) => one.verb)),
  ]);
  if (near === undefined)
    return refuse("unknown_verb", `\`${shorten(verb)}\` is not a command. \`/belay help\` lists them.`, [
      { label: "Help", command: "belay help" },
    ]);
  const reason = because === undefined ? [] : ["because", because];
  const command = [noun, near, ...tail, ...reason].join(" ").slice(0, 200);
  return refuse("unknown_verb", `\`${shorten(verb)}\` is not a command; did you mean \`${near}\`?`, [
    { label: `Run ${near}`, command, confirm: `Run "${command}"?` },
  ]);
}

export function shorten(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

/** The known word within two edits (one for short words), or that the text begins; undefined when none or several are equally near. */
export function nearest(text: string, known: readonly string[]): string | undefined {
  const begins = known.filter((word) => text.length >= 3 && word.startsWith(text));
  if (begins.length === 1) return begins[0];
  const scored = known.map((word) => ({ word, far: distance(text, word) })).sort((a, b) => a.far - b.far);
  const [best, next] = scored;
  if (best === undefined || best.far > (text.length <= 4 ? 1 : 2)) return undefined;
  return next !== undefined && next.far === best.far ? undefined : best.word;
}

/** Edit distance with adjacent swaps (optimal string alignment), cut off at words of 40 letters. */
function distance(a: string, b: string): number {
  if (a.length > 40 || b.length > 40) return 99;
  let older: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min((previous[j] ?? 99) + 1, (row[j - 1] ?? 99) + 1, (previous[j - 1] ?? 99) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, (older[j - 2] ?? 99) + 1);
      row.push(least);
    }
    older = previous;
    previous = row;
  }
  return previous[b.length] ?? 99;
}
