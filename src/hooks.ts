/** Opens the door for webhooks: Alertmanager's alerts and PagerDuty's words, each with its own proof of who sends. */
import type { Hono } from "hono";
import { alertRoutes } from "./adapters/http/alerts.ts";
import type { HttpServer } from "./adapters/http/server.ts";
import { startWebhooks } from "./adapters/http/webhooks.ts";
import { pagerWebhookRoutes } from "./adapters/pagerduty/webhook.ts";
import type { Config } from "./config.ts";
import type { PageRequest } from "./core/oncall/page.ts";
import type { Plan } from "./core/plan.ts";
import { Door } from "./door.ts";
import type { Alerts } from "./engine/alerts.ts";
import type { OnCall } from "./engine/oncall.ts";
import { type Clock, type Log, messageOfFault } from "./engine/ports.ts";

export interface HooksOptions {
  readonly config: Pick<Config, "alertsToken" | "pager">;
  readonly port: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly alerts: Alerts;
  readonly onCall: OnCall;
  /** A rollout that is live. */
  readonly live: () => Plan | undefined;
  readonly page: (page: PageRequest) => void;
}

/** The door for webhooks; where its port is taken while a rollout is live or a page is open, Belay starts all the same. A rollout's on-call is paged. */
export function hooksDoor(options: HooksOptions): Door {
  const { clock, live, log, onCall, page, port } = options;
  const key = `belay.hooks.${port}`;
  return new Door({
    name: "webhooks",
    clock,
    log,
    open: () => openHooks(options),
    mayWait: async () => live() !== undefined || onCall.open().length > 0,
    onShut: (why) => {
      const plan = live();
      if (plan === undefined) return;
      const { service, environment } = plan;
      const summary = `${why}. No alert reaches Belay by webhook, and no word of PagerDuty's; guards and rollbacks work. Free the port: Belay tries again every few seconds.`;
      page({ key, severity: "P1", summary, service, environment, source: "rollout", wall: clock.now().wall });
    },
    onOpened: () => {
      onCall
        .resolvePage(key, "webhooks are taken")
        .catch((error: unknown) =>
          log.error("a page could not be resolved", { key, error: messageOfFault(error) }),
        );
    },
  });
}

/** Rejects with an `OutsideFault` when the port is taken. */
function openHooks({ config, port, clock, log, alerts, onCall }: HooksOptions): Promise<HttpServer> {
  const routes: Hono[] = [
    alertRoutes({ token: config.alertsToken, take: (told, truncated) => alerts.take(told, truncated), log }),
  ];
  const { pager } = config;
  if (pager !== undefined && (pager.webhookSecrets.length > 0 || pager.actionTokens.length > 0))
    routes.push(
      pagerWebhookRoutes({
        secrets: pager.webhookSecrets,
        actionTokens: pager.actionTokens,
        onWord: (word) => onCall.word(word),
        keyOf: (pagerId) => onCall.keyOf(pagerId),
        log,
        now: () => clock.now().wall,
      }),
    );
  return startWebhooks({ port, isGuarded: true, routes, log });
}
