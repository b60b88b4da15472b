/** A real Unleash as the contract suite of `Flags` wants it: its flags made anew for each test, a person beside Belay, a proxy between, and an SDK that reads. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Unleash as Sdk } from "unleash-client";
import { z } from "zod";
import {
  createUnleashFlags,
  type UnleashFlags,
  type UnleashOptions,
} from "../../src/adapters/flags/unleash/flags.ts";
import { startFaultProxy } from "./fault-proxy.ts";
import { BATCHING, type FlagsUnderTest, flagDef, LIMIT, PARALLEL } from "./flags-contract-under-test.ts";
import { type RunningUnleash, startUnleash, type UnleashPerson } from "./unleash.ts";

const PROJECT = "default";
const ENVIRONMENT = "production";
const CALL_MS = 5_000;
const SDK_REFRESH_MS = 200;
/** A flag whose values are numbers in Unleash, and words in the catalogue. */
const SPEED = flagDef("speed", "SPEED", { on: "fast", off: "slow" });

const strategyShape = z.object({
  id: z.string(),
  parameters: z.object({ rollout: z.string() }),
  variants: z.array(z.object({ weight: z.number(), payload: z.object({ value: z.string() }) })),
});
const environmentShape = z.object({ enabled: z.boolean(), strategies: z.array(strategyShape) });

/** One strategy of Unleash as tests write it. */
export interface WrittenStrategy {
  readonly name?: string;
  readonly title?: string;
  readonly rollout?: string;
  readonly stickiness?: string;
  readonly payload?: string;
  readonly type?: string;
  readonly constraints?: readonly unknown[];
  readonly segments?: readonly number[];
  readonly disabled?: boolean;
}

/** A server with Belay's own user (an editor, as a token for it should be) and a person. */
export interface UnleashGround {
  readonly server: RunningUnleash;
  readonly belay: UnleashPerson;
  readonly ana: UnleashPerson;
  /** A flag that is off everywhere; one that was there is deleted before. */
  make(key: string): Promise<void>;
  remove(key: string): Promise<void>;
  archive(key: string): Promise<void>;
  /** Adds a strategy in production, as Ana, and returns its id. */
  strategy(key: string, strategy: WrittenStrategy): Promise<string>;
  turn(key: string, to: "on" | "off", environment?: string): Promise<void>;
  /** The adapter, by Belay's token. */
  open(options?: Partial<UnleashOptions>): UnleashFlags;
  stop(): Promise<void>;
}

const FEATURES = `/projects/${PROJECT}/features`;

export async function startUnleashGround(): Promise<UnleashGround> {
  const server = await startUnleash();
  try {
    return groundOn(server, await server.person("belay", "editor"), await server.person("ana", "editor"));
  } catch (error) {
    await server.stop();
    throw error;
  }
}

function groundOn(server: RunningUnleash, belay: UnleashPerson, ana: UnleashPerson): UnleashGround {
  const place = (key: string): string => `${FEATURES}/${key}/environments/${ENVIRONMENT}`;
  const opened: UnleashFlags[] = [];
  const archive = async (key: string): Promise<void> =>
    void (await server.admin("DELETE", `${FEATURES}/${key}`, undefined, ana.token));
  const remove = async (key: string): Promise<void> => {
    // Archived already, or never there.
    await archive(key).catch(() => undefined);
    await server.admin("DELETE", `/archive/${key}`).catch(() => undefined);
  };
  return {
    server,
    belay,
    ana,
    archive,
    remove,
    async make(key) {
      await remove(key);
      await server.admin("POST", FEATURES, { name: key, type: "release" });
    },
    async strategy(key, strategy) {
      const made = await server.admin("POST", `${place(key)}/strategies`, bodyOf(key, strategy), ana.token);
      return z.object({ id: z.string() }).parse(made).id;
    },
    async turn(key, to, environment = ENVIRONMENT) {
      await server.admin(
        "POST",
        `${FEATURES}/${key}/environments/${environment}/${to}`,
        undefined,
        ana.token,
      );
    },
    open(options = {}) {
      const flags = createUnleashFlags({
        url: server.url,
        project: PROJECT,
        environment: ENVIRONMENT,
        setting: "BELAY_UNLEASH_TOKEN",
        token: () => belay.token,
        timeoutMs: CALL_MS,
        ...options,
      });
      opened.push(flags);
      return flags;
    },
    async stop() {
      for (const flags of opened) flags.close();
      await server.stop();
    },
  };
}

function bodyOf(key: string, strategy: WrittenStrategy): unknown {
  const {
    name = "flexibleRollout",
    rollout = "100",
    stickiness = "default",
    payload,
    type = "string",
  } = strategy;
  const variant = { name: "value", weight: 1_000, weightType: "variable", stickiness: "default" };
  return {
    name,
    title: strategy.title ?? null,
    disabled: strategy.disabled ?? false,
    constraints: strategy.constraints ?? [],
    segments: strategy.segments ?? [],
    parameters: name === "flexibleRollout" ? { rollout, stickiness, groupId: key } : {},
    variants: payload === undefined ? [] : [{ ...variant, payload: { type, value: payload } }],
  };
}

/** A `make` for the contract suite on this ground. */
export async function unleashUnderTest(ground: UnleashGround): Promise<FlagsUnderTest> {
  const { server, belay } = ground;
  await Promise.all([PARALLEL, BATCHING, LIMIT, SPEED].map(({ key }) => ground.make(key)));
  await ground.strategy(LIMIT.key, { payload: LIMIT.off });
  await ground.strategy(SPEED.key, { payload: "7", type: "number" });
  await Promise.all([LIMIT, SPEED].map(({ key }) => ground.turn(key, "on")));
  const proxy = await startFaultProxy(server.url);
  const sdk = createReader(server);
  const open = (): UnleashFlags => ground.open({ url: proxy.url });
  const allow = async (): Promise<void> => {
    await server.protect(false);
    await server.setRole(belay, "editor");
  };
  return {
    open,
    proxy,
    secrets: [belay.token, server.adminToken],
    literal: (key) => literalOf(server, key),
    person: (key, literal) => personSets(ground, key, literal),
    archive: ground.archive,
    recreate: ground.make,
    elsewhere: () => ground.open({ url: proxy.url, environment: "nowhere" }),
    protect: () => server.protect(true),
    revoke: () => server.setRole(belay, "viewer"),
    allow,
    mistyped: SPEED,
    seen: async (key) => (await sdk.open()).literal(key),
    async close() {
      await allow();
      await sdk.close();
      await proxy.close();
    },
  };
}

/** What the server itself says that it serves to everybody: by the Admin API, around the adapter. */
async function literalOf(server: RunningUnleash, key: string): Promise<string | undefined> {
  const path = `${FEATURES}/${key}/environments/${ENVIRONMENT}`;
  const answer = await server.admin("GET", path).catch(() => undefined);
  if (answer === undefined) return undefined;
  const { enabled, strategies } = environmentShape.parse(answer);
  if (!enabled) return "false";
  const [first] = strategies;
  const value = first?.variants[0]?.payload.value;
  const rollout = first?.parameters.rollout ?? "100";
  return rollout === "100" ? (value ?? "true") : `${rollout} %`;
}

/** In place of what is there: off, on, a share or a value. */
async function personSets(ground: UnleashGround, key: string, literal: string): Promise<void> {
  if (literal === "false") return ground.turn(key, "off");
  const path = `${FEATURES}/${key}/environments/${ENVIRONMENT}/strategies`;
  const there = z.array(z.object({ id: z.string() })).parse(await ground.server.admin("GET", path));
  const share = /^(\d+) %$/.exec(literal)?.[1];
  const payload = literal === "true" || share !== undefined ? {} : { payload: literal };
  await ground.strategy(key, { rollout: share ?? "100", ...payload });
  for (const { id } of there)
    await ground.server.admin("DELETE", `${path}/${id}`, undefined, ground.ana.token);
  await ground.turn(key, "on");
}

export interface SdkReader {
  /** The literal that a service gets from the SDK for one user. */
  literal(key: string, userId?: string): string;
  /** Whether it says so of the flag. */
  isOn(key: string, userId?: string): boolean;
}

/** The real SDK of Unleash in production, made when it is first asked for. */
export function createReader(server: RunningUnleash): {
  open(): Promise<SdkReader>;
  close(): Promise<void>;
} {
  let opening: Promise<{ readonly sdk: Sdk; readonly folder: string }> | undefined;
  return {
    async open() {
      opening ??= startSdk(server);
      const { sdk } = await opening;
      const isOn = (key: string, userId = "somebody"): boolean => sdk.isEnabled(key, { userId });
      return {
        isOn,
        literal(key, userId = "somebody") {
          const { payload } = sdk.getVariant(key, { userId });
          return payload?.value ?? String(isOn(key, userId));
        },
      };
    },
    async close() {
      if (opening === undefined) return;
      const { sdk, folder } = await opening;
      sdk.destroy();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function startSdk(server: RunningUnleash): Promise<{ readonly sdk: Sdk; readonly folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), "belay-unleash-sdk-"));
  const sdk = new Sdk({
    url: `${server.url}/api/`,
    appName: "belay-tests",
    customHeaders: { Authorization: server.backendToken },
    refreshInterval: SDK_REFRESH_MS,
    disableMetrics: true,
    backupPath: folder,
  });
  sdk.on("error", () => {});
  sdk.on("warn", () => {});
  const { promise, resolve } = Promise.withResolvers<void>();
  sdk.once("synchronized", () => resolve());
  await promise;
  return { sdk, folder };
}
