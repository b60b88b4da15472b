/** The alerts of the bot platform at the demo's pace: windows of 5 s instead of minutes, the thresholds of production. */

const WINDOW = "5s";

/** What every alert says about itself, so that Belay knows whose it is. */
export interface AlertLabels {
  readonly service: string;
  readonly environment: string;
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly severity: "critical" | "warning" | "none";
  readonly summary: string;
  readonly runbook?: string;
}

const RULES: readonly Rule[] = [
  {
    alert: "Watchdog",
    expr: "vector(1)",
    severity: "none",
    summary: "Always fires; when it does not arrive, alerting is broken.",
  },
  {
    alert: "BotsDown",
    expr: 'up{job="bots"} == 0',
    severity: "critical",
    summary: "The bots do not answer Prometheus.",
    runbook: "dependency-restart",
  },
  {
    alert: "HighErrorRate",
    expr: `sum(rate(bot_reply_errors_total[${WINDOW}])) / sum(rate(bot_replies_total[${WINDOW}])) > 0.01`,
    severity: "critical",
    summary: "{{ $value | humanizePercentage }} of the replies fail (at most 1 % at the peak).",
    runbook: "dependency-restart",
  },
  {
    alert: "HighLatency",
    expr: `histogram_quantile(0.95, sum by (le) (rate(bot_reply_seconds_bucket[${WINDOW}]))) > 3.2`,
    severity: "critical",
    summary: "One reply in twenty takes longer than {{ $value | humanizeDuration }} (at most 3.2 s).",
    runbook: "dependency-restart",
  },
  {
    alert: "ConnectionPoolNearlyFull",
    expr: "bot_db_pool_used / bot_db_pool_size >= 0.8",
    severity: "warning",
    summary:
      "{{ $value | humanizePercentage }} of the database connections are in use (from 80 % on it is raised).",
    runbook: "connection-pool-exhaustion",
  },
  {
    alert: "ScalingTrigger",
    expr: "sum(bot_active_users) >= 70",
    severity: "warning",
    summary: "{{ $value }} users chat at the same time (from 70 on the platform is scaled out).",
    runbook: "scale-out",
  },
];

/** The content of a rules file. */
export function rulesFor(labels: AlertLabels): unknown {
  const rules = RULES.map(({ alert, expr, severity, summary, runbook }) => ({
    alert,
    expr,
    labels: { ...labels, severity },
    annotations: { summary, ...(runbook === undefined ? {} : { runbook: `${runbook}.md` }) },
  }));
  return { groups: [{ name: "bot-platform", rules }] };
}
