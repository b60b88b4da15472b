/** The chat page's server side: its files, its state, its live stream, and what people do on it. */

import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { z } from "zod";
import type { Acts } from "../acts.ts";
import type { Context } from "../context.ts";
import { type JsonObject, parseJson } from "../json.ts";
import type { Message, OpenView, User } from "../model.ts";
import type { Reaction } from "../reaction.ts";

/** The page. */
export interface Page {
  handle(request: IncomingMessage, response: ServerResponse, body: string): void;
  /** Ends the live streams. */
  close(): void;
}

/** Messages of a channel that the page shows at most. */
const SHOWN_MAX = 500;
const KEEP_ALIVE_MS = 15_000;

const SCRIPTS = [
  ...["api", "app", "blocks", "completion", "composer", "dates", "dialogs", "dom", "elements"],
  ...["message-item", "messages", "mrkdwn"],
];
const STYLES = ["layout", "content", "controls"];
const TYPES = { html: "text/html", svg: "image/svg+xml", js: "text/javascript", css: "text/css" } as const;

/** The page's files, read once: path, content type and content. */
function readFiles(): ReadonlyMap<string, { readonly type: string; readonly body: Buffer }> {
  const file = (path: string, name: string, type: keyof typeof TYPES) =>
    [
      path,
      { type: `${TYPES[type]}; charset=utf-8`, body: readFileSync(join(import.meta.dirname, name)) },
    ] as const;
  return new Map([
    file("/", "index.html", "html"),
    file("/favicon.svg", "favicon.svg", "svg"),
    ...SCRIPTS.map((name) => file(`/page/${name}.js`, `${name}.js`, "js")),
    ...STYLES.map((name) => file(`/page/${name}.css`, `${name}.css`, "css")),
  ]);
}

const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'self'; img-src 'self' data: http://127.0.0.1:* http://localhost:* https:; " +
    "frame-ancestors 'self' http://127.0.0.1:* http://localhost:*; base-uri 'none'; form-action 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
};

const who = { as: z.string() };
const pressed = {
  actionId: z.string().optional(),
  blockId: z.string().optional(),
  value: z.union([z.string(), z.array(z.string())]).optional(),
  confirm: z.boolean().optional(),
};
const values = z.record(z.string(), z.union([z.string(), z.array(z.string())]));
const TYPED = z.strictObject({
  ...who,
  channel: z.string(),
  line: z.string().min(1),
  threadTs: z.string().optional(),
});
const CLICKED = z.strictObject({ ...who, channel: z.string(), ts: z.string(), ...pressed });
const SUBMITTED = z.strictObject({ ...who, values });
const VIEW_CLICKED = z.strictObject({ ...who, values, ...pressed });
const VIEW_CLOSED = z.strictObject({ ...who, all: z.boolean() });

/** Makes the page's server side. `reachable` says whether apps can reach the workspace. */
export function createPage(context: Context, acts: Acts, reachable: () => boolean): Page {
  const files = readFiles();
  const streams = new Set<() => void>();

  function handle(request: IncomingMessage, response: ServerResponse, body: string): void {
    const url = new URL(request.url ?? "/", "http://localhost");
    // Another site's name that resolves to this address must not get at the page.
    if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(request.headers.host ?? "")) {
      sendJson(response, 403, { error: "this page is for 127.0.0.1 only" });
      return;
    }
    if (request.method === "POST") {
      void post(request, response, url.pathname, body);
      return;
    }
    const path = url.pathname.startsWith("/archives/")
      ? "/"
      : url.pathname === "/favicon.ico"
        ? "/favicon.svg"
        : url.pathname;
    const file = files.get(path);
    if (file !== undefined)
      response.writeHead(200, { ...SECURITY_HEADERS, "content-type": file.type }).end(file.body);
    else if (path === "/page/state") sendState(response, url.searchParams.get("as") ?? "");
    else if (path === "/page/events")
      openStream(context, streams, response, url.searchParams.get("as") ?? "");
    else sendJson(response, 404, { error: "not found" });
  }

  function sendState(response: ServerResponse, as: string): void {
    const user = context.workspace.findUser(as) ?? people(context)[0];
    if (user === undefined) sendJson(response, 404, { error: "nobody is here" });
    else sendJson(response, 200, stateFor(context, acts, user, reachable()));
  }

  async function post(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    body: string,
  ): Promise<void> {
    // A plain form of another site cannot send this type without asking first.
    if (!(request.headers["content-type"] ?? "").startsWith("application/json")) {
      sendJson(response, 415, { error: "send application/json" });
      return;
    }
    try {
      const done = await perform(acts, path, parseJson(body));
      if (done === undefined) sendJson(response, 404, { error: "not found" });
      else
        sendJson(response, 200, {
          outcome: done.outcome,
          text: done.text,
          errors: done.errors,
          ackMs: done.ackMs,
        });
    } catch (error) {
      sendJson(response, 400, { error: error instanceof Error ? error.message : String(error) });
    }
  }

  return {
    handle,
    close() {
      for (const end of [...streams]) end();
    },
  };
}

/** Opens a live stream of what this person sees. */
function openStream(context: Context, streams: Set<() => void>, response: ServerResponse, as: string): void {
  const user = context.workspace.findUser(as);
  if (user === undefined) {
    sendJson(response, 404, { error: `no user ${as}` });
    return;
  }
  response.writeHead(200, { ...SECURITY_HEADERS, "content-type": "text/event-stream; charset=utf-8" });
  const stops = follow(context, user, (event, data) => {
    response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  });
  const keepAlive = setInterval(() => response.write(": still here\n\n"), KEEP_ALIVE_MS);
  const end = (): void => {
    clearInterval(keepAlive);
    for (const stop of stops) stop();
    streams.delete(end);
    response.end();
  };
  streams.add(end);
  response.on("close", end);
  response.write("retry: 500\n: welcome\n\n");
}

/** Does what was asked for. @throws Error when the request is malformed or names someone who is not there. */
async function perform(acts: Acts, path: string, body: unknown): Promise<Reaction | undefined> {
  switch (path) {
    case "/page/type": {
      const { as, channel, line, threadTs } = TYPED.parse(body);
      return acts.type(as, channel, line, { threadTs });
    }
    case "/page/click": {
      const { as, channel, ts, ...press } = CLICKED.parse(body);
      return acts.click(as, channel, ts, press);
    }
    case "/page/view/submit": {
      const submitted = SUBMITTED.parse(body);
      return acts.submitView(submitted.as, submitted.values);
    }
    case "/page/view/click": {
      const { as, values: held, ...press } = VIEW_CLICKED.parse(body);
      return acts.clickView(as, press, held);
    }
    case "/page/view/close": {
      const { as, all } = VIEW_CLOSED.parse(body);
      return acts.closeView(as, { all });
    }
    default:
      return undefined;
  }
}

/** Sends a person everything new that they can see, until stopped. */
function follow(
  context: Context,
  user: User,
  send: (event: string, data: JsonObject) => void,
): readonly (() => void)[] {
  const visible = (message: Message): boolean =>
    (message.onlyFor === undefined || message.onlyFor === user.id) &&
    (context.workspace.findChannel(message.channel)?.members.has(user.id) ?? false);
  const tell = (message: Message): void => {
    if (visible(message)) send("message", { message: pageMessage(message) });
  };
  return [
    context.events.on("message", tell),
    context.events.on("update", tell),
    context.events.on("delete", (message) => {
      if (visible(message)) send("delete", { channel: message.channel, ts: message.ts });
    }),
    context.events.on("views", ({ user: owner, open }) => {
      if (owner === user.id) send("views", { views: open.map(pageView) });
    }),
    context.events.on("reachable", (reachable) => send("reachable", { reachable })),
  ];
}

function stateFor(context: Context, acts: Acts, user: User, reachable: boolean): JsonObject {
  const { workspace, app } = context;
  const channels = workspace.channels().filter((channel) => channel.members.has(user.id));
  return {
    workspace: workspace.team.name,
    app: { name: app.appName, user: workspace.bot.id, handle: workspace.bot.name },
    me: user.id,
    reachable,
    users: workspace.users(),
    people: people(context).map((person) => person.id),
    groups: workspace.groups(),
    channels: channels.map(({ members: _members, ...channel }) => ({
      ...channel,
      botIsMember: workspace.botIsIn(workspace.channel(channel.id)),
    })),
    commands: app.commands,
    messages: channels.flatMap((channel) =>
      acts.channelMessages(channel.id, { as: user.id }).slice(-SHOWN_MAX).map(pageMessage),
    ),
    views: context.views.open(user.id).map(pageView),
  };
}

/** Those as whom one can speak on the page. */
function people(context: Context): readonly User[] {
  return context.workspace.users().filter((user) => ["member", "guest", "stranger"].includes(user.kind));
}

function pageMessage(message: Message): JsonObject {
  const { history: _history, metadata: _metadata, ...shown } = message;
  return { ...shown };
}

function pageView(view: OpenView): JsonObject {
  return { id: view.id, hash: view.hash, content: view.content, errors: view.errors };
}

function sendJson(response: ServerResponse, status: number, body: JsonObject): void {
  const headers = { ...SECURITY_HEADERS, "content-type": "application/json; charset=utf-8" };
  response.writeHead(status, headers).end(JSON.stringify(body));
}
