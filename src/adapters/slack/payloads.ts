/** What Slack delivers, checked at the door and brought into one shape for all kinds. */
import { z } from "zod";
import type { SlashNoun } from "../../core/verbs.ts";

/** Somebody did something somewhere. Ids are Slack's. */
export interface Came {
  /** The same for every delivery of the same act. */
  readonly key: string;
  readonly teamId: string | undefined;
  readonly enterpriseId: string | undefined;
  readonly appId: string | undefined;
  readonly user: {
    readonly id: string;
    readonly name: string | undefined;
    readonly teamId: string | undefined;
  };
  readonly channel: { readonly id: string; readonly name: string | undefined };
  /** Slack itself says that the channel is shared with another organisation. */
  readonly isShared: boolean;
}

const id = z.string().min(1).max(100);
const optionalText = z.string().max(500).optional().catch(undefined);

const COMMAND = z.object({
  command: z.string().max(100),
  text: z.string().catch(""),
  team_id: optionalText,
  enterprise_id: optionalText,
  api_app_id: optionalText,
  channel_id: id,
  channel_name: optionalText,
  user_id: id,
  user_name: optionalText,
  trigger_id: id,
  response_url: z.string().max(2_000),
});

const named = z.object({ id: optionalText }).nullish().catch(undefined);
const interactor = z.object({
  id,
  username: optionalText,
  name: optionalText,
  team_id: optionalText,
});

const ACTION = z.object({
  type: z.literal("block_actions"),
  team: named,
  enterprise: named,
  api_app_id: optionalText,
  user: interactor,
  channel: z.object({ id, name: optionalText }),
  trigger_id: id,
  response_url: z.string().max(2_000),
  actions: z.array(z.object({ value: z.string().optional().catch(undefined) })).min(1),
});

const SUBMISSION = z.object({
  type: z.literal("view_submission"),
  team: named,
  enterprise: named,
  api_app_id: optionalText,
  user: interactor,
  view: z.object({
    id,
    hash: id,
    callback_id: z.string(),
    private_metadata: z.string(),
    state: z.object({
      values: z.record(z.string(), z.record(z.string(), z.object({ value: z.string().nullish() }))),
    }),
  }),
});

const MENTION = z.object({
  event_id: id,
  team_id: optionalText,
  enterprise_id: optionalText,
  api_app_id: optionalText,
  is_ext_shared_channel: z.boolean().optional().catch(undefined),
  event: z.object({
    user: optionalText,
    text: z.string().catch(""),
    channel: id,
    thread_ts: optionalText,
    bot_id: optionalText,
    user_team: optionalText,
  }),
});

export interface CommandCame extends Came {
  readonly noun: SlashNoun | "runbook";
  readonly text: string;
  readonly responseUrl: string;
}

/** A typed slash command; undefined when it is not one of ours, whatever prefix it has. */
export function readCommand(body: unknown): CommandCame | undefined {
  const read = COMMAND.safeParse(body);
  const noun = read.success ? nounOf(read.data.command) : undefined;
  if (!read.success || noun === undefined) return undefined;
  const { data } = read;
  return {
    key: data.trigger_id,
    teamId: data.team_id,
    enterpriseId: data.enterprise_id,
    appId: data.api_app_id,
    user: { id: data.user_id, name: data.user_name, teamId: undefined },
    channel: { id: data.channel_id, name: data.channel_name },
    isShared: false,
    noun,
    text: data.text,
    responseUrl: data.response_url,
  };
}

function nounOf(command: string): SlashNoun | "runbook" | undefined {
  const word = /(belay|rollout|runbook)$/.exec(command)?.[1];
  return word === "belay" || word === "rollout" || word === "runbook" ? word : undefined;
}

export interface ActionCame extends Came {
  readonly value: string | undefined;
  readonly triggerId: string;
  readonly responseUrl: string;
}

/** A pressed button. */
export function readAction(body: unknown): ActionCame | undefined {
  const read = ACTION.safeParse(body);
  if (!read.success) return undefined;
  const { data } = read;
  return {
    ...interaction(data),
    key: data.trigger_id,
    channel: { id: data.channel.id, name: data.channel.name },
    value: data.actions[0]?.value,
    triggerId: data.trigger_id,
    responseUrl: data.response_url,
  };
}

export interface SubmissionCame extends Omit<Came, "channel"> {
  readonly callbackId: string;
  readonly privateMetadata: string;
  /** What was typed, by block_id and action_id. */
  readonly typed: (blockId: string, actionId: string) => string;
}

/** A form that was sent off. */
export function readSubmission(body: unknown): SubmissionCame | undefined {
  const read = SUBMISSION.safeParse(body);
  if (!read.success) return undefined;
  const { data } = read;
  const { view } = data;
  return {
    ...interaction(data),
    key: `${view.id}+${view.hash}`,
    callbackId: view.callback_id,
    privateMetadata: view.private_metadata,
    typed: (blockId, actionId) => view.state.values[blockId]?.[actionId]?.value ?? "",
  };
}

type Interaction = Pick<z.infer<typeof SUBMISSION>, "team" | "enterprise" | "api_app_id" | "user">;

function interaction({ team, enterprise, api_app_id, user }: Interaction): Omit<Came, "key" | "channel"> {
  return {
    teamId: team?.id ?? user.team_id,
    enterpriseId: enterprise?.id,
    appId: api_app_id,
    user: { id: user.id, name: user.username ?? user.name, teamId: user.team_id },
    isShared: false,
  };
}

export interface MentionCame extends Came {
  readonly text: string;
  readonly thread: string | undefined;
  /** Another program wrote it. */
  readonly isByBot: boolean;
}

/** `@belay ...` in a channel or thread. */
export function readMention(body: unknown): MentionCame | undefined {
  const read = MENTION.safeParse(body);
  if (!read.success) return undefined;
  const { event, ...data } = read.data;
  return {
    key: data.event_id,
    teamId: data.team_id,
    enterpriseId: data.enterprise_id,
    appId: data.api_app_id,
    user: { id: event.user ?? "", name: undefined, teamId: event.user_team },
    channel: { id: event.channel, name: undefined },
    isShared: data.is_ext_shared_channel ?? false,
    text: event.text,
    thread: event.thread_ts,
    isByBot: event.bot_id !== undefined || event.user === undefined,
  };
}
