/** The command line that people type in Slack or a terminal: normalised, split and checked against the table of verbs. */
import { type Refusal, refuse } from "./refusal.ts";
import {
  DESK_NOUNS,
  type DeskNoun,
  type Noun,
  type SlashNoun,
  SWITCHES,
  typedAs,
  USUAL_VERB,
  VERBS,
  type VerbSpec,
} from "./verbs.ts";

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
export function parseCommand(text: string, noun?: SlashNoun): Parsed | Refusal {
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
  const [verb = USUAL_VERB[named], ...tail] = rest;
  const spec =
    VERBS.find((one) => one.noun === named && one.verb === verb.toLowerCase()) ??
    (isDesk(named)
      ? undefined
      : VERBS.find((one) => one.noun === "belay" && one.verb === verb.toLowerCase()));
  if (spec === undefined) return unknownVerb(named, noun, verb, tail, because);
  return readTail(spec, tail, because);
}

function takeNoun(words: readonly string[], noun: SlashNoun | undefined): readonly [Noun, readonly string[]] {
  const [first, ...rest] = words;
  const desk = DESK_NOUNS.find((one) => one === first?.toLowerCase());
  if (desk !== undefined && noun !== "rollout") return [desk, rest];
  if (noun !== "rollout" && first?.toLowerCase() === "rollout") return ["rollout", rest];
  if (noun === undefined && first?.toLowerCase() === "belay") return takeNoun(rest, "belay");
  if (noun === "belay" && VERBS.some((one) => one.noun === "belay" && one.verb === first?.toLowerCase()))
    return ["belay", words];
  return ["rollout", words];
}

/** Whether a desk besides the rollouts answers for it. */
export function isDesk(noun: Noun): noun is DeskNoun {
  return DESK_NOUNS.some((one) => one === noun);
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
      `\`${shorten(words[spec.most] ?? "")}\` is one word too many. Usage: \`${typedAs(spec)}\``,
    );
  return { spec, words, options, ...(because === undefined ? {} : { because }) };
}

function unknownVerb(
  noun: Noun,
  slash: SlashNoun | undefined,
  verb: string,
  tail: readonly string[],
  because: string | undefined,
): Refusal {
  const nouns = noun === "rollout" && slash !== "rollout" ? DESK_NOUNS : [];
  const verbs = VERBS.filter((one) => one.noun === noun).map((one) => one.verb);
  const near = nearest(verb.toLowerCase(), [...new Set([...verbs, ...nouns])]);
  if (near === undefined)
    return refuse("unknown_verb", `\`${shorten(verb)}\` is not a command. \`/belay help\` lists them.`, [
      { label: "Help", command: "belay help" },
    ]);
  const reason = because === undefined ? [] : ["because", because];
  const isNoun = nouns.some((one) => one === near);
  const command = [...(isNoun ? [] : [noun]), near, ...tail, ...reason].join(" ").slice(0, 200);
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
