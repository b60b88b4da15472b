/** A strict Slack workspace on loopback, for tests and for the demo: start it, act in it, look at what the bot did. */

import { type Acts, createActs } from "./acts.ts";
import { createClock } from "./clock.ts";
import { type Context, namesOf } from "./context.ts";
import type { Transport } from "./delivery.ts";
import { createEmitter, type Emitter } from "./emitter.ts";
import { createFaults, type Fault } from "./faults.ts";
import { createHttpMode, type HttpMode } from "./http-mode.ts";
import { type Listener, listen } from "./http-server.ts";
import { createLimits } from "./limits.ts";
import { checkManifest, readManifest, type SlackManifest } from "./manifest.ts";
import { createMessageStore } from "./messages.ts";
import type {
  AckRecord,
  CallRecord,
  EnvelopeType,
  FakeSlackEvents,
  Message,
  OpenView,
  Violation,
} from "./model.ts";
import { createPage } from "./page/routes.ts";
import { createRecorder } from "./record.ts";
import type { Seed } from "./seed.ts";
import { createSocketMode, type SocketMode } from "./socket.ts";
import { textOf } from "./text.ts";
import { createTriggers } from "./triggers.ts";
import { createViewStore } from "./views.ts";
import { until, WAIT_MS } from "./waits.ts";
import { createWebApi } from "./web-api/dispatch.ts";
import { createWorkspace } from "./workspace.ts";

/** How to start a workspace. */
export interface FakeSlackOptions {
  /** The app that is installed: its scopes, commands, events and transport. A manifest that Slack would refuse throws. */
  readonly manifest: SlackManifest;
  /** Port on 127.0.0.1; 0, the default, takes a free one. */
  readonly port?: number;
  readonly seed?: Seed;
  /** Needed when the manifest has Socket Mode off. `requestUrl` may be set later with `http.setRequestUrl`. */
  readonly http?: { readonly requestUrl?: string; readonly signingSecret?: string };
  /** Whether the installer granted the optional scopes; true unless said otherwise. */
  readonly grantOptionalScopes?: boolean;
  /** Whether bots may mention @channel and @here; false unless said otherwise. */
  readonly allowBroadcasts?: boolean;
  /** Milliseconds since 1970; the machine's clock unless given. `advance` moves on from it. */
  readonly now?: () => number;
}

/** A running workspace. */
export interface FakeSlack extends Acts {
  /** `http://127.0.0.1:port`; the chat page is there. */
  readonly origin: string;
  /** The `slackApiUrl` for Bolt and WebClient. */
  readonly apiUrl: string;
  readonly botToken: string;
  readonly appToken: string;
  readonly signingSecret: string;
  /** The bot user's id, with which it is mentioned. */
  readonly botUserId: string;
  /** Signed HTTP; undefined when the manifest has Socket Mode on. */
  readonly http: HttpMode | undefined;

  /** Ids by handle or name. @throws Error for a name that is not there. */
  userId(name: string): string;
  channelId(name: string): string;
  groupId(handle: string): string;

  openViews(user: string): readonly OpenView[];
  /** A message by channel and ts, deleted or not. */
  message(channel: string, ts: string): Message | undefined;
  /** The replies in a message's thread that everyone sees, or that `as` sees. */
  thread(channel: string, ts: string, options?: { readonly as?: string }): readonly Message[];
  /** A message as the plain text that a person reads, names in place of ids. */
  textOf(message: Message): string;
  /**
   * The first message of the channel, there already or still to come, for which the predicate holds in its present
   * version. @throws Error after `timeoutMs` (5,000 unless said otherwise), telling what was there.
   */
  waitForMessage(
    channel: string,
    predicate: (message: Message, text: string) => boolean,
    options?: { readonly as?: string; readonly timeoutMs?: number },
  ): Promise<Message>;
  /** The next event of this name for which the predicate holds. @throws Error after `timeoutMs`. */
  waitFor<Name extends keyof FakeSlackEvents>(
    name: Name,
    predicate: (payload: FakeSlackEvents[Name]) => boolean,
    options?: { readonly timeoutMs?: number },
  ): Promise<FakeSlackEvents[Name]>;
  readonly on: Emitter<FakeSlackEvents>["on"];

  violations(): readonly Violation[];
  /** Takes the violations of one rule out of the record, for tests that break it on purpose. */
  forgive(rule: string): readonly Violation[];
  acks(): readonly AckRecord[];
  /** Calls of the Web API, or only those of one method. */
  calls(method?: string): readonly CallRecord[];

  inject(fault: Fault): void;
  clearFaults(): void;
  /** The next delivery of this type comes twice, with the same envelope. */
  duplicateNext(type: EnvelopeType): void;
  /** Sockets that deliveries may go to. */
  sockets(): number;
  /** Waits until deliveries may go to this many sockets. @throws Error after `timeoutMs` (5,000 unless said otherwise). */
  waitForSockets(count: number, options?: { readonly timeoutMs?: number }): Promise<void>;
  /** Asks one socket to reconnect, and sends nothing through it any more. @returns whether there was one. */
  refreshSocket(): boolean;
  /** Cuts all sockets. */
  dropSockets(): void;
  /** Takes the workspace down, keeping its state. With `keepPage`, apps are cut off but the page still works. */
  down(options?: { readonly keepPage?: boolean }): Promise<void>;
  /** Brings it back on the same port. */
  up(): Promise<void>;
  /** Moves the workspace's clock forward; lifetimes, limits and retries follow. */
  advance(ms: number): void;

  setGroupMembers(handle: string, users: readonly string[]): void;
  setGroupDisabled(handle: string, disabled: boolean): void;
  /** A free plan has no user groups: `plan_upgrade_required`. */
  setPaidPlan(paid: boolean): void;
  inviteBot(channel: string): void;
  removeBot(channel: string): void;
  archive(channel: string): void;
  deactivate(user: string): void;
  /** Deletes any message, as a workspace admin can. */
  deleteMessage(channel: string, ts: string): void;
  /** Stops for good. */
  stop(): Promise<void>;
}

/** Starts a workspace on 127.0.0.1. @throws Error for a manifest that Slack would refuse, or a port that is taken. */
export async function startFakeSlack(options: FakeSlackOptions): Promise<FakeSlack> {
  const problems = checkManifest(options.manifest);
  if (problems.length > 0) throw new Error(`the manifest would be refused:\n- ${problems.join("\n- ")}`);
  let listener: Listener | undefined;
  const context = makeContext(options, () => started(listener).origin());
  const reachable = (): boolean => listener?.reachable() ?? false;
  const socketMode = context.app.socketMode ? createSocketMode(context) : undefined;
  const http = context.app.socketMode ? undefined : createHttpMode(context, options.http?.requestUrl);
  const transport = gate(reachable, socketMode ?? http);
  const acts = createActs(context, transport);
  const page = createPage(context, acts, reachable);
  const webApi = createWebApi(context, socketMode === undefined ? undefined : () => socketMode.ticketUrl());
  const sockets = (): number => socketMode?.ready() ?? 0;
  const server = await listen(options.port ?? 0, { context, webApi, socketMode, page: page.handle });
  listener = server;
  return {
    ...acts,
    ...lookups(context, acts),
    ...controls(context),
    origin: server.origin(),
    apiUrl: `${server.origin()}/api/`,
    botToken: context.tokens.bot,
    appToken: context.tokens.app,
    signingSecret: context.tokens.signingSecret,
    botUserId: context.workspace.bot.id,
    http,
    sockets,
    async waitForSockets(count, how) {
      if (sockets() === count) return;
      await until(
        (check) => [
          context.events.on("sockets", () => check(() => (sockets() === count ? true : undefined))),
        ],
        how?.timeoutMs ?? WAIT_MS,
        () => `${sockets()} sockets are open, not ${count}`,
      );
    },
    refreshSocket: () => socketMode?.refresh() ?? false,
    dropSockets: () => socketMode?.drop(),
    down: (how) => server.down({ keepPage: how?.keepPage ?? false }),
    up: () => server.up(),
    async stop() {
      context.clock.stop();
      socketMode?.close();
      page.close();
      await server.down({ keepPage: false });
    },
  };
}

function started(listener: Listener | undefined): Listener {
  if (listener === undefined) throw new Error("the workspace is not listening yet");
  return listener;
}

function makeContext(options: FakeSlackOptions, origin: () => string): Context {
  const clock = createClock(options.now ?? Date.now);
  const events = createEmitter<FakeSlackEvents>();
  const app = readManifest(options.manifest, options.grantOptionalScopes ?? true);
  return {
    clock,
    events,
    app,
    origin,
    record: createRecorder(clock, events),
    workspace: createWorkspace(app, options.seed ?? {}),
    messages: createMessageStore(clock, events),
    views: createViewStore(events),
    triggers: createTriggers(clock),
    limits: createLimits(clock),
    faults: createFaults(),
    broadcastsAllowed: options.allowBroadcasts ?? false,
    plan: { paid: true },
    tokens: {
      bot: "xoxb-demo-workspace",
      app: "xapp-demo-workspace",
      signingSecret: options.http?.signingSecret ?? "demo-workspace-signing-secret",
      verification: "demo-workspace-verification",
    },
  };
}

/** Nothing is delivered while the workspace is down. */
function gate(reachable: () => boolean, transport: SocketMode | HttpMode | undefined): Transport {
  return {
    deliver: (envelope) =>
      transport !== undefined && reachable()
        ? transport.deliver(envelope)
        : Promise.resolve({ kind: "undeliverable", why: "the workspace is down" }),
  };
}

type Lookups = Pick<
  FakeSlack,
  | "userId"
  | "channelId"
  | "groupId"
  | "openViews"
  | "message"
  | "thread"
  | "textOf"
  | "waitForMessage"
  | "waitFor"
  | "on"
  | "violations"
  | "forgive"
  | "acks"
  | "calls"
>;

function lookups(context: Context, acts: Acts): Lookups {
  const { workspace, record, events } = context;
  const shown = (message: Message): string => textOf(message, namesOf(workspace));
  return {
    userId: (name) => workspace.user(name).id,
    channelId: (name) => workspace.channel(name).id,
    groupId: (handle) => workspace.group(handle).id,
    openViews: (user) => context.views.open(workspace.user(user).id),
    message: (channel, ts) =>
      context.messages
        .list(workspace.channel(channel).id, { deleted: true })
        .find((message) => message.ts === ts),
    thread: (channel, ts, options) =>
      acts.channelMessages(channel, options).filter((message) => message.threadTs === ts),
    textOf: shown,
    async waitForMessage(channel, predicate, options) {
      const list = (): readonly Message[] =>
        acts.channelMessages(channel, options?.as === undefined ? {} : { as: options.as });
      const find = (): Message | undefined => list().find((message) => predicate(message, shown(message)));
      const describe = (): string =>
        `${channel} has:\n${
          list()
            .map((message) => `--- ${message.ts}\n${shown(message)}`)
            .join("\n") || "nothing"
        }`;
      const there = find();
      if (there !== undefined) return there;
      return until<Message>(
        (check) => [events.on("message", () => check(find)), events.on("update", () => check(find))],
        options?.timeoutMs ?? WAIT_MS,
        describe,
      );
    },
    waitFor: (name, predicate, options) =>
      until(
        (check) => [events.on(name, (payload) => check(() => (predicate(payload) ? payload : undefined)))],
        options?.timeoutMs ?? WAIT_MS,
        () => `no such "${name}" event`,
      ),
    on: (name, listener) => events.on(name, listener),
    violations: () => record.violations(),
    forgive: (rule) => record.forgive(rule),
    acks: () => record.acks(),
    calls: (method) => record.calls().filter((call) => method === undefined || call.method === method),
  };
}

type Controls = Pick<
  FakeSlack,
  | "inject"
  | "clearFaults"
  | "duplicateNext"
  | "advance"
  | "setGroupMembers"
  | "setGroupDisabled"
  | "setPaidPlan"
  | "inviteBot"
  | "removeBot"
  | "archive"
  | "deactivate"
  | "deleteMessage"
>;

function controls(context: Context): Controls {
  const { workspace, faults } = context;
  const changeMembers = (name: string, change: (members: Set<string>) => void): void => {
    const channel = workspace.channel(name);
    const members = new Set(channel.members);
    change(members);
    workspace.putChannel({ ...channel, members });
  };
  return {
    inject: (fault) => faults.inject(fault),
    clearFaults: () => faults.clear(),
    duplicateNext: (type) => faults.duplicateNext(type),
    advance: (ms) => context.clock.advance(ms),
    setGroupMembers: (handle, users) =>
      workspace.putGroup({
        ...workspace.group(handle),
        members: users.map((user) => workspace.user(user).id),
      }),
    setGroupDisabled: (handle, disabled) => workspace.putGroup({ ...workspace.group(handle), disabled }),
    setPaidPlan(paid) {
      context.plan.paid = paid;
    },
    inviteBot: (name) => changeMembers(name, (members) => members.add(workspace.bot.id)),
    removeBot: (name) => changeMembers(name, (members) => members.delete(workspace.bot.id)),
    archive: (name) => workspace.putChannel({ ...workspace.channel(name), archived: true }),
    deactivate: (name) => workspace.putUser({ ...workspace.user(name), kind: "deleted" }),
    deleteMessage: (channel, ts) => void context.messages.remove(workspace.channel(channel).id, ts, "person"),
  };
}
