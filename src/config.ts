/** The only reader of the environment: every setting of Belay, checked at once, with every mistake told at once. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { allowFault } from "./adapters/probe/address.ts";
import type { Mode } from "./core/event.ts";
import { formatDuration, HOUR, isZone, MINUTE, parseDuration, SECOND } from "./core/time.ts";
import { PROVIDER_SECRETS } from "./providers.ts";

/** How Slack reaches Belay; undefined when no tokens are set, and then Belay works by `belay do` alone. */
export type SlackConfig =
  | { readonly mode: "socket"; readonly botToken: string; readonly appToken: string }
  | {
      readonly mode: "http";
      readonly botToken: string;
      readonly signingSecret: string;
      readonly port: number;
    };

/** How PagerDuty is reached; undefined without a routing key, and then pages are told in Slack and by the second channel alone. */
export interface PagerConfig {
  /** Integration key of the service's Events API v2. */
  readonly routingKey: string;
  /** REST API token, and the address in whose name it acts. */
  readonly rest: { readonly token: string; readonly from: string } | undefined;
  /** Secrets of webhook v3 subscriptions; several while one is replaced. */
  readonly webhookSecrets: readonly string[];
  /** Tokens that custom incident actions send as `Authorization: Bearer`, because PagerDuty does not sign them. */
  readonly actionTokens: readonly string[];
  /** Other hosts (tests, demo): `HOST[:PORT]` of the events, base URL of the REST API. */
  readonly eventsServer: string | undefined;
  readonly apiUrl: string | undefined;
}

export interface Config {
  /** Folder of flags/, schedules/ and runbooks/. */
  readonly dir: string;
  /** Folder of Belay's own files. */
  readonly stateDir: string;
  /** Loopback port for `belay do`, OFREP and metrics; 0 picks one. */
  readonly httpPort: number;
  /** Bearer token of the loopback port; without it only the unix socket takes commands. */
  readonly token: string | undefined;
  readonly slack: SlackConfig | undefined;
  /** Another address for Slack's Web API (tests, demo). */
  readonly slackApiUrl: string | undefined;
  /** Approver groups by name, as lists of Slack user IDs or `cli:NAME`. */
  readonly groups: ReadonlyMap<string, readonly string[]>;
  /** Who may go forward; undefined: everybody in an allowed channel. */
  readonly operators: readonly string[] | undefined;
  /** Channels (IDs or #names) in which commands are taken; undefined: wherever the bot is. */
  readonly channels: readonly string[] | undefined;
  readonly defaultChannel: string | undefined;
  /** Mentioned in pages and rollbacks, as Slack writes it: `<!subteam^S123>` or `<@U123>`. */
  readonly pageMention: string | undefined;
  readonly prometheusToken: string | undefined;
  /** Tokens of flag systems, by the names of their settings: `BELAY_UNLEASH_TOKEN`, or `BELAY_UNLEASH_TOKEN_STAGING` for one environment. */
  readonly flagTokens: ReadonlyMap<string, string>;
  /** Bearer token that Alertmanager sends with its webhook; without it no alert is taken. */
  readonly alertsToken: string | undefined;
  /** Loopback port of the webhooks of Alertmanager and PagerDuty; undefined: they are not served. */
  readonly hooksPort: number | undefined;
  readonly pager: PagerConfig | undefined;
  /** How long each person asked has to acknowledge a page, ms. */
  readonly ackWithinMs: number;
  /** Told when paging itself fails: a URL that takes a POST of `{ "text": ... }`. */
  readonly secondChannelUrl: string | undefined;
  /** Asked every minute while Belay is well, so that others notice when it is not. */
  readonly heartbeatUrl: string | undefined;
  /** Programs that an `exec` target may run, by absolute path. */
  readonly execAllow: readonly string[];
  /** Hosts whose names may lead to loopback or private addresses, for probes. */
  readonly probeAllow: readonly string[];
  /** All of the environment that programs and processes get which Belay starts. */
  readonly environment: { readonly PATH: string; readonly HOME: string };
  /** Where `belay do` finds a Belay on another loopback port; with the token. */
  readonly url: string | undefined;
  /** The local account, as the name of who asks on the command line. */
  readonly user: string;
  /** Who flips; undefined: what people said last, and people in a new installation. */
  readonly mode: Mode | undefined;
  readonly zone: string;
  readonly logLevel: "info" | "warn" | "error";
  /** How often the figures on a card move, ms. */
  readonly refreshMs: number;
  /** What is no mistake and yet hardly meant; told at the start. */
  readonly warnings: readonly string[];
}

export type ConfigResult =
  | { readonly kind: "ok"; readonly config: Config }
  | { readonly kind: "bad"; readonly mistakes: readonly string[] };

/** Settings that only tests and the demo read, elsewhere. */
const NOT_OURS: ReadonlySet<string> = new Set(["BELAY_TEST_REPORT", "BELAY_KILL_SEED"]);
const [HTTP, HOST_AND_PORT] = [/^https?:$/, /^[A-Za-z0-9.-]+(:\d{1,5})?$/];
const [CHANNEL, OPERATOR] = [/^(#\S+|[CG][A-Z0-9]+)$/, /^([UW][A-Z0-9]+|cli:[A-Za-z0-9._-]+)$/];

function isWebUrl(text: string): boolean {
  return HTTP.test(URL.parse(text)?.protocol ?? "");
}

type Env = Readonly<Record<string, string | undefined>>;

class Reader {
  readonly mistakes: string[] = [];
  readonly #env: Env;
  readonly #asked = new Set<string>();

  constructor(env: Env) {
    this.#env = env;
  }

  /** Names that look like settings of Belay and are none: a typing error, or settings of another version. */
  unknown(): readonly string[] {
    const isOurs = (name: string): boolean => this.#asked.has(name) || NOT_OURS.has(name);
    return Object.keys(this.#env).filter((name) => name.startsWith("BELAY_") && !isOurs(name));
  }

  text(name: string): string | undefined {
    this.#asked.add(name);
    const value = this.#env[name]?.trim();
    return value === undefined || value === "" ? undefined : value;
  }

  /** A secret from NAME, or from the file that NAME_FILE names; never from an argument. */
  secret(name: string): string | undefined {
    const path = this.text(`${name}_FILE`);
    if (path === undefined) return this.text(name);
    if (this.text(name) !== undefined) this.mistakes.push(`${name} and ${name}_FILE are both set: use one`);
    try {
      return readFileSync(path, "utf8").trim();
    } catch {
      this.mistakes.push(`${name}_FILE: the file ${path} cannot be read`);
      return undefined;
    }
  }

  /** A secret and its namesakes for single environments: NAME, NAME_STAGING, each also as a file. */
  secretsOf(name: string): ReadonlyMap<string, string> {
    const own = Object.keys(this.#env).filter((one) => one === name || one.startsWith(`${name}_`));
    const names = new Set(own.map((one) => one.replace(/_FILE$/, "")));
    return new Map(
      [...names].flatMap((one): [string, string][] => {
        const value = this.secret(one);
        return value === undefined ? [] : [[one, value]];
      }),
    );
  }

  prefixed(name: string, prefix: string, value: string | undefined): string | undefined {
    if (value !== undefined && !value.startsWith(prefix))
      this.mistakes.push(`${name}: expected a token that begins with ${prefix}`);
    return value;
  }

  number(name: string, otherwise: number, low: number, high: number): number {
    const text = this.text(name);
    if (text === undefined) return otherwise;
    const value = Number(text);
    if (Number.isInteger(value) && value >= low && value <= high) return value;
    this.mistakes.push(
      `${name}: expected a whole number from ${low} to ${high}, found ${JSON.stringify(text)}`,
    );
    return otherwise;
  }

  duration(name: string, otherwise: number, low: number, high: number): number {
    const text = this.text(name);
    const ms = text === undefined ? otherwise : parseDuration(text);
    if (ms !== undefined && ms >= low && ms <= high) return ms;
    this.mistakes.push(
      `${name}: expected a duration such as 5m, from ${formatDuration(low)} to ${formatDuration(high)}, found ${JSON.stringify(text)}`,
    );
    return otherwise;
  }

  url(name: string): string | undefined {
    const url = this.text(name);
    if (url === undefined || isWebUrl(url)) return url;
    this.mistakes.push(`${name}: expected an http(s) URL, found ${JSON.stringify(url)}`);
    return undefined;
  }

  /** A URL that is itself a secret. */
  secretUrl(name: string): string | undefined {
    const url = this.secret(name);
    if (url === undefined || isWebUrl(url)) return url;
    this.mistakes.push(`${name}: expected an http(s) URL`);
    return undefined;
  }

  list(name: string): readonly string[] | undefined {
    return this.text(name)
      ?.split(/[\s,]+/)
      .filter((one) => one !== "");
  }

  /** A list whose every entry must fit; `fault` says what is wrong with one. */
  checked(name: string, fault: (entry: string) => string | undefined): readonly string[] | undefined {
    const entries = this.list(name);
    for (const entry of entries ?? []) {
      const wrong = fault(entry);
      if (wrong !== undefined) this.mistakes.push(`${name}: ${wrong}`);
    }
    return entries;
  }

  matching(name: string, shape: RegExp, what: string): readonly string[] | undefined {
    return this.checked(name, (entry) =>
      shape.test(entry) ? undefined : `expected ${what}, found ${JSON.stringify(entry)}`,
    );
  }

  /** `release-approvers=U1,U2 oncall=U3` */
  groups(name: string): ReadonlyMap<string, readonly string[]> {
    const groups = new Map<string, readonly string[]>();
    for (const part of this.text(name)?.split(/[\s;]+/) ?? []) {
      const match = /^([a-z][a-z0-9-]*)=([A-Za-z0-9:_,.-]+)$/.exec(part);
      if (match === null)
        this.mistakes.push(
          `${name}: expected group=ID,ID such as release-approvers=U012,U034, found ${JSON.stringify(part)}`,
        );
      else
        groups.set(
          match[1] ?? "",
          (match[2] ?? "").split(",").filter((id) => id !== ""),
        );
    }
    return groups;
  }
}

function stateDirIn(from: Reader): string {
  return resolve(from.text("BELAY_STATE") ?? ".belay");
}

/** Whether a secret is set by its name or as a file; what it holds is not looked at. */
export function isSecretSet(name: string): boolean {
  const from = new Reader(process.env);
  return from.text(name) !== undefined || from.text(`${name}_FILE`) !== undefined;
}

/** The state folder, for commands that need no other setting. */
export function stateDirOf(): string {
  return stateDirIn(new Reader(process.env));
}

/** Reads and checks every setting. `overrides` are what the command line said. */
export function readConfig(env: Env, overrides: { readonly dir?: string | undefined } = {}): ConfigResult {
  const from = new Reader(env);
  const zone = from.text("BELAY_ZONE") ?? "UTC";
  if (!isZone(zone))
    from.mistakes.push(
      `BELAY_ZONE: expected a time zone such as Europe/Berlin, found ${JSON.stringify(zone)}`,
    );
  const level = from.text("BELAY_LOG") ?? "info";
  const known = ["info", "warn", "error"] as const;
  const logLevel = known.find((one) => one === level);
  if (logLevel === undefined)
    from.mistakes.push(`BELAY_LOG: expected ${known.join(", ")}, found ${JSON.stringify(level)}`);
  const mode = modeFrom(from);
  const token = from.secret("BELAY_TOKEN");
  if (token !== undefined && token.length < 16)
    from.mistakes.push("BELAY_TOKEN: expected at least 16 characters");
  const alertsToken = from.secret("BELAY_ALERTS_TOKEN");
  if (alertsToken !== undefined && alertsToken.length < 16)
    from.mistakes.push("BELAY_ALERTS_TOKEN: expected at least 16 characters");
  const hooksPort =
    from.text("BELAY_HOOKS_PORT") === undefined ? undefined : from.number("BELAY_HOOKS_PORT", 0, 0, 65_535);
  const config: Omit<Config, "warnings"> = {
    dir: resolve(overrides.dir ?? from.text("BELAY_DIR") ?? "."),
    stateDir: stateDirIn(from),
    httpPort: from.number("BELAY_HTTP_PORT", 8787, 0, 65_535),
    token,
    slack: slackFrom(from),
    slackApiUrl: from.url("SLACK_API_URL"),
    groups: from.groups("BELAY_GROUPS"),
    operators: from.matching("BELAY_OPERATORS", OPERATOR, "member IDs such as U012ABC, or cli:ana"),
    channels: from.matching("BELAY_CHANNELS", CHANNEL, "channels such as #ops or C0123456789"),
    defaultChannel: from.text("BELAY_CHANNEL"),
    pageMention: from.text("BELAY_PAGE_MENTION"),
    prometheusToken: from.secret("BELAY_PROMETHEUS_TOKEN"),
    flagTokens: new Map(PROVIDER_SECRETS.flatMap((name) => [...from.secretsOf(name)])),
    alertsToken,
    hooksPort,
    pager: pagerFrom(from),
    ackWithinMs: from.duration("BELAY_ACK_WITHIN", 5 * MINUTE, 5 * SECOND, 24 * HOUR),
    secondChannelUrl: from.secretUrl("BELAY_SECOND_CHANNEL_URL"),
    heartbeatUrl: from.secretUrl("BELAY_HEARTBEAT_URL"),
    execAllow: from.matching("BELAY_EXEC_ALLOW", /^\//, "absolute paths of programs") ?? [],
    probeAllow: from.checked("BELAY_PROBE_ALLOW", allowFault) ?? [],
    environment: { PATH: from.text("PATH") ?? "/usr/bin:/bin", HOME: from.text("HOME") ?? "/" },
    url: from.url("BELAY_URL"),
    user: from.text("USER") ?? "local",
    mode,
    zone,
    logLevel: logLevel ?? "info",
    refreshMs: from.number("BELAY_CARD_REFRESH_MS", 10_000, 500, 600_000),
  };
  if (from.mistakes.length > 0) return { kind: "bad", mistakes: from.mistakes };
  return { kind: "ok", config: { ...config, warnings: warningsOf(config, from.unknown()) } };
}

function modeFrom(from: Reader): Mode | undefined {
  const text = from.text("BELAY_MODE");
  const mode = (["act", "observe"] as const).find((one) => one === text);
  if (text !== undefined && mode === undefined)
    from.mistakes.push(`BELAY_MODE: expected act or observe, found ${JSON.stringify(text)}`);
  return mode;
}

/** What is no mistake and yet hardly meant. */
function warningsOf(
  { alertsToken, hooksPort, pager, secondChannelUrl }: Omit<Config, "warnings">,
  unknown: readonly string[],
): readonly string[] {
  const isHeard = alertsToken !== undefined || (pager?.webhookSecrets.length ?? 0) > 0;
  return [
    ...unknown.map((name) => `${name} is no setting of this version: docs/settings.md lists them`),
    ...(isHeard && hooksPort === undefined
      ? ["BELAY_HOOKS_PORT is not set: no webhook is taken, neither alerts nor PagerDuty's words"]
      : []),
    ...(pager === undefined && secondChannelUrl === undefined
      ? ["pages ask nobody: neither BELAY_PAGERDUTY_KEY nor BELAY_SECOND_CHANNEL_URL is set"]
      : []),
  ];
}

function pagerFrom(from: Reader): PagerConfig | undefined {
  const routingKey = from.secret("BELAY_PAGERDUTY_KEY");
  const token = from.secret("BELAY_PAGERDUTY_TOKEN");
  const sender = from.text("BELAY_PAGERDUTY_FROM");
  const webhookSecrets = (from.secret("BELAY_PAGERDUTY_WEBHOOK_SECRET") ?? "")
    .split(/[\s,]+/)
    .filter(Boolean);
  const actionTokens = (from.secret("BELAY_PAGERDUTY_ACTION_TOKEN") ?? "").split(/[\s,]+/).filter(Boolean);
  const eventsServer = from.text("BELAY_PAGERDUTY_EVENTS");
  const apiUrl = from.url("BELAY_PAGERDUTY_API");
  if (eventsServer !== undefined && !HOST_AND_PORT.test(eventsServer))
    from.mistakes.push(`BELAY_PAGERDUTY_EVENTS: expected HOST:PORT, found ${JSON.stringify(eventsServer)}`);
  if (sender !== undefined && !/^\S+@\S+$/.test(sender))
    from.mistakes.push(
      `BELAY_PAGERDUTY_FROM: expected the e-mail address of a PagerDuty user, found ${JSON.stringify(sender)}`,
    );
  if (routingKey === undefined) {
    if (token !== undefined || webhookSecrets.length + actionTokens.length > 0)
      from.mistakes.push("BELAY_PAGERDUTY_KEY is missing: it is needed beside the other PagerDuty settings");
    return undefined;
  }
  if (token !== undefined && sender === undefined)
    from.mistakes.push(
      "BELAY_PAGERDUTY_FROM is missing beside BELAY_PAGERDUTY_TOKEN: PagerDuty wants the e-mail address of one of its users",
    );
  const rest = token === undefined || sender === undefined ? undefined : { token, from: sender };
  return { routingKey, rest, webhookSecrets, actionTokens, eventsServer, apiUrl };
}

function slackFrom(from: Reader): SlackConfig | undefined {
  const botToken = from.prefixed("SLACK_BOT_TOKEN", "xoxb-", from.secret("SLACK_BOT_TOKEN"));
  const appToken = from.prefixed("SLACK_APP_TOKEN", "xapp-", from.secret("SLACK_APP_TOKEN"));
  const signingSecret = from.secret("SLACK_SIGNING_SECRET");
  if (botToken === undefined) {
    if (appToken !== undefined || signingSecret !== undefined)
      from.mistakes.push("SLACK_BOT_TOKEN is missing: it is needed beside the other Slack settings");
    return undefined;
  }
  if (appToken !== undefined) return { mode: "socket", botToken, appToken };
  if (signingSecret !== undefined)
    return { mode: "http", botToken, signingSecret, port: from.number("SLACK_HTTP_PORT", 3000, 0, 65_535) };
  from.mistakes.push(
    "SLACK_APP_TOKEN (Socket Mode) or SLACK_SIGNING_SECRET (HTTP) is missing beside SLACK_BOT_TOKEN",
  );
  return undefined;
}

/** The same, from this process's environment. */
export function loadConfig(overrides: { readonly dir?: string | undefined } = {}): ConfigResult {
  return readConfig(process.env, overrides);
}
