/** Which messages and pages a probe's events owe, and which pages they end. */
import type { PageRequest } from "../core/oncall/page.ts";
import {
  askedPost,
  degradedPost,
  failurePost,
  gaveUpPost,
  mutePost,
  pageSummary,
  type ToldProbe,
  unknownPost,
} from "../core/report/health-words.ts";
import type { PageAbout, ProbeEvent, ProbeState, RecordedProbe } from "../core/watch/probe.ts";
import { pageDraft, postDraft } from "./drafts.ts";
import type { OutboxDraft } from "./messages.ts";

/** A page of a probe whose cause is gone. */
export interface Ended {
  readonly key: string;
  readonly because: string;
}

type Kinds = ReadonlySet<ProbeEvent["kind"]>;

const TOLD: Kinds = new Set<ProbeEvent["kind"]>([
  "failing",
  "recovered",
  "flapping",
  "calm",
  "circuit_opened",
  "circuit_closed",
  "retired",
]);
/** These belong to the story of a failure only while it lasts. */
const TOLD_WHILE_FAILING: Kinds = new Set<ProbeEvent["kind"]>([
  "restart_started",
  "restart_done",
  "restart_failed",
  "muted",
  "unmuted",
]);
const NEWS_TO_USERS: Kinds = new Set<ProbeEvent["kind"]>([
  "failing",
  "recovered",
  "flapping",
  "circuit_opened",
  "circuit_closed",
  "restart_started",
  "muted",
  "unmuted",
  "retired",
]);

/**
 * Everything that these events owe, given the state after them. `defaultChannel` is for watches that name none. `pageOpen`: whether the page with
 * this key is one that nobody has resolved.
 */
export function draftsOf(
  told: ToldProbe,
  events: readonly RecordedProbe[],
  defaultChannel: string | undefined,
  pageOpen: (key: string) => boolean,
): readonly OutboxDraft[] {
  const channel = told.plan.channel ?? defaultChannel;
  return [
    ...failureDrafts(told, events, channel),
    ...unknownDrafts(told, events, channel),
    ...askedDrafts(told, events, channel),
    ...muteDrafts(told, events, channel),
    ...events.flatMap((recorded) => pageDrafts(told, recorded, channel, pageOpen)),
  ];
}

/** The message about the failure that began with event `seq`; its users' notice ends in `:users`. */
function postKey(state: ProbeState, seq: number): string {
  return `post:probe:${state.id}:${seq}`;
}

function failureDrafts(
  told: ToldProbe,
  events: readonly RecordedProbe[],
  channel: string | undefined,
): readonly OutboxDraft[] {
  const { plan, probe, state } = told;
  const { episode } = state;
  const newest = events.at(-1);
  if (episode === undefined || newest === undefined) return [];
  const failing = state.phase === "failing";
  const news = events.filter(
    ({ event }) => TOLD.has(event.kind) || (failing && TOLD_WHILE_FAILING.has(event.kind)),
  );
  const key = postKey(state, episode.seq);
  // Where on-call is paged, the page's own message mentions them.
  const mention = probe.page === undefined && failing;
  const drafts: OutboxDraft[] = [];
  const post = failurePost(told);
  // A mute keeps trouble from the team that muted it, not from the users.
  if (episode.told && post !== undefined && channel !== undefined && news.length > 0)
    drafts.push(postDraft(key, "urgent", channel, post, mention, newest.wall));
  const users = degradedPost(told);
  const toUsers = news.some(({ event }) => NEWS_TO_USERS.has(event.kind));
  if (users !== undefined && plan.usersChannel !== undefined && toUsers)
    drafts.push(postDraft(`${key}:users`, "urgent", plan.usersChannel, users, false, newest.wall));
  return drafts;
}

function unknownDrafts(
  told: ToldProbe,
  events: readonly RecordedProbe[],
  channel: string | undefined,
): readonly OutboxDraft[] {
  const { state } = told;
  const { unknown } = state;
  if (channel === undefined) return [];
  return events.flatMap(({ event, wall }): readonly OutboxDraft[] => {
    const isOver = event.kind === "known";
    const about = isOver ? event.unknown : event.kind === "unknown" ? unknown : undefined;
    if (about === undefined) return [];
    const key = `${postKey(state, about.seq)}:blind`;
    return [postDraft(key, "urgent", channel, unknownPost(told, about, isOver), false, wall)];
  });
}

/** A person's restart has a message of its own where no failure tells of it. */
function askedDrafts(
  told: ToldProbe,
  events: readonly RecordedProbe[],
  channel: string | undefined,
): readonly OutboxDraft[] {
  const { asked } = told.state;
  if (asked === undefined || channel === undefined) return [];
  const newest = events.findLast(
    ({ seq, event }) =>
      seq >= asked.seq &&
      (event.kind === "restart_started" ||
        event.kind === "restart_done" ||
        event.kind === "restart_failed") &&
      !event.planned,
  );
  if (newest === undefined || told.state.phase === "failing") return [];
  const key = `${postKey(told.state, asked.seq)}:restart`;
  return [postDraft(key, "urgent", channel, askedPost(told, asked), false, newest.wall)];
}

/** Who keeps trouble from being heard says so to everybody; as does Belay when it is heard again. */
function muteDrafts(
  told: ToldProbe,
  events: readonly RecordedProbe[],
  channel: string | undefined,
): readonly OutboxDraft[] {
  const { episode, phase } = told.state;
  // The message of a failure tells of it itself.
  if (channel === undefined || (phase === "failing" && episode?.told === true)) return [];
  return events.flatMap(({ event, seq, wall }): readonly OutboxDraft[] => {
    if (event.kind !== "muted" && event.kind !== "unmuted") return [];
    return [
      postDraft(`${postKey(told.state, seq)}:mute`, "normal", channel, mutePost(told, event), false, wall),
    ];
  });
}

function pageDrafts(
  told: ToldProbe,
  recorded: RecordedProbe,
  channel: string | undefined,
  pageOpen: (key: string) => boolean,
): readonly OutboxDraft[] {
  const failing = pageKey(told.state, "failing");
  // One outage is one page: where it is open, a message in the channel says that Belay has given up.
  if (
    recorded.event.kind === "circuit_opened" &&
    channel !== undefined &&
    failing !== undefined &&
    pageOpen(failing)
  ) {
    const key = `${postKey(told.state, recorded.seq)}:gave-up`;
    return [postDraft(key, "urgent", channel, gaveUpPost(told), true, recorded.wall)];
  }
  return pagedBy(told, recorded.event).flatMap((about): readonly OutboxDraft[] => {
    const key = pageKey(told.state, about);
    return key === undefined ? [] : [pageDraft(pageOf(told, key, about, recorded.wall, channel))];
  });
}

/** What this event asks on-call to look at; nothing while the probe is muted. That it flaps is a page of its own, beside those of its failures. */
function pagedBy({ probe, state }: ToldProbe, { kind }: ProbeEvent): readonly PageAbout[] {
  if (state.mutedUntil !== undefined) return [];
  // With an open circuit nothing is restarted, so somebody must hear of a failure that would else page nobody; while it flaps that is one page.
  const unmended = state.circuitOpen && !state.flapping;
  const failing = state.phase === "failing" && (probe.page !== undefined || unmended);
  switch (kind) {
    case "failing":
    case "calm":
      return failing ? ["failing"] : [];
    case "circuit_opened":
      return ["circuit"];
    case "flapping":
      return ["flapping"];
    case "unmuted":
      return [...(state.flapping ? (["flapping"] as const) : []), ...(failing ? (["failing"] as const) : [])];
    default:
      return [];
  }
}

function pageKey(state: ProbeState, about: PageAbout): string | undefined {
  const seq = state.pages[about];
  return seq === undefined ? undefined : `probe:${state.id}:${seq}:${about}`;
}

function pageOf(
  told: ToldProbe,
  key: string,
  about: PageAbout,
  wall: number,
  channel: string | undefined,
): PageRequest {
  const { plan, probe } = told;
  return {
    key,
    severity: about === "flapping" ? "P2" : (probe.page ?? "P1"),
    summary: pageSummary(told, about),
    service: plan.service,
    environment: plan.environment,
    source: "probe",
    wall,
    ...(channel === undefined ? {} : { channel }),
    ...(probe.runbook === undefined ? {} : { runbook: probe.runbook }),
  };
}

/** The pages whose cause is gone in this state. Level, not edge: asked again after a start, it names them again. */
export function endedPages(state: ProbeState): readonly Ended[] {
  const ended = (about: PageAbout, because: string): readonly Ended[] => {
    const key = pageKey(state, about);
    return key === undefined ? [] : [{ key, because }];
  };
  // Nobody looks any more whether it is well: its pages stay open for a person.
  if (state.episode?.retired === true) return [];
  const well = "the probe is well again";
  return [
    ...(state.phase === "well" ? [...ended("failing", well), ...ended("circuit", well)] : []),
    ...(state.flapping ? [] : ended("flapping", "the probe is steady again")),
  ];
}
