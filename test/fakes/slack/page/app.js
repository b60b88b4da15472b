/** The chat page: holds the state, follows the workspace, and ties the parts together. */

import { act, follow, loadState } from "./api.js";
import { createComposer } from "./composer.js";
import { refreshAges } from "./dates.js";
import { confirmPress, createViewDialog } from "./dialogs.js";
import { byId, h, toast } from "./dom.js";
import { createMessageList } from "./messages.js";

const TAGS = { app: "APP", bot: "APP", slackbot: "APP", guest: "GUEST", stranger: "OTHER ORG" };
const query = new URLSearchParams(location.search);
const archive = /^\/archives\/([A-Z0-9]+)\/p(\d{10})(\d{6})$/.exec(location.pathname);

let state;
let channel;
let stopFollowing = () => undefined;

const byIdIn = (list, id) => list.find((one) => one.id === id);

const names = {
  get me() {
    return state.me;
  },
  get bot() {
    return state.app.handle;
  },
  user: (id) => byIdIn(state.users, id)?.name,
  channel: (id) => byIdIn(state.channels, id)?.name,
  group: (id) => byIdIn(state.groups, id)?.handle,
  allUsers: () =>
    state.users
      .filter((user) => state.people.includes(user.id))
      .map((user) => ({ value: user.id, label: user.realName })),
  allChannels: () => state.channels.map((one) => ({ value: one.id, label: `#${one.name}` })),
};

function userOf(id) {
  const user = byIdIn(state.users, id) ?? { name: id, realName: id, kind: "member" };
  const initials = user.realName
    .split(/\s+/)
    .map((word) => word.charAt(0))
    .join("")
    .slice(0, 2)
    .toUpperCase();
  const hue = [...user.name].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 6, 0);
  return { shown: user.realName, kind: user.kind, tag: TAGS[user.kind] ?? "", initials, hue };
}

const list = createMessageList({ names, userOf, press, reply });
const composer = createComposer({ send, suggestions });
const viewDialog = createViewDialog({
  names,
  submit: (values) => perform("view/submit", { values }),
  close: () => perform("view/close", { all: false }),
  press: async (block, element, value, values, control) => {
    const agreed = element.confirm === undefined || (await confirmPress(element.confirm, names));
    if (agreed) await busy(control, perform("view/click", { ...pressOf(block, element, value), values }));
  },
});

function pressOf(block, element, value) {
  return {
    blockId: block.block_id,
    actionId: element.action_id,
    ...(value === undefined ? {} : { value }),
    ...(element.confirm === undefined ? {} : { confirm: true }),
  };
}

/** Does something and tells the person when it did not work and nothing else tells them. */
async function perform(what, body) {
  const answer = await act(what, { as: state.me, ...body });
  const told = ["ok", "invalid_command", "not_in_threads", "not_delivered", "invalid_input", "view_errors"];
  const commandFailed = what === "type" && ["operation_timeout", "dispatch_failed"].includes(answer.outcome);
  if (!told.includes(answer.outcome) && !commandFailed)
    toast(answer.text || `That did not work (${answer.outcome}).`);
  return answer;
}

async function busy(control, promise) {
  control?.setAttribute("aria-busy", "true");
  try {
    return await promise;
  } finally {
    control?.removeAttribute("aria-busy");
  }
}

async function press(message, block, element, value, control) {
  const agreed = element.confirm === undefined || (await confirmPress(element.confirm, names));
  if (agreed)
    await busy(
      control,
      perform("click", { channel: message.channel, ts: message.ts, ...pressOf(block, element, value) }),
    );
  if (control?.tagName === "SELECT") control.value = "";
}

function reply(threadTs, line) {
  void perform("type", { channel: channel.id, line, threadTs });
}

function send(line) {
  void perform("type", { channel: channel.id, line });
}

function suggestions(word) {
  const sign = word.charAt(0);
  const rest = word.slice(1).toLowerCase();
  const from = (all) => all.filter((one) => one.insert.slice(1).startsWith(rest)).slice(0, 8);
  if (sign === "/") {
    return from(
      state.commands.map((one) => ({
        insert: one.command,
        label: `${one.command} ${one.usageHint}`.trim(),
        detail: one.description,
      })),
    );
  }
  if (sign === "#")
    return from(
      state.channels.map((one) => ({ insert: `#${one.name}`, label: `#${one.name}`, detail: one.topic })),
    );
  const bot = {
    insert: `@${state.app.handle}`,
    label: `@${state.app.handle}`,
    detail: `${state.app.name} (app)`,
  };
  const people = state.users
    .filter((user) => state.people.includes(user.id))
    .map((user) => ({ insert: `@${user.name}`, label: `@${user.name}`, detail: user.realName }));
  const groups = state.groups.map((group) => ({
    insert: `@${group.handle}`,
    label: `@${group.handle}`,
    detail: "group",
  }));
  return from([bot, ...people, ...groups]);
}

function drawHead() {
  byId("workspace-name").textContent = state.workspace;
  byId("channel-name").textContent = `# ${channel.name}`;
  byId("channel-topic").textContent = channel.topic;
  document.title = `#${channel.name} – demo workspace, not Slack`;
  const closed = channel.archived ? "This channel is archived." : undefined;
  byId("composer-text").disabled = channel.archived;
  composer.setPlaceholder(closed ?? `Message #${channel.name}, or / for commands`);
  byId("channel-select").replaceChildren(
    ...state.channels.map((one) =>
      h("option", { value: one.id, selected: one.id === channel.id }, `# ${one.name}`),
    ),
  );
  byId("channel-list").replaceChildren(
    ...state.channels.map((one) =>
      h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            class: "channel",
            "aria-current": one.id === channel.id ? "page" : undefined,
            onclick: () => showChannel(one.id),
          },
          `# ${one.name}`,
          one.archived ? h("span", { class: "note" }, "archived") : null,
        ),
      ),
    ),
  );
  byId("speaking-as").replaceChildren(
    ...state.people.map((id) => {
      const user = userOf(id);
      return h(
        "option",
        { value: id, selected: id === state.me },
        user.tag === "" ? user.shown : `${user.shown} (${user.tag.toLowerCase()})`,
      );
    }),
  );
  byId("outage").hidden = state.reachable;
}

function showChannel(id) {
  channel = byIdIn(state.channels, id) ?? state.channels[0];
  drawHead();
  list.show(state.messages.filter((message) => message.channel === channel.id));
}

function take(message) {
  state.messages = [
    ...state.messages.filter((one) => one.ts !== message.ts || one.channel !== message.channel),
    message,
  ];
  if (message.channel === channel.id) list.put(message);
}

function forget({ channel: from, ts }) {
  state.messages = state.messages.filter((one) => one.ts !== ts || one.channel !== from);
  if (from === channel.id) list.remove(ts);
}

/** Runs its callbacks one after another once it is opened, and at once from then on. */
function createValve() {
  const waiting = [];
  let open = false;
  return {
    pass: (run) => (payload) => {
      if (open) run(payload);
      else waiting.push(() => run(payload));
    },
    open() {
      open = true;
      for (const run of waiting.splice(0)) run();
    },
  };
}

function setReachable(reachable) {
  state.reachable = reachable;
  byId("outage").hidden = reachable;
}

/** Shows what a person sees, and follows it; the stream is opened first, so that nothing falls between the two. */
async function speakAs(user) {
  stopFollowing();
  const valve = createValve();
  let lost = false;
  await new Promise((resolve) => {
    stopFollowing = follow(user, {
      message: valve.pass(({ message }) => take(message)),
      delete: valve.pass(forget),
      views: valve.pass(({ views }) => viewDialog.show(views)),
      reachable: valve.pass(({ reachable }) => setReachable(reachable)),
      lost: () => {
        lost = true;
        byId("offline").hidden = false;
      },
      open: () => {
        byId("offline").hidden = true;
        resolve();
        // What happened while the stream was away is only in a fresh state.
        if (lost) void speakAs(user);
        lost = false;
      },
    });
  });
  state = await loadState(user);
  const named = state.channels.find((one) => [one.name, one.id].includes(query.get("channel")));
  showChannel(channel?.id ?? archive?.[1] ?? named?.id);
  viewDialog.show(state.views);
  valve.open();
}

async function start() {
  document.body.classList.toggle("embed", query.has("embed"));
  byId("channel-select").addEventListener("change", (event) => showChannel(event.target.value));
  byId("speaking-as").addEventListener("change", (event) => void speakAs(event.target.value));
  // A page around this one may put a line into the box; only a person can send it.
  window.addEventListener("message", (event) => {
    if (event.source === window.parent && typeof event.data?.draft === "string")
      composer.draft(event.data.draft);
  });
  setInterval(refreshAges, 5000);
  const first = await loadState(query.get("as") ?? "");
  await speakAs(first.me);
  if (archive !== null) list.reveal(`${archive[2]}.${archive[3]}`);
  if (query.has("draft")) composer.draft(query.get("draft"));
  document.body.dataset.ready = "true";
}

await start();
