/** What all parts of one workspace share. */

import type { Clock } from "./clock.ts";
import type { Emitter } from "./emitter.ts";
import type { Faults } from "./faults.ts";
import type { Limits } from "./limits.ts";
import type { AppFacts } from "./manifest.ts";
import type { MessageStore } from "./messages.ts";
import type { FakeSlackEvents } from "./model.ts";
import type { Ids, Names } from "./mrkdwn.ts";
import type { Recorder } from "./record.ts";
import type { Triggers } from "./triggers.ts";
import type { ViewStore } from "./views.ts";
import type { Workspace } from "./workspace.ts";

/** The parts of a workspace; one of each. */
export interface Context {
  readonly clock: Clock;
  readonly events: Emitter<FakeSlackEvents>;
  readonly record: Recorder;
  readonly app: AppFacts;
  readonly workspace: Workspace;
  readonly messages: MessageStore;
  readonly views: ViewStore;
  readonly triggers: Triggers;
  readonly limits: Limits;
  readonly faults: Faults;
  readonly tokens: Tokens;
  /** Whether bots may mention @channel, @here and @everyone. */
  readonly broadcastsAllowed: boolean;
  /** Whether the workspace's plan has user groups. */
  readonly plan: { paid: boolean };
  /** `http://127.0.0.1:port` of the listening server. */
  origin(): string;
}

/** The app's credentials in this workspace. */
export interface Tokens {
  readonly bot: string;
  readonly app: string;
  readonly signingSecret: string;
  /** The deprecated verification token that every payload carries. */
  readonly verification: string;
}

/** Looks names up in the workspace, to show texts. */
export function namesOf(workspace: Workspace): Names {
  return {
    user: (id) => workspace.findUser(id)?.name,
    channel: (id) => workspace.findChannel(id)?.name,
    group: (id) => workspace.findGroup(id)?.handle,
  };
}

/** Looks ids up in the workspace, to store what a person typed. */
export function idsOf(workspace: Workspace): Ids {
  return {
    userId: (name) => workspace.findUser(name)?.id,
    channelId: (name) => workspace.findChannel(name)?.id,
    groupId: (handle) => workspace.findGroup(handle)?.id,
  };
}
