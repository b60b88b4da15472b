/** Belay as a process of its own, with a strict PagerDuty over TLS and a second channel on loopback: for kills and faults of the page path. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type BelayProcess, startBelay } from "../../demo/world/belay-child.ts";
import { type Answer, answerSchema, askBelay, freePort } from "../../demo/world/loopback.ts";
import { CERTIFICATE } from "../fakes/pagerduty/certificate.ts";
import {
  type FakePagerDuty,
  type FakePagerDutyOptions,
  startFakePagerDuty,
} from "../fakes/pagerduty/server.ts";

const TOKEN = "a-token-of-the-test";
export const ALERTS_TOKEN = "a-token-of-alertmanager";
const FLAGS = `service: bots
environment: production
provider: { kind: file }
view: { http: "http://127.0.0.1:9/features", pointer: /flags }
prometheus: { url: "http://127.0.0.1:9", scrape_interval: 1s }
flags:
  cache: { key: cache, safe: off }
`;
const WATCH = `watch: bots
zone: UTC
jobs:
  morning: { cron: "0 9 * * *", post: health }
`;

export interface OnCallWorld {
  readonly pager: FakePagerDuty;
  readonly belay: BelayProcess;
  /** Base of the webhooks. */
  readonly hooks: string;
  /** What the second channel was told, and when (performance.now()). */
  readonly told: { readonly text: string; readonly at: number }[];
  command(text: string): Promise<Answer>;
  /** Everything that Belay logged. */
  log(): string;
  close(): Promise<void>;
}

export interface OnCallWorldOptions {
  readonly pager?: FakePagerDutyOptions;
  /** Such as `4s`. */
  readonly ackWithin: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly watch?: string;
}

export async function startOnCallWorld(options: OnCallWorldOptions): Promise<OnCallWorld> {
  const dir = mkdtempSync(join(tmpdir(), "belay-oncall-"));
  for (const folder of ["flags", "schedules", "runbooks"])
    mkdirSync(join(dir, "house", folder), { recursive: true });
  writeFileSync(join(dir, "house/flags/bots.yaml"), FLAGS);
  writeFileSync(join(dir, "house/schedules/bots.yaml"), options.watch ?? WATCH);
  writeFileSync(join(dir, "overlay.yaml"), "watches: { bots: {} }\n");
  writeFileSync(join(dir, "ca.pem"), CERTIFICATE);
  const pager = await startFakePagerDuty(options.pager);
  const told: { text: string; at: number }[] = [];
  const second = await startSecond((one) => told.push({ text: one, at: performance.now() }));
  const [port, hooksPort] = [await freePort(), await freePort()];
  const logFile = join(dir, "belay.log");
  const belay = await startBelay({
    house: join(dir, "house"),
    overlay: join(dir, "overlay.yaml"),
    speed: 3600,
    logFile,
    restartDelayMs: 200,
    env: {
      BELAY_STATE: join(dir, "state"),
      BELAY_HTTP_PORT: String(port),
      BELAY_TOKEN: TOKEN,
      BELAY_HOOKS_PORT: String(hooksPort),
      BELAY_ALERTS_TOKEN: ALERTS_TOKEN,
      BELAY_ACK_WITHIN: options.ackWithin,
      BELAY_PAGERDUTY_KEY: pager.routingKey,
      BELAY_PAGERDUTY_TOKEN: pager.token,
      BELAY_PAGERDUTY_FROM: pager.fromEmail,
      BELAY_PAGERDUTY_WEBHOOK_SECRET: pager.webhookSecret,
      BELAY_PAGERDUTY_EVENTS: pager.server,
      BELAY_PAGERDUTY_API: pager.url,
      BELAY_SECOND_CHANNEL_URL: second.url,
      NODE_EXTRA_CA_CERTS: join(dir, "ca.pem"),
      ...options.env,
    },
  });
  const base = `http://127.0.0.1:${port}`;
  return {
    pager,
    belay,
    hooks: `http://127.0.0.1:${hooksPort}`,
    told,
    command: async (one) =>
      answerSchema.parse(await askBelay(base, TOKEN, "/v1/do", { text: one, as: "ana" })),
    log: () => readFileSync(logFile, "utf8"),
    async close() {
      await belay.stop();
      await pager.close();
      await new Promise((done) => {
        second.server.close(done);
        second.server.closeAllConnections();
      });
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function startSecond(
  tell: (text: string) => void,
): Promise<{ readonly server: Server; readonly url: string }> {
  const server = createServer((request, response) => {
    text(request)
      .then((body) => {
        const parsed: { text?: unknown } = JSON.parse(body);
        tell(String(parsed.text));
        response.writeHead(200).end("ok");
      })
      .catch(() => response.writeHead(400).end());
  });
  const port = await freePort();
  await new Promise<void>((done) => server.listen(port, "127.0.0.1", done));
  return { server, url: `http://127.0.0.1:${port}/a-secret-path` };
}
