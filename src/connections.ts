/** From a frozen plan to its outside: the flag store, the service's view and its metrics, each made once and shared by all plans that name it. */
import { createAlertmanager } from "./adapters/alertmanager.ts";
import type { FileStore } from "./adapters/flags/file.ts";
import { createProber, createReach } from "./adapters/probe/prober.ts";
import { createPrometheus } from "./adapters/prometheus.ts";
import { createRestarter, createUnits } from "./adapters/target/restarter.ts";
import { DEFAULT_QUERY_TIMEOUT_MS } from "./core/files/compile.ts";
import type {
  AlertmanagerEntry,
  PrometheusEntry,
  ProviderEntry,
  RestartEntry,
} from "./core/files/flags-file.ts";
import type { FlagDef, Plan } from "./core/plan.ts";
import type { WatchPlan } from "./core/watch/plan.ts";
import {
  createTurns,
  type Log,
  type Metrics,
  type Service,
  type Target,
  type Turns,
} from "./engine/ports.ts";
import type { AlertSource, Prober, Restarter } from "./engine/watch-ports.ts";
import { createFlagSystems } from "./flag-systems.ts";

/** A store on this machine costs little to read; people's edits are noticed this soon. */
const READ_EVERY_MS = 1_000;
/** A flag system over HTTP is asked less often, still well within the ten seconds in which a change by others is to be noticed. */
const READ_REMOTE_EVERY_MS = 4_000;

export interface ConnectionsOptions {
  readonly stateDir: string;
  readonly log: Log;
  /** Tokens of flag systems by the names of their settings. */
  readonly flagTokens: ReadonlyMap<string, string>;
  readonly prometheusToken: string | undefined;
  /** Hosts whose names may lead probes to loopback or private addresses. */
  readonly probeAllow: readonly string[];
  /** Programs that may be run, by absolute path, and all of the environment that they and restarted processes get. */
  readonly execAllow: readonly string[];
  readonly environment: { readonly PATH: string; readonly HOME: string };
}

export interface Connections {
  connect(plan: Plan): Service;
  metricsAt(prometheus: PrometheusEntry): Metrics;
  alertsAt(alertmanager: AlertmanagerEntry): AlertSource;
  /** What asks the probes of a watch. */
  prober(watch: WatchPlan): Prober;
  /** What restarts the targets of all watches. */
  readonly restarter: Restarter;
  /** The embedded store, which OFREP serves. */
  readonly embedded: FileStore;
  /** Adds missing flags to a store of Belay's own. Rejects with an `OutsideFault`. */
  seed(environment: string, entry: ProviderEntry, flags: readonly FlagDef[]): Promise<void>;
  close(): Promise<void>;
}

export function createConnections(options: ConnectionsOptions): Connections {
  const restartTurns = new Map<string, Turns>();
  const alertmanagers = new Map<string, AlertSource & { close(): void }>();
  const prometheuses = new Map<string, Metrics & { close(): void }>();
  const systems = createFlagSystems({ ...options, inTurn });

  function metricsAt(url: string, timeoutMs: number): Metrics {
    const token = options.prometheusToken;
    return once(prometheuses, `${url} ${timeoutMs}`, () =>
      createPrometheus({ url, timeoutMs, ...(token === undefined ? {} : { token }) }),
    );
  }

  const metricsOf = ({ url, timeout = DEFAULT_QUERY_TIMEOUT_MS }: PrometheusEntry): Metrics =>
    metricsAt(url, timeout);

  /** Whoever restarts a process, flag store or watch: one after the other. A unit needs no such turns, and a rollback does not wait for them: systemd orders its jobs itself. */
  function inTurn(entry: RestartEntry, target: Target): Target {
    if (typeof entry === "string") return target;
    const turns = once(restartTurns, entry.process.pidfile, createTurns);
    return { status: () => target.status(), restart: () => turns(() => target.restart()) };
  }

  return {
    ...watchParts(options, metricsOf, { inTurn, variablesOf: systems.variablesOf }),
    embedded: systems.embedded,
    seed: systems.seed,
    metricsAt: metricsOf,
    alertsAt: ({ url }) => once(alertmanagers, url, () => createAlertmanager({ url })),
    connect(plan) {
      const metrics = metricsAt(plan.outside.prometheus.url, plan.queryTimeoutMs);
      const view = systems.view(plan, metrics);
      const lever = systems.lever(plan);
      const flags = systems.store(plan);
      return {
        flags,
        metrics,
        readEveryMs: flags.can.history ? READ_REMOTE_EVERY_MS : READ_EVERY_MS,
        ...(view === undefined ? {} : { view }),
        ...(lever === undefined ? {} : { lever }),
      };
    },
    async close() {
      for (const one of [...prometheuses.values(), ...alertmanagers.values()]) one.close();
      await systems.close();
    },
  };
}

/** What is known under the key, else what `make` makes, which is known from then on. */
function once<T>(known: Map<string, T>, key: string, make: () => T): T {
  const found = known.get(key) ?? make();
  known.set(key, found);
  return found;
}

interface Shared {
  inTurn(entry: RestartEntry, target: Target): Target;
  variablesOf(pidfile: string): Promise<Readonly<Record<string, string>>>;
}

/** What probes and restarts of watches go through. */
function watchParts(
  { environment, execAllow, probeAllow }: ConnectionsOptions,
  metricsOf: (prometheus: PrometheusEntry) => Metrics,
  { inTurn, variablesOf }: Shared,
): Pick<Connections, "prober" | "restarter"> {
  const reach = createReach({ allow: probeAllow });
  const units = createUnits(async (pidfile) => ({ ...environment, ...(await variablesOf(pidfile)) }));
  return {
    prober: ({ prometheus }) =>
      createProber({
        reach,
        prometheus: { metrics: metricsOf(prometheus), scrapeMs: prometheus.scrape_interval },
      }),
    restarter: createRestarter({
      send: reach.send,
      programs: execAllow,
      environment,
      unit: (entry, upWithinMs) => inTurn(entry, units(entry, upWithinMs)),
    }),
  };
}
