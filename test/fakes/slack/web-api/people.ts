/** The users.*, usergroups.*, bots.*, auth.* and apps.* methods. */

import type { Context } from "../context.ts";
import { groupJson, userJson } from "../shapes.ts";
import { type Args, type Method, ok, page, type Reply, refuse, TIER } from "./method.ts";

const paidPlanOnly = (run: Method["run"]): Method["run"] => {
  return (context, args) => (context.plan.paid ? run(context, args) : refuse("plan_upgrade_required"));
};

/** The methods about people and the app itself, by name; `ticketUrl` is missing when Socket Mode is off. */
export function peopleMethods(ticketUrl: (() => string) | undefined): Readonly<Record<string, Method>> {
  return {
    "auth.test": {
      token: "any",
      scopes: [],
      perMinute: TIER.special,
      required: [],
      optional: [],
      run: authTest,
    },
    "apps.connections.open": {
      token: "app",
      scopes: [],
      perMinute: TIER.three,
      required: [],
      optional: [],
      run: () => (ticketUrl === undefined ? refuse("internal_error") : ok({ url: ticketUrl() })),
    },
    "bots.info": {
      token: "bot",
      scopes: ["users:read"],
      perMinute: TIER.three,
      required: [],
      optional: ["bot"],
      run: botsInfo,
    },
    "users.info": {
      token: "bot",
      scopes: ["users:read"],
      perMinute: TIER.four,
      required: ["user"],
      optional: ["include_locale"],
      run: usersInfo,
    },
    "users.list": {
      token: "bot",
      scopes: ["users:read"],
      perMinute: TIER.two,
      required: [],
      optional: ["cursor", "limit", "include_locale"],
      run: usersList,
    },
    "usergroups.list": {
      token: "bot",
      scopes: ["usergroups:read"],
      perMinute: TIER.two,
      required: [],
      optional: ["include_count", "include_disabled", "include_users"],
      run: paidPlanOnly(usergroupsList),
    },
    "usergroups.users.list": {
      token: "bot",
      scopes: ["usergroups:read"],
      perMinute: TIER.two,
      required: ["usergroup"],
      optional: ["include_disabled"],
      run: paidPlanOnly(usergroupsUsersList),
    },
  };
}

function authTest(context: Context): Reply {
  const { workspace } = context;
  return ok({
    url: `${context.origin()}/`,
    team: workspace.team.name,
    team_id: workspace.team.id,
    user: workspace.bot.name,
    user_id: workspace.bot.id,
    bot_id: workspace.botId,
    app_id: workspace.appId,
    is_enterprise_install: false,
  });
}

function botsInfo(context: Context, args: Args): Reply {
  const { workspace } = context;
  if ((args.text("bot") ?? workspace.botId) !== workspace.botId) return refuse("bot_not_found");
  return ok({
    bot: {
      id: workspace.botId,
      deleted: false,
      name: workspace.bot.name,
      app_id: workspace.appId,
      user_id: workspace.bot.id,
      updated: 1_700_000_000,
    },
  });
}

function usersInfo(context: Context, args: Args): Reply {
  const user = context.workspace.users().find((one) => one.id === args.text("user"));
  return user === undefined ? refuse("user_not_found") : ok({ user: userJson(context, user) });
}

function usersList(context: Context, args: Args): Reply {
  const found = page(context.workspace.users(), args, 200);
  if (found === undefined) return refuse("invalid_cursor");
  return ok({
    members: found.items.map((user) => userJson(context, user)),
    cache_ts: Math.floor(context.clock.now() / 1000),
    response_metadata: { next_cursor: found.next },
  });
}

function usergroupsList(context: Context, args: Args): Reply {
  const withDisabled = args.flag("include_disabled") === true;
  const withUsers = args.flag("include_users") === true;
  const groups = context.workspace.groups().filter((group) => withDisabled || !group.disabled);
  return ok({ usergroups: groups.map((group) => groupJson(context, group, withUsers)) });
}

function usergroupsUsersList(context: Context, args: Args): Reply {
  const group = context.workspace.groups().find((one) => one.id === args.text("usergroup"));
  const hidden = group?.disabled === true && args.flag("include_disabled") !== true;
  return group === undefined || hidden ? refuse("no_such_subteam") : ok({ users: group.members });
}
