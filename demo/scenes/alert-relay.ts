/** Stands between Alertmanager and Belay on loopback: passes every webhook on as it is, and notes when it came. */
import type { IncomingAlert } from "../../src/core/alerts/incoming.ts";
import { webhookSchema } from "../../src/core/alerts/shapes.ts";
import { startSmallServer } from "./small-server.ts";

const ANSWER_WITHIN_MS = 5_000;

/** One alert of a webhook that Belay took. */
export interface Passed {
  /** Wall ms at which the webhook came in, before it was passed on. */
  readonly wall: number;
  readonly alert: IncomingAlert;
}

export interface AlertRelay {
  /** `http://127.0.0.1:PORT/alerts` */
  readonly url: string;
  /** What Belay took, oldest first. */
  passed(): readonly Passed[];
  close(): Promise<void>;
}

/** Passes on to `target`; while nobody answers there it answers nothing either, and Alertmanager sends the same again. */
export async function startAlertRelay(target: string): Promise<AlertRelay> {
  const passed: Passed[] = [];
  const { origin, close } = await startSmallServer(async (body, headers) => {
    const wall = Date.now();
    const answer = await fetch(target, {
      method: "POST",
      headers: {
        authorization: headers.authorization ?? "",
        "content-type": headers["content-type"] ?? "",
      },
      body,
      redirect: "manual",
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    if (answer.ok) {
      const { alerts } = webhookSchema.parse(JSON.parse(body));
      passed.push(...alerts.map((alert) => ({ wall, alert })));
    }
    return { status: answer.status, body: await answer.text() };
  });
  return { url: `${origin}/alerts`, passed: () => passed, close };
}
