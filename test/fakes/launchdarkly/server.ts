/** A strict LaunchDarkly on loopback, for tests and demos: its REST API as far as Belay uses it, and what its server-side SDKs read. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { createFaults, type Fault } from "./faults.ts";
import { Flags, type NewFlag } from "./flags.ts";
import type {
  AuditEntry,
  Config,
  Flag,
  Heard,
  Person,
  Rights,
  Statement,
  Token,
  Violation,
} from "./model.ts";
import { patchConfig } from "./patch.ts";
import { RestApi } from "./rest-api.ts";
import { SdkApi } from "./sdk-api.ts";
import { type Inside, serve } from "./serve.ts";

export const ANA: Person = person("ana", "Ana", "Lima");
export const BEN: Person = person("ben", "Ben", "Okoro");

function person(id: string, firstName: string, lastName: string): Person {
  return { id: `member-${id}`, firstName, lastName, email: `${id}@example.com` };
}

export const PROJECT = "shop";
export const PRODUCTION = "production";

/** The rights that Belay needs and no others. */
export const CAREFUL: Rights = {
  inlineRole: [
    {
      effect: "allow",
      actions: ["updateOn", "updateFallthrough", "updateOffVariation"],
      resources: [`proj/${PROJECT}:env/${PRODUCTION}:flag/*`],
    },
  ],
};

export interface FakeLaunchDarklyOptions {
  /** Port on 127.0.0.1; 0, the default, takes a free one. */
  readonly port?: number;
  /** `production` and `staging` unless said otherwise. */
  readonly environments?: readonly string[];
  /** Of the first token; the careful ones unless said otherwise. */
  readonly rights?: Rights;
  readonly customRoles?: Readonly<Record<string, readonly Statement[]>>;
  /** Fixed secrets, for a demo. */
  readonly token?: string;
  readonly sdkKey?: string;
  /** REST requests in each window; no limit unless given. */
  readonly limit?: { readonly requests: number; readonly windowMs: number };
}

export interface FakeLaunchDarkly {
  /** `http://127.0.0.1:PORT`: the base of the REST API, and of what SDKs read. */
  readonly url: string;
  /** The value of the first token, made for Belay. */
  readonly token: string;
  readonly tokenId: string;
  /** Of an environment. */
  sdkKey(environment?: string): string;
  /** Other rights for the first token. */
  setRights(rights: Rights): void;
  /** Another token; its value. */
  addToken(name: string, rights: Rights, owner?: Person): string;

  createFlag(key: string, made?: NewFlag, by?: Person): Flag;
  flag(key: string): Flag | undefined;
  /** In an environment, production unless said otherwise. @throws Error when there is none. */
  config(key: string, environment?: string): Config;
  /** Instructions of a person, who needs no approval. @throws Error when they are refused. */
  act(by: Person, key: string, instructions: readonly object[], comment?: string, environment?: string): Flag;
  /** A change of a person that instructions of this fake cannot say: rules, targets, experiments. */
  edit(by: Person, key: string, change: (config: Config) => Config, environment?: string): Flag;
  archive(key: string, archived?: boolean, by?: Person): void;
  remove(key: string, by?: Person): void;
  /** Newest first. */
  audit(): readonly AuditEntry[];

  /** From now on changes of the environment need approval; or no longer. */
  protect(environment: string, required?: boolean): void;
  /** A change of this flag is planned, and any other would make it fail. */
  schedule(key: string, scheduled?: boolean): void;
  /** The token is not known any more; or again. */
  revoke(token: string, revoked?: boolean): void;
  /** Keeps changes back from SDKs until `releaseStreams`. */
  holdStreams(): void;
  releaseStreams(): void;
  cutStreams(): void;
  readonly streams: number;

  inject(fault: Fault): void;
  clearFaults(): void;
  /** The requests heard, or those to paths that begin so, oldest first. */
  requests(path?: string): readonly Heard[];
  violations(): readonly Violation[];
  /** Takes the violations of a rule out of the record, for tests that break it on purpose. */
  forgive(rule: string): readonly Violation[];
  close(): Promise<void>;
}

/** Starts one, without flags. */
export async function startFakeLaunchDarkly(
  options: FakeLaunchDarklyOptions = {},
): Promise<FakeLaunchDarkly> {
  const { environments = [PRODUCTION, "staging"], rights = CAREFUL, customRoles = {} } = options;
  const sdkKeys = Object.fromEntries(
    environments.map((name, index) => [name, (index === 0 ? options.sdkKey : undefined) ?? `sdk-${hex(16)}`]),
  );
  let violations: Violation[] = [];
  const violate = (rule: string, detail: string): void => void violations.push({ rule, detail });
  const first: Token = {
    id: hex(12),
    value: options.token ?? `api-${hex(16)}`,
    name: "belay",
    service: true,
    owner: BEN,
    rights,
  };
  const tokens: Token[] = [first];
  const [approvals, scheduled, revoked] = [new Set<string>(), new Set<string>(), new Set<string>()];
  const flags = new Flags(PROJECT, environments, (change) => sdk.tell(change));
  const sdk: SdkApi = new SdkApi({ flags, sdkKeys, violate });
  const rest = new RestApi({ flags, tokens, customRoles, sdkKeys, approvals, scheduled, revoked, violate });
  const faults = createFaults();
  const inside: Inside = {
    rest,
    sdk,
    heard: [],
    violate,
    takeFault: faults.take,
    limit: createLimit(options.limit),
    secrets: () => [...tokens.map(({ value }) => value), ...Object.values(sdkKeys)],
  };
  const { url, close } = await listening(inside, options.port ?? 0);

  return {
    url,
    token: first.value,
    tokenId: first.id,
    sdkKey: (environment = PRODUCTION) => sdkKeys[environment] ?? "",
    setRights(given) {
      tokens[0] = { ...first, rights: given };
    },
    addToken(name, given, owner = ANA) {
      const token: Token = {
        id: hex(12),
        value: `api-${hex(16)}`,
        name,
        service: false,
        owner,
        rights: given,
      };
      tokens.push(token);
      return token.value;
    },
    ...people(flags),
    flag: (key) => flags.get(key),
    audit: () => flags.audit(),
    protect: (environment, required = true) => put(approvals, environment, required),
    schedule: (key, is = true) => put(scheduled, key, is),
    revoke(value, is = true) {
      const token = tokens.find((one) => one.value === value);
      if (token === undefined) throw new Error("there is no such token");
      put(revoked, token.id, is);
    },
    holdStreams: () => sdk.hold(),
    releaseStreams: () => sdk.release(),
    cutStreams: () => sdk.cut(),
    get streams() {
      return sdk.streams;
    },
    inject: faults.inject,
    clearFaults: faults.clear,
    requests: (path = "/") => inside.heard.filter((each) => each.path.startsWith(path)),
    violations: () => [...violations],
    forgive(rule) {
      const forgiven = violations.filter((violation) => violation.rule === rule);
      violations = violations.filter((violation) => violation.rule !== rule);
      return forgiven;
    },
    close,
  };
}

/** What people do in the web interface. */
function people(
  flags: Flags,
): Pick<FakeLaunchDarkly, "act" | "archive" | "config" | "createFlag" | "edit" | "remove"> {
  const config = (key: string, environment = PRODUCTION): Config => {
    const found = flags.need(key).environments[environment];
    if (found === undefined) throw new Error(`there is no environment ${environment}`);
    return found;
  };
  return {
    config,
    createFlag: (key, made = {}, by = ANA) => flags.create(key, made, { member: by }),
    act(by, key, instructions, comment, environment = PRODUCTION) {
      const patched = patchConfig(flags.need(key), config(key, environment), instructions);
      if ("message" in patched) throw new Error(patched.message);
      const { actions } = patched;
      const entry = { actions, comment, author: { member: by } };
      return flags.configure(key, environment, () => patched.config, entry);
    },
    edit: (by, key, change, environment = PRODUCTION) =>
      flags.configure(key, environment, change, { actions: ["updateRules"], author: { member: by } }),
    archive: (key, archived = true, by = ANA) => flags.archive(key, archived, { member: by }),
    remove: (key, by = ANA) => flags.remove(key, { member: by }),
  };
}

function put(set: Set<string>, name: string, is: boolean): void {
  if (is) set.add(name);
  else set.delete(name);
}

function hex(bytes: number): string {
  return randomBytes(bytes).toString("hex");
}

/** Counts requests in windows, as the headers of every answer tell. */
function createLimit(limit: FakeLaunchDarklyOptions["limit"]): Inside["limit"] {
  const { requests = Number.POSITIVE_INFINITY, windowMs = 10_000 } = limit ?? {};
  let window = { until: 0, count: 0 };
  return () => {
    const now = Date.now();
    if (now >= window.until) window = { until: now + windowMs, count: 0 };
    window.count += 1;
    const remaining = Math.max(0, requests - window.count);
    const headers = {
      "x-ratelimit-reset": String(window.until),
      ...(Number.isFinite(remaining) ? { "x-ratelimit-global-remaining": String(remaining) } : {}),
    };
    return { passed: window.count > requests, headers };
  };
}

async function listening(
  inside: Inside,
  port: number,
): Promise<{ readonly url: string; readonly close: () => Promise<void> }> {
  const server = createServer((request, response) => {
    response.on("error", () => undefined);
    serve(inside, request, response).catch(() => request.socket.destroy());
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const bound = typeof address === "object" && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${bound}`,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
