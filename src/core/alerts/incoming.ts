/** An alert as Alertmanager tells of it: what came in, before anything is decided about it. */

/** One firing of one alert. `key` is `FINGERPRINT@STARTS_AT` and names this firing for good, however often it is told. Instants are Unix ms. */
export interface IncomingAlert {
  readonly key: string;
  readonly fingerprint: string;
  readonly status: "firing" | "resolved";
  readonly startsAt: number;
  readonly endsAt?: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** `alertname` of an alert, or its fingerprint where it has none. */
export function alertName(alert: IncomingAlert): string {
  return alert.labels["alertname"] ?? alert.fingerprint;
}
