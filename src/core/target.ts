/** From a typed command to what it is about: which rollout, run, stage or flag is meant. Several matches are asked about, never guessed. */
import { nearest, type Parsed, shorten } from "./command.ts";
import type { Mode } from "./event.ts";
import type { Plan } from "./plan.ts";
import { type Refusal, refuse } from "./refusal.ts";
import type { Ask } from "./rollout/ask.ts";
import { askedInWords } from "./rollout/observe.ts";
import { isBegun, isLive, isOpenRun, type State } from "./rollout/state.ts";
import { readSpan } from "./span.ts";
import { type Doing, findStages, type Place, several, unknownStage } from "./stage-names.ts";
import { MINUTE, type Now, nextClock, parseDuration } from "./time.ts";
import { resolveUnlock } from "./unlock-target.ts";
import type { DeskNoun } from "./verbs.ts";

/** One run with the plan it froze. */
export interface Run {
  readonly plan: Plan;
  readonly state: State;
}

export type Show =
  | "list"
  | "status"
  | "plan"
  | "rehearse"
  | "evidence"
  | "history"
  | "help"
  | "whoami"
  | "changes";

export type Resolution =
  | { readonly kind: "ask"; readonly run: string; readonly ask: Ask }
  /** `stage` undefined starts the whole rollout, otherwise that stage alone or everything up to it. */
  | { readonly kind: "start"; readonly rollout: string; readonly stage?: number; readonly delayMs: number }
  /** `spanMs`: how far changes are looked back for. */
  | {
      readonly kind: "show";
      readonly what: Show;
      readonly run?: string;
      readonly rollout?: string;
      readonly spanMs?: number;
    }
  /** Who flips from now on; undefined asks who does. */
  | { readonly kind: "mode"; readonly mode: Mode | undefined; readonly because?: string }
  /** For a desk besides the rollouts. */
  | { readonly kind: "desk"; readonly noun: DeskNoun }
  | { readonly kind: "settled"; readonly note: string; readonly run: string }
  | Refusal;

export interface Known {
  /** Loaded rollouts by name. */
  readonly catalogue: ReadonlyMap<string, Plan>;
  /** Live runs and ended ones that still lock a flag, oldest first. */
  readonly runs: readonly Run[];
  /** Zone for clock times such as `at=14:00` when the rollout names none. */
  readonly zone: string;
}

/** Resolves a parsed command. Pure; reads only what is loaded and known. */
export function resolve(parsed: Parsed, known: Known, now: Now): Resolution {
  const { verb, noun } = parsed.spec;
  if (noun === "oncall" || noun === "schedule" || noun === "health") return { kind: "desk", noun };
  switch (verb) {
    case "list":
    case "help":
    case "whoami":
      return { kind: "show", what: verb };
    case "changes":
      return resolveChanges(parsed.words[0]);
    case "plan":
    case "rehearse":
      return resolvePlan(verb, parsed, known);
    case "status":
    case "evidence":
    case "history":
      return resolveShow(verb, parsed, known);
    case "observe":
      return resolveMode(parsed);
    case "start":
      return resolveStart(parsed, known, now);
    case "enable":
      return resolveEnable(parsed, known);
    case "unlock":
      return resolveUnlock(parsed, known.runs);
    default:
      return resolveAsk(parsed, known);
  }
}

function live(known: Known): readonly Run[] {
  return known.runs.filter(({ state }) => isOpenRun(state));
}

function unknownRollout(name: string, known: Known): Refusal {
  const names = [...known.catalogue.keys()];
  const near = nearest(name, names);
  const hint = near === undefined ? `Known: ${names.join(", ") || "none"}.` : `Did you mean \`${near}\`?`;
  return refuse("unknown_rollout", `there is no rollout \`${shorten(name)}\`. ${hint}`);
}

function resolveChanges(text: string | undefined): Resolution {
  const spanMs = readSpan(text);
  return typeof spanMs === "number" ? { kind: "show", what: "changes", spanMs } : spanMs;
}

/** What is shown is the plan of the file; a live rollout is rehearsed as it was frozen. */
function resolvePlan(what: "plan" | "rehearse", parsed: Parsed, known: Known): Resolution {
  const name = parsed.words[0] ?? (known.catalogue.size === 1 ? [...known.catalogue.keys()][0] : undefined);
  if (name === undefined)
    return refuse("bad_value", `which rollout? Known: ${[...known.catalogue.keys()].join(", ") || "none"}.`);
  const run = what === "rehearse" ? findRun(live(known), name) : undefined;
  if (run !== undefined) return { kind: "show", what, rollout: run.state.rollout, run: run.state.run };
  return known.catalogue.has(name) ? { kind: "show", what, rollout: name } : unknownRollout(name, known);
}

function resolveShow(what: "status" | "evidence" | "history", parsed: Parsed, known: Known): Resolution {
  const name = parsed.options.get("run") ?? parsed.words[0];
  if (name === undefined) {
    const candidates = live(known);
    const only =
      candidates.length === 1 ? candidates[0] : candidates.length === 0 ? known.runs.at(-1) : undefined;
    if (only !== undefined) return { kind: "show", what, run: only.state.run };
    return { kind: "show", what: "list" };
  }
  const run = findRun(known.runs, name);
  if (run !== undefined) return { kind: "show", what, run: run.state.run };
  return known.catalogue.has(name) ? { kind: "show", what, rollout: name } : unknownRollout(name, known);
}

/** The newest run with this id or of this rollout; live ones first. */
function findRun(runs: readonly Run[], name: string): Run | undefined {
  const hits = runs.filter(({ state }) => state.run === name || state.rollout === name);
  return hits.findLast(({ state }) => isLive(state)) ?? hits.at(-1);
}

function resolveStart(parsed: Parsed, known: Known, now: Now): Resolution {
  const name = parsed.words[0] ?? (known.catalogue.size === 1 ? [...known.catalogue.keys()][0] : undefined);
  if (name === undefined)
    return refuse(
      "bad_value",
      `start which rollout? Known: ${[...known.catalogue.keys()].join(", ") || "none"}.`,
    );
  const plan = known.catalogue.get(name);
  if (plan === undefined) return unknownRollout(name, known);
  const env = parsed.options.get("env");
  if (env !== undefined && env !== plan.environment)
    return refuse(
      "bad_value",
      `${name} is a rollout for ${plan.environment}, not ${shorten(env)}; leave \`env=\` out to mean that.`,
    );
  const at = parsed.options.get("at");
  if (at === undefined) return { kind: "start", rollout: name, delayMs: 0 };
  const zone = plan.forward?.zone ?? known.zone;
  const match = /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(at);
  if (match === null)
    return refuse("bad_value", `\`at=${shorten(at)}\` is not a clock time such as at=14:00 (${zone}).`);
  return {
    kind: "start",
    rollout: name,
    delayMs: nextClock(now.wall, Number(match[1]), Number(match[2]), zone) - now.wall,
  };
}

/** `observe on` needs no reason: it only makes Belay more careful. */
function resolveMode({ words, because }: Parsed): Resolution {
  const word = words[0]?.toLowerCase();
  if (word === undefined) return { kind: "mode", mode: undefined };
  const reason = because === undefined ? {} : { because };
  if (word === "on") return { kind: "mode", mode: "observe", ...reason };
  if (word !== "off")
    return refuse(
      "bad_value",
      `\`${shorten(word)}\` is neither \`on\` nor \`off\`. \`/belay observe on\` leaves flipping to people, \`off\` to Belay.`,
    );
  return because === undefined
    ? refuse("missing_reason", 'say why Belay may flip: `/belay observe off because "..."`')
    : { kind: "mode", mode: "act", because };
}

/** A place in a live run, or among what could be started. */
interface Anywhere extends Place {
  readonly run?: Run;
}

function resolveEnable(parsed: Parsed, known: Known): Resolution {
  const [name] = parsed.words;
  if (name === undefined) return refuse("bad_value", "enable which stage? Usage: `/rollout enable STAGE`");
  const env = parsed.options.get("env");
  const named = parsed.options.has("run") ? pickLive(parsed, known, undefined) : undefined;
  if (named !== undefined && "kind" in named) return named;
  if (named !== undefined && !isOpenRun(named.state))
    return refuse(
      "not_live",
      `${named.state.run} has ended (${named.state.phase}); without \`run=\` a new rollout begins.`,
    );
  const running = named === undefined ? live(known) : [named];
  const places: readonly Anywhere[] = [
    ...running.map((run) => ({ rollout: run.state.rollout, plan: run.plan, run })),
    ...(named === undefined ? [...known.catalogue].map(([rollout, plan]) => ({ rollout, plan })) : []),
  ].filter(({ plan }) => env === undefined || plan.environment === env);
  const all = findStages(name, places);
  const inLive = all.filter((hit) => hit.run !== undefined);
  const hits = inLive.length > 0 ? inLive : all;
  const doing: Doing = { verb: "enable", rest: named === undefined ? [] : [`run=${named.state.run}`] };
  const [hit] = hits;
  if (hit === undefined) return unknownStage(doing, name, places);
  if (hits.length > 1) return several(doing, name, hits);
  return hit.run === undefined
    ? { kind: "start", rollout: hit.rollout, stage: hit.stage, delayMs: 0 }
    : enableInLive(hit.run, hit.stage);
}

function enableInLive(run: Run, stage: number): Resolution {
  const { state, plan } = run;
  const name = plan.stages[stage]?.name ?? "";
  if (isBegun(state.stages[stage])) {
    const note = `${name} ${statusOf(run, stage)} in ${state.rollout} (${state.run}).`;
    return { kind: "settled", run: state.run, note };
  }
  if (state.approval?.stage === stage && state.approval.approvedBy === undefined) {
    return { kind: "settled", run: state.run, note: `${name} waits for approval by ${state.approval.from}.` };
  }
  return { kind: "ask", run: state.run, ask: { kind: "set_end", end: stage } };
}

/** How a begun stage stands, as the end of a clause. */
function statusOf({ plan, state }: Run, stage: number): string {
  const status = state.stages[stage]?.status;
  if (plan.stages[stage]?.review !== undefined)
    return status === "passed" ? "is signed off" : "is open and waits for its sign-off";
  const asked = askedInWords(plan, state);
  if (status === "enabling") return asked === "" ? "is being turned on" : `is asked of people, ${asked},`;
  return status === "soaking" ? "is on and soaking" : "is on, its soak passed";
}

/** The live run that a verb without a NAME means: named by run=, by the rollout's name, or the only one. */
function pickLive(parsed: Parsed, known: Known, name: string | undefined): Run | Refusal {
  const wanted = parsed.options.get("run") ?? name;
  const candidates = live(known);
  if (wanted !== undefined) {
    const hit = findRun(candidates, wanted) ?? findRun(known.runs, wanted);
    if (hit !== undefined) return hit;
    if (known.catalogue.has(wanted))
      return refuse("not_live", `${wanted} has no live rollout. \`/rollout start ${wanted}\` begins one.`);
    return unknownRollout(wanted, known);
  }
  const [only, ...others] = candidates;
  if (only === undefined)
    return refuse("not_live", "no rollout is live. `/rollout list` shows what there is.", []);
  if (others.length === 0) return only;
  const names = candidates.map(({ state }) => `${state.rollout} (${state.run})`);
  const offers = candidates.slice(0, 5).map(({ state }) => ({
    label: state.rollout,
    command: againFor(parsed, state.run),
    confirm: `${parsed.spec.verb} ${state.rollout} (${state.run})?`,
  }));
  return refuse("ambiguous", `several rollouts are live: ${names.join(", ")}. Which one?`, offers);
}

/** The same command once more, for one run. */
function againFor({ spec, words, options, because }: Parsed, run: string): string {
  const leaveOn = options.has("leave-on") ? ["--leave-on"] : [];
  const reason = because === undefined ? [] : [`because ${because}`];
  return ["rollout", spec.verb, ...words, `run=${run}`, ...leaveOn, ...reason].join(" ");
}

function resolveAsk(parsed: Parsed, known: Known): Resolution {
  const { verb } = parsed.spec;
  const because = parsed.because === undefined ? {} : { because: parsed.because };
  if (verb === "rollback") return resolveRollback(parsed, known);
  const positional = verb === "extend" || verb === "signoff" ? parsed.words[1] : parsed.words[0];
  const run = pickLive(parsed, known, positional);
  if ("kind" in run) return run;
  const id = run.state.run;
  switch (verb) {
    case "hold":
      return { kind: "ask", run: id, ask: { kind: "hold", ...because } };
    case "resume":
    case "release":
      return { kind: "ask", run: id, ask: { kind: verb, ...because } };
    case "advance":
    case "approve":
      return { kind: "ask", run: id, ask: { kind: verb } };
    case "stop":
      return {
        kind: "ask",
        run: id,
        ask: { kind: "stop", confirmed: parsed.options.has("leave-on"), ...because },
      };
    case "extend": {
      const ms = parseDuration(parsed.words[0] ?? "");
      if (ms === undefined || ms < MINUTE / 60)
        return refuse(
          "bad_value",
          `\`${shorten(parsed.words[0] ?? "")}\` is not a time such as 30m. Usage: \`/rollout extend 30m\``,
        );
      return { kind: "ask", run: id, ask: { kind: "extend", ms } };
    }
    case "signoff": {
      const decision = parsed.words[0]?.toLowerCase();
      if (decision !== "go" && decision !== "no-go")
        return refuse("bad_value", "sign off with `go` or `no-go`.");
      return { kind: "ask", run: id, ask: { kind: "signoff", decision, ...because } };
    }
    default:
      return refuse("unknown_verb", `\`${verb}\` is not available.`);
  }
}

/** How far a rollback goes, as typed: the newest stage, everything, down to a stage, or a stage with all that came after it. */
type Reach = { readonly kind: "newest" | "all" } | { readonly kind: "to" | "with"; readonly stage: string };

/** `rollback [ROLLOUT] [all | to STAGE | STAGE]`, in any sensible order of words; what is left over would be a rollout. */
function readReach(words: readonly string[], known: Known): Reach | Refusal {
  const [first, ...rest] = words;
  if (first === undefined) return { kind: "newest" };
  const to = first.toLowerCase() === "to";
  const [stage, extra] = to ? rest : words;
  if (stage === undefined)
    return refuse("bad_value", "roll back to which stage? Usage: `/rollout rollback to STAGE`");
  if (extra !== undefined) return unknownRollout(extra, known);
  if (!to && first.toLowerCase() === "all") return { kind: "all" };
  return { kind: to ? "to" : "with", stage };
}

function resolveRollback(parsed: Parsed, known: Known): Resolution {
  const { words } = parsed;
  const at = words.findIndex(
    (word, index) =>
      words[index - 1]?.toLowerCase() !== "to" &&
      (known.catalogue.has(word) || findRun(known.runs, word) !== undefined),
  );
  const reach = readReach(
    words.filter((_, index) => index !== at),
    known,
  );
  if (reach.kind === "refused") return reach;
  const named = parsed.options.get("rollout") ?? words[at];
  const bare = named === undefined && !parsed.options.has("run");
  const run =
    (bare && "stage" in reach ? ownerOf(reach.stage, known) : undefined) ?? pickLive(parsed, known, named);
  if ("kind" in run) return run;
  const to = reachIndex(reach, run);
  if (typeof to === "object") return to;
  const because = parsed.because === undefined ? {} : { because: parsed.because };
  return { kind: "ask", run: run.state.run, ask: { kind: "rollback", to, ...because } };
}

/** The newest stage that stays; -1 for none. */
function reachIndex(reach: Reach, { plan, state }: Run): "newest" | number | Refusal {
  if (reach.kind === "newest") return "newest";
  if (!("stage" in reach)) return -1;
  const places = [{ rollout: state.rollout, plan }];
  const doing: Doing = { verb: reach.kind === "to" ? "rollback to" : "rollback", rest: [`run=${state.run}`] };
  const hits = findStages(reach.stage, places);
  const [hit] = hits;
  if (hit === undefined) return unknownStage(doing, reach.stage, places);
  if (hits.length > 1) return several(doing, reach.stage, hits);
  return reach.kind === "to" ? hit.stage : hit.stage - 1;
}

/** The only live run that has a stage or flag of this name. */
function ownerOf(name: string, known: Known): Run | undefined {
  const places = live(known).map((run) => ({ rollout: run.state.rollout, plan: run.plan, run }));
  const owners = new Set(findStages(name, places).map((hit) => hit.run));
  return owners.size === 1 ? [...owners][0] : undefined;
}
