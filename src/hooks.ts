/** Opens the door for webhooks: Alertmanager's alerts and PagerDuty's words, each with its own proof of who sends. */
import type { Hono } from "hono";
import { alertRoutes } from "./adapters/http/alerts.ts";
import type { HttpServer } from "./adapters/http/server.ts";
import { startWebhooks } from "./adapters/http/webhooks.ts";
import { pagerWebhookRoutes } from "./adapters/pagerduty/webhook.ts";
import type { Config } from "./config.ts";
import type { Alerts } from "./engine/alerts.ts";
import type { OnCall } from "./engine/oncall.ts";
import type { Clock, Log } from "./engine/ports.ts";

export interface HooksOptions {
  readonly config: Pick<Config, "alertsToken" | "pager">;
  readonly port: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly alerts: Alerts;
  readonly onCall: OnCall;
}

/** Rejects with an `OutsideFault` when the port is taken. */
export function openHooks({ config, port, clock, log, alerts, onCall }: HooksOptions): Promise<HttpServer> {
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
