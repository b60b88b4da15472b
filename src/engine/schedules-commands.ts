/** `/belay schedule ...`: what runs when, and the words that run, skip, pause and resume a job. */
import { nearest, shorten } from "../core/command.ts";
import { type Refusal, refuse } from "../core/refusal.ts";
import type { Asker } from "../core/rollout/ask.ts";
import { blackoutAt } from "../core/watch/blackout.ts";
import { formatDayTime, formatTime } from "../core/watch/job-clock.ts";
import { actionInWords, jobId } from "../core/watch/job-words.ts";
import type { Job } from "../core/watch/plan.ts";
import { refusalAnswer, said } from "./answers.ts";
import type { Desk } from "./commands.ts";
import type { CommandAnswer } from "./messages.ts";
import { type Clock, messageOfFault, OutsideFault } from "./ports.ts";
import type { ListedJob, Schedules } from "./schedules.ts";
import { jobLines, missedLines, nextLines } from "./schedules-answers.ts";
import type { Asked } from "./schedules-job.ts";
import type { Calendar } from "./watch-ports.ts";

const USUAL_COUNT = 5;
const MOST_COUNT = 20;

export interface ScheduleCommandsDeps {
  readonly schedules: Schedules;
  readonly calendar: Calendar;
  readonly clock: Clock;
}

/** The commands of the noun `schedule`. Reads never reject; the others answer `journal_unavailable` while the journal is away. */
export interface ScheduleCommands {
  list(): CommandAnswer;
  /** The next `count` fires, at most 20. */
  next(job: string | undefined, count?: number): CommandAnswer;
  missed(): CommandAnswer;
  /** `key` of the command: a second delivery runs nothing. */
  run(job: string | undefined, asker: Asker, key: string): Promise<CommandAnswer>;
  skipNext(job: string | undefined, asker: Asker): Promise<CommandAnswer>;
  pause(job: string | undefined, asker: Asker, because?: string): Promise<CommandAnswer>;
  resume(job: string | undefined, asker: Asker): Promise<CommandAnswer>;
}

/** The desk of the noun `schedule`. */
export function scheduleDesk(commands: ScheduleCommands): Desk {
  return async ({ spec, words: [job], because }, asker, key) => {
    switch (spec.verb) {
      case "next":
        return commands.next(job);
      case "missed":
        return commands.missed();
      case "run":
        return commands.run(job, asker, key);
      case "skip-next":
        return commands.skipNext(job, asker);
      case "pause":
        return commands.pause(job, asker, because);
      case "resume":
        return commands.resume(job, asker);
      default:
        return commands.list();
    }
  };
}

export function createScheduleCommands({
  schedules,
  calendar,
  clock,
}: ScheduleCommandsDeps): ScheduleCommands {
  const wall = (): number => clock.now().wall;
  return {
    list() {
      const jobs = schedules.jobs();
      const lines = jobs.flatMap(({ plan, standing }) => jobLines(calendar, plan, standing, wall()));
      return said(jobs.length === 0 ? "No jobs are planned." : "Jobs and when each runs next:", lines);
    },
    next(word, count = USUAL_COUNT) {
      const found = findJob(schedules.jobs(), word, "next");
      if ("kind" in found) return answerOf(found);
      const { plan, standing } = found;
      const lines = nextLines(calendar, plan, standing, wall(), Math.min(Math.max(1, count), MOST_COUNT));
      return said(
        lines.length === 0 ? `${nameOf(found)} never fires again.` : `The next times of ${nameOf(found)}:`,
        lines,
      );
    },
    missed() {
      const lines = missedLines(
        schedules.jobs().map(({ plan, standing }) => ({ watch: plan.watch, standing })),
      );
      return said(
        lines.length === 0 ? "Nothing was missed or passed over." : "Did not run as planned:",
        lines,
      );
    },
    run: (word, asker, key) => forJob(schedules, word, "run", asker, (found) => run(found, asker, key, wall)),
    skipNext: (word, asker) =>
      forJob(schedules, word, "skip-next", asker, (found) => skipNext(found, asker, calendar, wall)),
    pause: (word, asker, because) =>
      forJob(schedules, word, "pause", asker, (found) => pause(found, asker, because)),
    resume: (word, asker) => forJob(schedules, word, "resume", asker, (found) => resume(found, asker)),
  };
}

async function forJob(
  schedules: Schedules,
  word: string | undefined,
  verb: string,
  { operator }: Asker,
  act: (found: ListedJob) => Promise<CommandAnswer | undefined>,
): Promise<CommandAnswer> {
  const found = findJob(schedules.jobs(), word, verb);
  if ("kind" in found) return answerOf(found);
  if (!operator) return answerOf(refuse("not_authorised", `\`schedule ${verb}\` is for operators.`));
  try {
    return (
      (await act(found)) ?? answerOf(refuse("not_available", `${nameOf(found)} is being decided; try again.`))
    );
  } catch (error) {
    if (!(error instanceof OutsideFault)) throw error;
    const text = `The journal did not answer (${messageOfFault(error)}); \`/belay schedule list\` shows whether it counted.`;
    return { ok: false, code: "journal_unavailable", text, lines: [], offers: [] };
  }
}

function run(
  found: ListedJob,
  { actor }: Asker,
  key: string,
  wall: () => number,
): Promise<CommandAnswer | undefined> {
  const name = nameOf(found);
  return found.desk.ask<CommandAnswer>((state, { plan, job }) => {
    if (state.askedBy === key) return told(already(`${name} was begun by this command.`));
    if (state.running !== undefined)
      return told(
        already(`${name} is running since ${formatTime(state.running.instant, job.zone)} ${job.zone}.`),
      );
    const blackout = blackoutAt(plan.blackouts, wall());
    if (blackout !== undefined)
      return told(
        answerOf(refuse("not_available", `${name} does not run now: blackout (${blackout.because}).`)),
      );
    // Planned fires are at full minutes, so that this one can never take the row of one of them.
    const now = Math.floor(wall());
    const instant = now % 1_000 === 0 ? now + 1 : now;
    const answer = done(
      `${name} runs now: ${actionInWords(job.action)}${conditionOf(plan.watch, job)}. What it came to is posted.`,
    );
    return { events: [{ kind: "fired", instant, how: "asked", by: actor, key }], fires: [instant], answer };
  });
}

/** What it asks first, and the command that asks nothing: who needs a restart at night is not sent in a circle. */
function conditionOf(watch: string, { action }: Job): string {
  if (action.kind !== "restart" || action.onlyIf === undefined) return "";
  return ` if ${action.onlyIf} asks for it; without evidence it does not, \`/belay health restart ${watch}/${action.target}\` does in any case`;
}

function skipNext(
  found: ListedJob,
  { actor }: Asker,
  calendar: Calendar,
  wall: () => number,
): Promise<CommandAnswer | undefined> {
  const name = nameOf(found);
  return found.desk.ask<CommandAnswer>((state, { job }) => {
    if (state.skip !== undefined)
      return told(
        already(
          `${name} at ${formatDayTime(state.skip.instant, job.zone)} ${job.zone} is skipped by ${state.skip.by}.`,
        ),
      );
    // One whose jitter still runs has not begun, so it can be skipped too.
    const after = Math.max(state.claimedUpTo, wall() - job.jitterMs);
    const instant = calendar.next(job.cron, job.zone, after);
    if (instant === undefined || (job.until !== undefined && instant > job.until))
      return told(answerOf(refuse("bad_value", `${name} never fires again.`)));
    const answer = done(
      `${name} does not run at ${formatDayTime(instant, job.zone)} ${job.zone}; the one after it does. \`/belay schedule resume ${name}\` takes this back.`,
    );
    return { events: [{ kind: "skip_next", instant, by: actor }], answer };
  });
}

function pause(
  found: ListedJob,
  { actor }: Asker,
  because: string | undefined,
): Promise<CommandAnswer | undefined> {
  const name = nameOf(found);
  return found.desk.ask<CommandAnswer>((state) => {
    if (state.paused !== undefined) return told(already(`${name} is paused by ${state.paused.by}.`));
    const why = because === undefined ? {} : { because };
    const answer = done(
      `${name} does not fire until \`/belay schedule resume ${name}\`. A run under way goes on.`,
    );
    return { events: [{ kind: "paused", by: actor, ...why }], answer };
  });
}

function resume(found: ListedJob, { actor }: Asker): Promise<CommandAnswer | undefined> {
  const name = nameOf(found);
  return found.desk.ask<CommandAnswer>((state) => {
    if (state.paused === undefined && state.skip === undefined)
      return told(already(`${name} is neither paused nor skipped.`));
    return { events: [{ kind: "resumed", by: actor }], answer: done(`${name} fires again as planned.`) };
  });
}

function nameOf({ plan, standing }: ListedJob): string {
  return jobId(plan.watch, standing.job.name);
}

/** The job that is meant: `WATCH/JOB`, a job's own name where only one has it, or the only job there is. */
function findJob(jobs: readonly ListedJob[], word: string | undefined, verb: string): ListedJob | Refusal {
  const [only, ...others] = jobs;
  if (only === undefined) return refuse("bad_value", "no jobs are planned.");
  if (word === undefined) return others.length === 0 ? only : ambiguous("say which job", jobs, verb);
  const wanted = word.toLowerCase();
  const found = jobs.filter(
    (one) => nameOf(one).toLowerCase() === wanted || one.standing.job.name.toLowerCase() === wanted,
  );
  const [first, ...more] = found;
  if (first !== undefined)
    return more.length === 0 ? first : ambiguous("several watches have such a job", found, verb);
  const names = jobs.flatMap((one) => [nameOf(one), one.standing.job.name]);
  const near = nearest(wanted, [...new Set(names)]);
  const hint = near === undefined ? `Known: ${jobs.map(nameOf).join(", ")}.` : `Did you mean ${near}?`;
  return refuse("bad_value", `there is no job ${shorten(word)}. ${hint}`);
}

function ambiguous(why: string, jobs: readonly ListedJob[], verb: string): Refusal {
  return refuse(
    "ambiguous",
    `${why}: ${jobs.map(nameOf).join(", ")}.`,
    jobs.slice(0, 5).map((one) => ({
      label: `${verb} ${nameOf(one)}`.slice(0, 70),
      command: `schedule ${verb} ${nameOf(one)}`,
    })),
  );
}

function told(answer: CommandAnswer): Asked<CommandAnswer> {
  return { events: [], answer };
}

function done(text: string): CommandAnswer {
  return { ok: true, code: "done", text, lines: [], offers: [] };
}

function already(text: string): CommandAnswer {
  return { ok: true, code: "already", text, lines: [], offers: [] };
}

function answerOf(refusal: Refusal): CommandAnswer {
  return refusalAnswer(refusal, () => false);
}
