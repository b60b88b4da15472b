/** What the configuration says of people and secrets: who may do what, and what must never be shown. */
import type { Config } from "./config.ts";
import type { Actor } from "./core/event.ts";
import type { Asker } from "./core/rollout/ask.ts";

/** Everything that must never appear in any output. */
export function secretsOf(config: Config): readonly string[] {
  const { slack, pager } = config;
  const all = [
    config.alertsToken,
    config.secondChannelUrl,
    config.heartbeatUrl,
    pager?.routingKey,
    pager?.rest?.token,
    ...(pager?.webhookSecrets ?? []),
    ...(pager?.actionTokens ?? []),
    config.token,
    config.prometheusToken,
    ...config.flagTokens.values(),
    slack?.botToken,
    slack?.mode === "socket" ? slack.appToken : slack?.signingSecret,
  ];
  return all.filter((secret) => secret !== undefined);
}

/** What configuration lets a person do. Who can reach the socket or holds the token is an operator. */
export function mayOf(config: Config, actor: Actor): Omit<Asker, "actor"> {
  if (actor.kind === "belay") return { operator: true, groups: [] };
  const groups = [...config.groups].filter(([, ids]) => ids.includes(actor.id)).map(([name]) => name);
  return {
    operator: actor.via === "cli" || config.operators === undefined || config.operators.includes(actor.id),
    groups,
  };
}
