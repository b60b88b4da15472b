/** From a frozen plan to its outside: the flag store, the service's view and its metrics, each made once and shared by all plans that name it. */
import { join } from "node:path";
import { createAlertmanager } from "./adapters/alertmanager.ts";
import { createEnvFileStore, readEnvironment } from "./adapters/flags/env-file.ts";
import { createFileStore, type FileStore } from "./adapters/flags/file.ts";
import { createView } from "./adapters/flags/view.ts";
import { createProber, createReach } from "./adapters/probe/prober.ts";
import { createPrometheus } from "./adapters/prometheus.ts";
import { createRestarter, createUnits } from "./adapters/target/restarter.ts";
import { createUnitTarget } from "./adapters/target/unit.ts";
import { DEFAULT_QUERY_TIMEOUT_MS } from "./core/files/compile.ts";
import type { AlertmanagerEntry, PrometheusEntry, RestartEntry } from "./core/files/flags-file.ts";
import type { Plan } from "./core/plan.ts";
import type { WatchPlan } from "./core/watch/plan.ts";
import {
  createTurns,
  type FlagStore,
  type Metrics,
  type Service,
  type ServiceViewPort,
  type Target,
  type Turns,
} from "./engine/ports.ts";
import type { AlertSource, Prober, Restarter } from "./engine/watch-ports.ts";

const VIEW_TIMEOUT_MS = 2_000;
/** A store that is a file costs little to read; people's edits are noticed this soon. */
const READ_EVERY_MS = 1_000;

export interface ConnectionsOptions {
  readonly stateDir: string;
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
  close(): Promise<void>;
}

/** Where the embedded store keeps its flags when the file names no path. */
export function embeddedPath(stateDir: string): string {
  return join(stateDir, "flags.json");
}

export function createConnections(options: ConnectionsOptions): Connections {
  const files = new Map<string, FileStore>();
  const envFiles = new Map<string, FlagStore>();
  /** Environment files by the pidfile of the process that reads them. */
  const variables = new Map<string, string>();
  const restartTurns = new Map<string, Turns>();
  const alertmanagers = new Map<string, AlertSource & { close(): void }>();
  const prometheuses = new Map<string, Metrics & { close(): void }>();

  /** A process whose flags stand in an environment file is restarted with them, whoever restarts it. */
  async function variablesOf(pidfile: string): Promise<Readonly<Record<string, string>>> {
    const path = variables.get(pidfile);
    return path === undefined ? {} : readEnvironment(path);
  }

  const fileStore = (path: string): FileStore => once(files, path, () => createFileStore({ path }));

  function storeOf(plan: Plan, view: ServiceViewPort | undefined): FlagStore {
    const { provider } = plan.outside;
    if (provider.kind === "file") return fileStore(provider.path ?? embeddedPath(options.stateDir));
    if (typeof provider.restart !== "string") variables.set(provider.restart.process.pidfile, provider.path);
    const isUp = view === undefined ? undefined : () => answers(view);
    return once(envFiles, provider.path, () =>
      createEnvFileStore({
        path: provider.path,
        target: inTurn(
          provider.restart,
          createUnitTarget(provider.restart, {
            upWithinMs: plan.provider.restartMs,
            isUp,
            environment: () => readEnvironment(provider.path),
          }),
        ),
        restartWithinMs: plan.provider.restartMs,
        stateDir: options.stateDir,
      }),
    );
  }

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
    ...watchParts(options, metricsOf, { inTurn, variablesOf }),
    embedded: fileStore(embeddedPath(options.stateDir)),
    metricsAt: metricsOf,
    alertsAt: ({ url }) => once(alertmanagers, url, () => createAlertmanager({ url })),
    connect(plan) {
      const metrics = metricsAt(plan.outside.prometheus.url, plan.queryTimeoutMs);
      const source = plan.outside.view;
      const view =
        source === undefined ? undefined : createView(source, { timeoutMs: VIEW_TIMEOUT_MS, metrics });
      return {
        flags: storeOf(plan, view),
        metrics,
        readEveryMs: READ_EVERY_MS,
        ...(view === undefined ? {} : { view }),
      };
    },
    async close() {
      for (const one of [...prometheuses.values(), ...alertmanagers.values()]) one.close();
      await Promise.all([...files.values()].map((store) => store.close()));
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

/** Whether the service answers for its flags, which is what "up" means to those who wait for its restart. */
async function answers(view: ServiceViewPort): Promise<boolean> {
  try {
    await view.read([]);
    return true;
  } catch {
    return false;
  }
}
