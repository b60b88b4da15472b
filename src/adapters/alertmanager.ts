/** The AlertSource port over Alertmanager's API v2: the alerts that fire now and are neither silenced nor inhibited. */
import { apiSchema } from "../core/alerts/shapes.ts";
import { OutsideFault } from "../engine/ports.ts";
import type { AlertSource } from "../engine/watch-ports.ts";
import { createHttpClient, HttpFault, type HttpReply } from "./http-client.ts";

const MAX_BYTES = 8 * 1024 * 1024;
const TIMEOUT_MS = 5_000;
const PATH = "/api/v2/alerts?active=true&silenced=false&inhibited=false&unprocessed=true";

export interface AlertmanagerOptions {
  /** Base address; a path in front of `/api/v2` may be part of it. */
  readonly url: string;
  /** Total deadline of one question, ms; 5 s when not given. */
  readonly timeoutMs?: number | undefined;
  /** Bearer token. */
  readonly token?: string | undefined;
}

/** Works with Alertmanager 0.16 and later. */
export function createAlertmanager(options: AlertmanagerOptions): AlertSource & { close(): void } {
  const http = createHttpClient();
  const url = `${options.url.replace(/\/+$/, "")}${PATH}`;
  return {
    async firing() {
      const reply = await asked(() =>
        http.request({
          method: "GET",
          url,
          headers: { Accept: "application/json" },
          timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
          maxBytes: MAX_BYTES,
          token: options.token,
        }),
      );
      if (reply.status !== 200) throw fault(`answers ${reply.status}`);
      const told = apiSchema.safeParse(parsed(reply.text));
      if (!told.success) throw fault("answers with something other than its list of alerts");
      return told.data.filter((one) => !one.isSuppressed).map((one) => one.alert);
    },
    close: () => http.close(),
  };
}

async function asked(ask: () => Promise<HttpReply>): Promise<HttpReply> {
  try {
    return await ask();
  } catch (error) {
    throw fault(error instanceof HttpFault ? `cannot be asked: ${error.detail}` : "cannot be asked");
  }
}

function fault(what: string): OutsideFault {
  return new OutsideFault(`Alertmanager ${what}`, { recoverable: true });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
