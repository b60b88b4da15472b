/** Jobs in words: what they do, what became of their fires, and the messages that tell of it. */
import { type Actor, formatActor } from "../event.ts";
import type { Offer } from "../refusal.ts";
import { sentence } from "../report/sentence.ts";
import { type Alert, type AlertLine, line } from "../report/told.ts";
import { formatDuration } from "../time.ts";
import type { FiredHow, JobEvent, JobOutcome, JobState, OlderFires, RecentFire } from "./job.ts";
import { formatDayTime } from "./job-clock.ts";
import type { Job, JobAction } from "./plan.ts";

/** The one name of a job in commands and in the journal. */
export function jobId(watch: string, job: string): string {
  return `${watch}/${job}`;
}

/** `restart of bots`, `health post`, `page drill`. */
export function actionInWords(action: JobAction): string {
  switch (action.kind) {
    case "restart":
      return `restart of ${action.target}`;
    case "post":
      return POSTS[action.post];
    case "drill":
      return "page drill";
  }
}

const POSTS = {
  health: "health post",
  "first-week-review": "first-week review",
  handover: "handover post",
} as const;

const RESULTS = {
  done: "done",
  not_needed: "not needed",
  no_evidence: "not done: no evidence",
  failed: "FAILED",
  running: "running",
  queued: "waits for the run before it",
  missed: "missed",
  overlap: "passed over: overlap",
  blackout: "passed over",
  skipped: "passed over",
  paused: "passed over",
  expired: "ended",
  claimed: "passed over: it had been claimed before",
} as const satisfies Readonly<Record<RecentFire["result"], string>>;

/** What became of a fire: `Thu 26 Nov 03:00 not needed: memory flat`. */
export function fireInWords(fire: RecentFire, zone: string): string {
  const times = fire.count > 1 ? `${fire.count} fires up to ${formatDayTime(fire.instant, zone)}` : "";
  const detail = fire.detail === "" ? "" : `: ${fire.detail}`;
  return `${times || formatDayTime(fire.instant, zone)} ${RESULTS[fire.result]}${detail}`;
}

/** What a person must know of a pause or a skip; empty when there is none. */
export function standsInWords(state: JobState, zone: string): string {
  const { paused, skip, running, queued } = state;
  const because = paused?.because === undefined ? "" : `: ${paused.because}`;
  return [
    ...(running === undefined ? [] : ["running now"]),
    ...(queued === undefined ? [] : [`one waits (${formatDayTime(queued, zone)})`]),
    ...(paused === undefined ? [] : [`paused by ${paused.by}${because}`]),
    ...(skip === undefined ? [] : [`${formatDayTime(skip.instant, zone)} skipped by ${skip.by}`]),
  ].join(" · ");
}

/** How many fires an event stands for: `3`, `at least 10,000`. */
export function countInWords(instants: readonly number[], older: OlderFires | undefined): string {
  const count = instants.length + (older?.count ?? 0);
  return `${older?.more === true ? "at least " : ""}${count.toLocaleString("en")}`;
}

/** What a run came to. `beganWall` and `endedWall`: wall ms. */
export interface Ran {
  readonly instant: number;
  readonly how: FiredHow;
  readonly by: Actor;
  readonly beganWall: number;
  readonly endedWall: number;
  readonly outcome: JobOutcome;
  readonly detail: string;
}

/** The message that tells what a run came to, and why. */
export function outcomePost(watch: string, job: Job, ran: Ran): Alert {
  const { outcome, detail } = ran;
  const words = actionInWords(job.action);
  const what =
    job.action.kind === "restart" ? `Planned ${words}` : words.charAt(0).toUpperCase() + words.slice(1);
  const title = `${what}: ${OUTCOMES[outcome]}`;
  const target = job.action.kind === "restart" ? `${watch}/${job.action.target}` : undefined;
  // Asking the trend again would find as little as before: who must restart now does it by hand.
  const again: Offer =
    outcome === "no_evidence" && target !== undefined
      ? { label: "Restart now", command: `health restart ${target}`, confirm: `Restart ${target} now?` }
      : {
          label: "Run again",
          command: `schedule run ${jobId(watch, job.name)}`,
          confirm: `Run ${job.name} of ${watch} now?`,
        };
  const isWell = outcome === "done" || outcome === "not_needed";
  return {
    title,
    lines: [
      line(outcome === "failed" ? "What" : "Why", detail),
      whenLine(job, ran),
      ...(isWell
        ? []
        : [
            line(
              "Next",
              `look, then ${again.label.toLowerCase()} if it must be; the next planned one is not affected`,
            ),
          ]),
    ],
    offers: isWell ? [] : [again],
    summary: `${title}. ${sentence(detail)}`,
  };
}

const OUTCOMES = {
  done: "done",
  not_needed: "not needed",
  no_evidence: "NOT done, no evidence",
  failed: "FAILED",
} as const satisfies Readonly<Record<JobOutcome, string>>;

/** When it was due and how it came to run. */
export function whenLine(job: Job, ran: Pick<Ran, "instant" | "how" | "by" | "beganWall">): AlertLine {
  const due = `due ${formatDayTime(ran.instant, job.zone)} ${job.zone}`;
  switch (ran.how) {
    case "on_time":
      return line("When", due);
    case "late":
      return line("When", `${due}, ran ${formatDuration(ran.beganWall - ran.instant)} late`);
    case "queued":
      return line("When", `${due}, waited for the run before it`);
    case "asked":
      return line("When", `asked for by ${formatActor(ran.by)} `, { wall: ran.instant });
  }
}

/** The message that somebody paused a job, skips its next fire, or took either back. */
export function changedPost(
  watch: string,
  job: Job,
  event: Extract<JobEvent, { kind: "paused" | "resumed" | "skip_next" }>,
): Alert {
  const id = jobId(watch, job.name);
  const who = formatActor(event.by);
  const action = actionInWords(job.action);
  const resume: Offer = { label: "Resume", command: `schedule resume ${id}` };
  switch (event.kind) {
    case "paused": {
      const because = event.because === undefined ? "" : `: ${event.because}`;
      return {
        title: `${id} is paused`,
        lines: [line("Who", `${who}${because}`), line("Next", `no ${action} until it is resumed`)],
        offers: [resume],
        summary: `${who} paused ${id} (${action})${because}.`,
      };
    }
    case "skip_next": {
      const when = `${formatDayTime(event.instant, job.zone)} ${job.zone}`;
      return {
        title: `${id} is skipped once`,
        lines: [line("Who", who), line("What", `no ${action} at ${when}; the one after it runs`)],
        offers: [resume],
        summary: `${who} skips ${id} (${action}) at ${when}.`,
      };
    }
    case "resumed":
      return {
        title: `${id} fires again as planned`,
        lines: [line("Who", who)],
        offers: [],
        summary: `${who} resumed ${id} (${action}).`,
      };
  }
}

/** The message that fires were missed. */
export function missedPost(
  watch: string,
  job: Job,
  event: Extract<JobEvent, { kind: "passed_over" }>,
  runsNow: boolean,
): Alert {
  const { instants, older, detail } = event;
  const first = older?.first ?? instants[0] ?? 0;
  const last = instants.at(-1) ?? older?.last ?? first;
  const count = countInWords(instants, older);
  const title = `MISSED ${watch}: ${job.name}${count === "1" ? "" : `, ${count} times`}`;
  const span =
    first === last
      ? `${formatDayTime(first, job.zone)} ${job.zone}`
      : `${formatDayTime(first, job.zone)} to ${formatDayTime(last, job.zone)} ${job.zone}`;
  return {
    title,
    lines: [
      line("What", `${actionInWords(job.action)} did not run: ${span}`),
      line("Why", `${detail}; Belay was away, or the clock was moved`),
      line("Next", runsNow ? "the newest one runs now" : "nothing is made up for"),
    ],
    offers: runsNow
      ? []
      : [
          {
            label: "Run now",
            command: `schedule run ${jobId(watch, job.name)}`,
            confirm: `Run ${job.name} of ${watch} now?`,
          },
        ],
    summary: `${job.name} of ${watch} (${actionInWords(job.action)}) was missed: ${span}, ${detail}.`,
  };
}

/** The message that the clock is behind what has been claimed, so that nothing fires for a while. */
export function clockBackPost(
  watch: string,
  job: Job,
  event: Extract<JobEvent, { kind: "clock_back" }>,
  wall: number,
): Alert {
  const { claimedUpTo, upTo } = event;
  const isGivenUp = upTo < claimedUpTo;
  const until = formatDayTime(claimedUpTo, job.zone);
  const next = isGivenUp
    ? "it goes on from now; what has a row in the journal is not run again"
    : `it fires next after ${until}; \`/belay schedule run ${jobId(watch, job.name)}\` runs it now`;
  return {
    title: `CLOCK SET BACK ${watch}: ${job.name}`,
    lines: [
      line(
        "What",
        `fires up to ${until} ${job.zone} have been claimed, and it is ${formatDayTime(wall, job.zone)}`,
      ),
      line("Next", next),
    ],
    offers: [],
    summary: `The clock is behind what ${job.name} of ${watch} has already claimed: ${next}.`,
  };
}
