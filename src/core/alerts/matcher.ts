/** Which alerts concern a rollout: the matchers of `rollback_on`, and the labels that say of what service and environment an alert speaks. */
import type { IncomingAlert } from "./incoming.ts";

/** Every label must have one of its values; equality only. */
export interface AlertMatcher {
  readonly labels: Readonly<Record<string, readonly string[]>>;
}

/** What is needed of a plan to tell whether an alert concerns it. */
export interface Concerned {
  readonly service: string;
  readonly environment: string;
  readonly rollbackOn?: readonly AlertMatcher[];
}

/** Labels that name the service and the environment; alerts of other services are known apart from these. */
const PLACE: ReadonlySet<string> = new Set(["service", "environment", "env"]);

/** The value of a label; undefined where the alert does not have it. */
export function labelOf(alert: IncomingAlert, name: string): string | undefined {
  return Object.hasOwn(alert.labels, name) ? alert.labels[name] : undefined;
}

/** The environment that an alert names, by the label `environment` or else `env`. */
export function environmentOf(alert: IncomingAlert): string | undefined {
  return labelOf(alert, "environment") ?? labelOf(alert, "env");
}

/** Whether the alert may take the rollout back: a matcher matches, and it names the very service and environment. */
export function concerns(plan: Concerned, alert: IncomingAlert): boolean {
  return (
    labelOf(alert, "service") === plan.service &&
    environmentOf(alert) === plan.environment &&
    (plan.rollbackOn ?? []).some((matcher) => matches(matcher, alert, NOTHING))
  );
}

/** Whether the alert is of the kind that takes the rollout back, whatever service it names; one that names another environment is not. */
export function resembles(plan: Concerned, alert: IncomingAlert): boolean {
  const environment = environmentOf(alert);
  return (
    labelOf(alert, "service") !== undefined &&
    (environment === undefined || environment === plan.environment) &&
    (plan.rollbackOn ?? []).some((matcher) => matches(matcher, alert, PLACE))
  );
}

const NOTHING: ReadonlySet<string> = new Set();

function matches({ labels }: AlertMatcher, alert: IncomingAlert, apartFrom: ReadonlySet<string>): boolean {
  return Object.entries(labels).every(([name, values]) => {
    if (apartFrom.has(name)) return true;
    const value = labelOf(alert, name);
    return value !== undefined && values.includes(value);
  });
}
