/** Signed HTTP: sends each delivery as Slack would post it to the app's request URL, and forgeries on demand. */

import { createHmac } from "node:crypto";
import { type IncomingHttpHeaders, request } from "node:http";
import type { Context } from "./context.ts";
import { ACK_LIMIT_MS, type Delivery, type Envelope, type Transport } from "./delivery.ts";
import { parseJson } from "./json.ts";

/** A request as it was sent, byte for byte. */
export interface SentRequest {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What the app answered. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/** How a request differs from an honest one. */
export interface Forgery {
  /** Added to the timestamp, in seconds; the signature is valid for it. */
  readonly skewS?: number;
  /** Signs with another secret. */
  readonly secret?: string;
  /** Changes the body after signing. */
  readonly tamperedBody?: string;
  /** Leaves the signature headers out. */
  readonly unsigned?: boolean;
}

/** The HTTP side of the workspace. */
export interface HttpMode extends Transport {
  /** Where the app listens, for example `http://127.0.0.1:3000/slack/events`. */
  setRequestUrl(url: string): void;
  /** Every delivery so far, oldest first; the newest 1,000. */
  sent(): readonly SentRequest[];
  /** Sends a request again, byte for byte. @throws Error when the app cannot be reached. */
  replay(sent: SentRequest): Promise<HttpAnswer>;
  /** Sends the body of an earlier request with another signature. @throws Error when the app cannot be reached. */
  forge(sent: SentRequest, forgery: Forgery): Promise<HttpAnswer>;
  /** Sends the handshake with which Slack checks a request URL. @throws Error when the app cannot be reached. */
  verifyUrl(challenge: string): Promise<HttpAnswer>;
}

/** A connection on which nothing comes back is closed, some time after the answer was due. */
const ABANDONED_AFTER_MS = 6_000;
const KEPT = 1_000;
const ANSWER_BYTES_MAX = 1_000_000;

/** Makes the HTTP side; `requestUrl` may be given later, when the app knows its port. */
export function createHttpMode(context: Context, requestUrl: string | undefined): HttpMode {
  const sent: SentRequest[] = [];
  let url = requestUrl;
  let count = 0;

  const sign = (
    body: string,
    type: string,
    forgery: Forgery,
    extra: Record<string, string> = {},
  ): SentRequest => signed(context, body, type, forgery, extra);

  async function post(message: SentRequest): Promise<HttpAnswer & { readonly headers: IncomingHttpHeaders }> {
    if (url === undefined) throw new Error("the app has no request URL");
    return exchange(new URL(url), message);
  }

  async function deliver(envelope: Envelope): Promise<Delivery> {
    const message = sign(...encoded(envelope), {}, retryHeaders(envelope));
    sent.push(message);
    if (sent.length > KEPT) sent.shift();
    count += 1;
    const about = { envelopeId: String(count), type: envelope.type, what: envelope.what };
    const sentAtMs = performance.now();
    if (context.faults.takeDuplicate(envelope.type)) void post(message).catch(() => undefined);
    let tooLate = false;
    let stopWaiting = (): void => undefined;
    const timeout = new Promise<Delivery>((resolve) => {
      stopWaiting = context.clock.after(ACK_LIMIT_MS, () => {
        tooLate = true;
        context.record.ack({ ...about, ackMs: undefined, result: "timeout" });
        context.record.violate("ack_late", `${envelope.what} was not acknowledged in ${ACK_LIMIT_MS} ms`);
        resolve({ kind: "timeout" });
      });
    });
    const answer = post(message).then(
      ({ status, body, headers }): Delivery => {
        const ackMs = performance.now() - sentAtMs;
        stopWaiting();
        if (!tooLate) context.record.ack({ ...about, ackMs, result: status === 200 ? "acked" : "refused" });
        if (status === 200)
          return { kind: "acked", ackMs, body: body === "" ? undefined : (parseJson(body) ?? body) };
        return { kind: "refused", status, noRetry: headers["x-slack-no-retry"] === "1" };
      },
      (error: unknown): Delivery => {
        stopWaiting();
        if (!tooLate) context.record.ack({ ...about, ackMs: undefined, result: "undeliverable" });
        return { kind: "undeliverable", why: error instanceof Error ? error.message : String(error) };
      },
    );
    return Promise.race([answer, timeout]);
  }

  return {
    deliver,
    setRequestUrl(given) {
      url = given;
    },
    sent: () => [...sent],
    replay: (message) => post(message),
    forge: (message, forgery) => post(sign(message.body, message.headers["content-type"] ?? "", forgery)),
    verifyUrl: (challenge) =>
      post(
        sign(
          JSON.stringify({ token: context.tokens.verification, challenge, type: "url_verification" }),
          "application/json",
          {},
        ),
      ),
  };
}

/** Body and content type of a delivery. */
function encoded(envelope: Envelope): readonly [body: string, type: string] {
  const form = "application/x-www-form-urlencoded";
  switch (envelope.type) {
    case "slash_commands": {
      const fields = Object.entries(envelope.payload).map(([key, value]): [string, string] => [
        key,
        String(value),
      ]);
      return [new URLSearchParams(fields).toString(), form];
    }
    case "interactive":
      return [new URLSearchParams({ payload: JSON.stringify(envelope.payload) }).toString(), form];
    case "events_api":
      return [JSON.stringify(envelope.payload), "application/json"];
  }
}

function retryHeaders(envelope: Envelope): Record<string, string> {
  return envelope.retryAttempt === 0
    ? {}
    : { "x-slack-retry-num": String(envelope.retryAttempt), "x-slack-retry-reason": envelope.retryReason };
}

function signed(
  context: Context,
  body: string,
  type: string,
  forgery: Forgery,
  extra: Record<string, string>,
): SentRequest {
  const timestamp = String(Math.floor(context.clock.now() / 1000) + (forgery.skewS ?? 0));
  const secret = forgery.secret ?? context.tokens.signingSecret;
  const signature = `v0=${createHmac("sha256", secret).update(`v0:${timestamp}:${body}`).digest("hex")}`;
  return {
    body: forgery.tamperedBody ?? body,
    headers: {
      "content-type": type,
      "user-agent": "Slackbot 1.0 (demo workspace)",
      ...(forgery.unsigned === true
        ? {}
        : { "x-slack-request-timestamp": timestamp, "x-slack-signature": signature }),
      ...extra,
    },
  };
}

/** One POST on a connection of its own. */
function exchange(
  url: URL,
  message: SentRequest,
): Promise<HttpAnswer & { readonly headers: IncomingHttpHeaders }> {
  return new Promise((resolve, reject) => {
    const headers = { ...message.headers, "content-length": String(Buffer.byteLength(message.body)) };
    const outgoing = request(url, { method: "POST", agent: false, headers }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body = (body + chunk).slice(0, ANSWER_BYTES_MAX);
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, body, headers: response.headers }),
      );
      response.on("error", reject);
    });
    outgoing.on("error", reject);
    outgoing.setTimeout(ABANDONED_AFTER_MS, () => outgoing.destroy(new Error("no answer")));
    outgoing.end(message.body);
  });
}
