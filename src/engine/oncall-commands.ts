/** `/belay oncall ...`: who is on call, what is open, and the words that page, acknowledge, escalate and resolve. */
import { nearest, type Parsed, shorten } from "../core/command.ts";
import { type Actor, formatActor, type Severity } from "../core/event.ts";
import { type Incident, nameOfWho } from "../core/oncall/incident.ts";
import type { PageRequest } from "../core/oncall/page.ts";
import { type Refusal, refuse } from "../core/refusal.ts";
import type { OnCallFact } from "../core/report/health-post.ts";
import { incidentLine, incidentOffers } from "../core/report/incident-post.ts";
import { withStop } from "../core/report/sentence.ts";
import type { Asker } from "../core/rollout/ask.ts";
import { refusalAnswer, said } from "./answers.ts";
import type { Desk } from "./commands.ts";
import type { CommandAnswer } from "./messages.ts";
import type { OnCall } from "./oncall.ts";
import { type Clock, messageOfFault, OutsideFault } from "./ports.ts";
import type { PagerRest } from "./watch-ports.ts";

const SEVERITIES: readonly Severity[] = ["P0", "P1", "P2"];
const LONGEST_PAGE = 1_000;

export interface OnCallCommandsDeps {
  readonly onCall: OnCall;
  readonly clock: Clock;
  readonly rest: PagerRest | undefined;
  /** What is still wrong of what a page was about, in words such as `bot-platform/db still fails`; undefined when nothing is known to be. */
  readonly stillWrong: (page: PageRequest) => string | undefined;
  /** Services that Belay knows, each with its environment. */
  readonly services: () => readonly { readonly service: string; readonly environment: string }[];
}

/** What `who` says of the people on call, one line each. Rejects with an `OutsideFault`. */
export async function whoIsOnCall(rest: PagerRest): Promise<readonly string[]> {
  const people = await rest.onCalls();
  return people.map(({ name, level, until }) => {
    const end =
      until === undefined
        ? ""
        : `, until ${new Intl.DateTimeFormat("en-GB", { dateStyle: "short", timeStyle: "short", timeZone: "UTC" }).format(until)} UTC`;
    return `level ${level}: ${name}${end}`;
  });
}

/** Who is on call now and who is next, for posts; undefined when nobody here knows. Rejects with an `OutsideFault`. */
export async function onCallFact(rest: PagerRest | undefined, wall: number): Promise<OnCallFact | undefined> {
  if (rest === undefined) return undefined;
  const first = (await rest.onCalls()).filter(({ level }) => level === 1);
  const now = first.filter(({ until }) => until === undefined || until > wall).map(({ name }) => name);
  return now.length === 0 ? undefined : { now: [...new Set(now)].join(", ") };
}

/** The desk of the noun `oncall`. */
export function onCallCommands(deps: OnCallCommandsDeps): Desk {
  return async (parsed, asker, key) => {
    switch (parsed.spec.verb) {
      case "who":
        return who(deps);
      case "list":
        return list(deps);
      case "page":
        return page(deps, parsed, asker.actor, key);
      default:
        return onIncident(deps, parsed, asker, key);
    }
  };
}

async function who({ rest, onCall }: OnCallCommandsDeps): Promise<CommandAnswer> {
  const pages = onCall.asksSomebody()
    ? "Pages go out all the same."
    : "Pages ask nobody: neither BELAY_PAGERDUTY_KEY nor BELAY_SECOND_CHANNEL_URL is set.";
  if (rest === undefined)
    return said(
      `Who is on call is known to PagerDuty only, and BELAY_PAGERDUTY_TOKEN is not set. ${pages}`,
      [],
    );
  try {
    const lines = await whoIsOnCall(rest);
    return said(
      lines.length === 0 ? "PagerDuty names nobody on call." : "On call now, as PagerDuty says:",
      lines,
    );
  } catch (error) {
    return answerOf(refuse("not_available", `PagerDuty could not be asked: ${messageOfFault(error)}.`));
  }
}

function list({ onCall, clock }: OnCallCommandsDeps): CommandAnswer {
  const open = onCall.open();
  const [only] = open;
  if (only === undefined) return said("No page is open.", []);
  const now = clock.now();
  const offers = open.length === 1 ? incidentOffers(only) : [];
  return said(
    open.length === 1 ? "One page is open:" : `${open.length} pages are open:`,
    open.map((one) => incidentLine(one, now)),
    undefined,
    offers,
  );
}

async function page(
  { onCall, clock, services }: OnCallCommandsDeps,
  { words, because }: Parsed,
  by: Actor,
  key: string,
): Promise<CommandAnswer> {
  const severity = SEVERITIES.find((one) => one === words[0]?.toUpperCase()) ?? "P1";
  const [service, ...rest] = SEVERITIES.some((one) => one === words[0]?.toUpperCase())
    ? words.slice(1)
    : words;
  const text = [...rest, ...(because === undefined ? [] : [because])].join(" ").trim();
  const known = services();
  if (/^p\d+$/i.test(words[0] ?? "") && severity === "P1" && words[0]?.toUpperCase() !== "P1")
    return answerOf(refuse("bad_value", `${shorten(words[0] ?? "")} is no severity: P0, P1 or P2.`));
  if (service === undefined || text === "")
    return answerOf(
      refuse("bad_value", 'say which service and why: `/belay oncall page P1 bots "replies fail"`.'),
    );
  const fitting = known.filter(
    (one) => one.service === service || `${one.service}/${one.environment}` === service,
  );
  const places = [...new Set(fitting.map((one) => `${one.service}/${one.environment}`))];
  if (places.length > 1)
    return answerOf(
      refuse("ambiguous", `${service} runs in several environments; say which: ${places.join(", ")}.`),
    );
  const [found] = fitting;
  if (found === undefined)
    return answerOf(
      unknownService(
        service,
        known.map((one) => one.service),
      ),
    );
  const pageKey = `person.${key}`.slice(0, 200);
  const summary = `${text.slice(0, LONGEST_PAGE)} (${formatActor(by)} asks)`;
  try {
    await onCall.page({
      key: pageKey,
      severity,
      summary,
      ...found,
      source: "person",
      wall: clock.now().wall,
    });
  } catch (error) {
    if (!(error instanceof OutsideFault)) throw error;
  }
  const opened = onCall.incidents().find(({ id }) => id === pageKey);
  const head = `${opened?.name ?? "A page"} is open (${severity}, ${found.service}): ${withStop(text.slice(0, 200))}`;
  if (onCall.asksSomebody())
    return done(`${head} On-call is being asked; \`/belay oncall list\` shows who has it.`);
  const where =
    opened?.page.channel === undefined ? "and no channel shows it" : `only ${opened.page.channel} shows it`;
  const told = `NOBODY IS ASKED: no pager service and no second channel is set (BELAY_PAGERDUTY_KEY, BELAY_SECOND_CHANNEL_URL), ${where}. Call on-call yourself.`;
  return { ok: false, code: "nobody_asked", text: `${head} ${told}`, lines: [], offers: [] };
}

function unknownService(word: string, known: readonly string[]): Refusal {
  const near = nearest(word, [...new Set(known)]);
  const list = [...new Set(known)].join(", ") || "none is loaded";
  const hint = near === undefined ? `Known: ${list}.` : `Did you mean ${near}?`;
  return refuse("bad_value", `there is no service ${shorten(word)} here. ${hint}`);
}

function resolvedWords(name: string, stillWrong: string | undefined): string {
  return stillWrong === undefined
    ? `${name} is resolved.`
    : `${name} is resolved, but ${stillWrong}. Nobody is paged about this again unless it recovers and fails anew.`;
}

async function onIncident(
  deps: OnCallCommandsDeps,
  { spec, words, because }: Parsed,
  { actor }: Asker,
  key: string,
): Promise<CommandAnswer> {
  const { onCall } = deps;
  const incident = findIncident(onCall, words[0], spec.verb);
  if ("kind" in incident) return answerOf(incident);
  const { id, name, acknowledged, resolved } = incident;
  if (resolved !== undefined) return already(`${name} was resolved by ${resolved.by}.`);
  switch (spec.verb) {
    case "ack":
      if (acknowledged !== undefined) return already(`${name} is acknowledged by ${acknowledged.by}.`);
      if (!(await onCall.acknowledge(id, actor, key))) {
        const other = onCall.incidents().find((one) => one.id === id);
        return already(
          `${name} is ${other?.phase ?? "closed"} already, by ${other?.resolved?.by ?? other?.acknowledged?.by ?? "somebody"}.`,
        );
      }
      return done(`${name} is yours, ${nameOfWho(actor)}. It does not escalate any more.`);
    case "escalate":
      return done(await onCall.escalate(id, actor, because, key));
    default:
      await onCall.resolve(id, actor, because, key);
      return done(resolvedWords(name, deps.stillWrong(incident.page)));
  }
}

/** The incident that is meant: by name, or the only one that is open. */
function findIncident(onCall: OnCall, word: string | undefined, verb: string): Incident | Refusal {
  const open = onCall.open();
  if (word !== undefined) {
    const found = onCall.incidents().find(({ name }) => name.toLowerCase() === word.toLowerCase());
    if (found !== undefined) return found;
    const names = open.map(({ name }) => name).join(", ") || "none";
    return refuse("bad_value", `there is no page ${shorten(word)}. Open: ${names}.`);
  }
  const [only, ...more] = open;
  if (only === undefined) return refuse("bad_value", "no page is open.");
  if (more.length === 0) return only;
  return refuse(
    "ambiguous",
    `${open.length} pages are open; say which: ${open.map(({ name }) => name).join(", ")}.`,
    open.slice(0, 5).map(({ name, page }) => ({
      label: `${verb} ${name} (${page.service})`.slice(0, 70),
      command: `oncall ${verb} ${name}`,
    })),
  );
}

function answerOf(refusal: Refusal): CommandAnswer {
  return refusalAnswer(refusal, () => false);
}

function done(text: string): CommandAnswer {
  return { ok: true, code: "done", text, lines: [], offers: [] };
}

function already(text: string): CommandAnswer {
  return { ok: true, code: "already", text, lines: [], offers: [] };
}
