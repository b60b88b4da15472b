/** From a frozen plan to its flag system, its second lever and the service's view, each made once and shared by all plans that name it. */
import { readEnvironment } from "./adapters/flags/env-file.ts";
import type { FileStore } from "./adapters/flags/file.ts";
import { type OpenContext, type Scope, shared } from "./adapters/flags/provider.ts";
import { embeddedStore } from "./adapters/flags/providers/file.ts";
import { createView } from "./adapters/flags/view.ts";
import { createOfrepView } from "./adapters/flags/view-ofrep.ts";
import { createUnitTarget } from "./adapters/target/unit.ts";
import type { ProviderEntry, RestartEntry } from "./core/files/flags-file.ts";
import type { FlagDef, Plan } from "./core/plan.ts";
import {
  type Flags,
  type Log,
  type Metrics,
  messageOfFault,
  type ServiceViewPort,
  type Target,
} from "./engine/ports.ts";
import { providerOf, settingNames } from "./providers.ts";

const VIEW_TIMEOUT_MS = 2_000;
/** What an SDK's view is asked as, where the file names nobody. */
const TARGETING_KEY = "belay";

const sdkViews = shared<ServiceViewPort | undefined>();

export interface FlagSystemsOptions {
  readonly stateDir: string;
  readonly log: Log;
  /** Tokens by the names of their settings. */
  readonly flagTokens: ReadonlyMap<string, string>;
  /** Whoever restarts a process, flag store or watch: one after the other. */
  readonly inTurn: (entry: RestartEntry, target: Target) => Target;
}

export interface FlagSystems {
  store(plan: Plan): Flags;
  lever(plan: Plan): Flags | undefined;
  view(plan: Plan, metrics: Metrics): ServiceViewPort | undefined;
  /** Adds missing flags to a store of Belay's own. Rejects with an `OutsideFault`. */
  seed(environment: string, entry: ProviderEntry, flags: readonly FlagDef[]): Promise<void>;
  /** The environment of a process whose flags stand in an environment file: it is restarted with them, whoever restarts it. */
  variablesOf(pidfile: string): Promise<Readonly<Record<string, string>>>;
  /** The embedded store, which OFREP serves. */
  readonly embedded: FileStore;
  close(): Promise<void>;
}

export function createFlagSystems(options: FlagSystemsOptions): FlagSystems {
  const { flagTokens, inTurn, log, stateDir } = options;
  const scope: Scope = { closers: [] };
  /** Environment files by the pidfile of the process that reads them. */
  const variables = new Map<string, string>();
  const levers = new WeakMap<Flags, Flags>();

  function contextOf(environment: string, view?: ServiceViewPort): OpenContext {
    return {
      environment,
      stateDir,
      log,
      scope,
      secret(name) {
        const [own, common] = settingNames(name, environment);
        return flagTokens.get(own) ?? flagTokens.get(common);
      },
      target(restart, path, { withinMs, answers }) {
        if (typeof restart !== "string") variables.set(restart.process.pidfile, path);
        const isUp = view === undefined || !answers ? undefined : () => doesAnswer(view);
        const environment = () => readEnvironment(path);
        return inTurn(restart, createUnitTarget(restart, { upWithinMs: withinMs, isUp, environment }));
      },
    };
  }

  function viewOf(plan: Plan, metrics: Metrics): ServiceViewPort | undefined {
    const source = plan.outside.view;
    if (source === undefined) return undefined;
    if ("ofrep" in source) {
      const targetingKey = source.targeting_key ?? TARGETING_KEY;
      return createOfrepView({ url: source.ofrep, targetingKey, timeoutMs: VIEW_TIMEOUT_MS });
    }
    if (!("sdk" in source)) return createView(source, { timeoutMs: VIEW_TIMEOUT_MS, metrics });
    const { provider } = plan.outside;
    const targetingKey = source.sdk.targeting_key ?? TARGETING_KEY;
    const asked = { targetingKey, timeoutMs: VIEW_TIMEOUT_MS };
    const key = `view ${plan.environment} ${targetingKey} ${JSON.stringify(provider)}`;
    return sdkViews(scope, key, () =>
      providerOf(provider).view(provider, asked, contextOf(plan.environment)),
    );
  }

  return {
    store(plan) {
      const { provider } = plan.outside;
      const view = viewOf(plan, NO_METRICS);
      return providerOf(provider).open(provider, contextOf(plan.environment, view));
    },
    lever(plan) {
      if (plan.outside.lever === undefined) return undefined;
      const { after: _patience, ...entry } = plan.outside.lever;
      const flags = providerOf(entry).open(entry, contextOf(plan.environment, viewOf(plan, NO_METRICS)));
      // The same one for all plans that name it: what its token may do is told once.
      const lever = levers.get(flags) ?? asLever(flags);
      levers.set(flags, lever);
      return lever;
    },
    view: viewOf,
    seed: (environment, entry, flags) => providerOf(entry).seed(entry, flags, contextOf(environment)),
    async variablesOf(pidfile) {
      const path = variables.get(pidfile);
      return path === undefined ? {} : readEnvironment(path);
    },
    embedded: embeddedStore({ scope, stateDir }),
    async close() {
      await Promise.all(scope.closers.map((close) => close()));
    },
  };
}

/** A lever that was never pulled holds nothing, which is no problem where pulling it creates what is missing. */
function asLever(flags: Flags): Flags {
  return {
    ...flags,
    async rehearse(flag) {
      const began = performance.now();
      try {
        const found = await flags.read([flag]);
        if (found[flag.name] !== undefined || !flags.can.creates) return await flags.rehearse(flag);
      } catch (error) {
        const problems = [messageOfFault(error)];
        return { readMs: performance.now() - began, writeMs: undefined, problems, warnings: [] };
      }
      return { readMs: performance.now() - began, writeMs: undefined, problems: [], warnings: [] };
    },
  };
}

/** For asking only whether the service answers. */
const NO_METRICS: Metrics = {
  query: async () => ({ kind: "down", reason: "refused", detail: "not asked" }),
  queryRange: async () => ({ kind: "down", reason: "refused", detail: "not asked" }),
};

/** Whether the service answers for its flags, which is what "up" means to those who wait for its restart. */
async function doesAnswer(view: ServiceViewPort): Promise<boolean> {
  try {
    await view.read([]);
    return true;
  } catch {
    return false;
  }
}
