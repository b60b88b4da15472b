/** What Belay has loaded of its folder: plans, watches and catalogues, with the last good version of files that have mistakes. */
import type { Loaded } from "./adapters/files/folder.ts";
import { formatProblem, ofWholeFile } from "./adapters/files/problem.ts";
import type { Connections } from "./connections.ts";
import type { Pace } from "./core/files/stages.ts";
import type { Plan } from "./core/plan.ts";
import type { WatchPlan } from "./core/watch/plan.ts";
import { type Log, messageOfFault } from "./engine/ports.ts";
import { loadFolder } from "./house.ts";

export interface LoadingOptions {
  readonly dir: string;
  readonly overlay?: string | undefined;
  readonly pace?: Pace | undefined;
  readonly log: Log;
  readonly connections: Pick<Connections, "seed">;
  /** Whether Belay flips nothing now: then it adds no flag to a file of others either. */
  readonly observes: () => boolean;
}

export class Loading {
  readonly #options: LoadingOptions;
  #watches: ReadonlyMap<string, WatchPlan> = new Map();
  #catalogues: Loaded["catalogues"] = new Map();
  #plans: ReadonlyMap<string, Plan> = new Map();
  #mistakes: readonly string[] = [];
  #isSound = false;

  constructor(options: LoadingOptions) {
    this.#options = options;
  }

  readonly plans = (): ReadonlyMap<string, Plan> => this.#plans;

  get watches(): ReadonlyMap<string, WatchPlan> {
    return this.#watches;
  }

  get catalogues(): Loaded["catalogues"] {
    return this.#catalogues;
  }

  /** What is wrong with files that are not loaded as they stand, each with its place. */
  get mistakes(): readonly string[] {
    return this.#mistakes;
  }

  /** Whether the files were without a mistake when they were loaded last. */
  get isSound(): boolean {
    return this.#isSound;
  }

  get isIdle(): boolean {
    return this.#plans.size + this.#watches.size === 0;
  }

  nothingLoaded(): string {
    const { dir } = this.#options;
    return `no rollout and no watch could be loaded from ${dir}; \`belay check ${dir}\` says why`;
  }

  /** Loads the folder; plans with mistakes keep their last good version. What is wrong is logged and told by `list`; nothing here rejects. */
  async load(): Promise<void> {
    const { log } = this.#options;
    const loaded = await this.#readFolder();
    for (const problem of loaded.problems)
      log[problem.level === "error" ? "error" : "warn"](formatProblem(problem));
    const mistakes = loaded.problems.filter((problem) => problem.level === "error").map(formatProblem);
    const isSound = mistakes.length === 0;
    this.#isSound = isSound;
    this.#plans = isSound ? loaded.plans : new Map([...this.#plans, ...loaded.plans]);
    this.#watches = isSound ? loaded.watches : new Map([...this.#watches, ...loaded.watches]);
    this.#catalogues = isSound ? loaded.catalogues : new Map([...this.#catalogues, ...loaded.catalogues]);
    const unseeded = await this.#seed(loaded.catalogues);
    this.#mistakes = [...(this.isIdle ? [this.nothingLoaded()] : []), ...mistakes, ...unseeded];
  }

  async #readFolder(): Promise<Loaded> {
    const { dir, overlay, pace } = this.#options;
    try {
      return await loadFolder(dir, {
        ...(overlay === undefined ? {} : { overlay }),
        ...(pace === undefined ? {} : { pace }),
      });
    } catch (error) {
      const problem = ofWholeFile(dir, `the folder cannot be read: ${messageOfFault(error)}`);
      return { plans: new Map(), watches: new Map(), catalogues: new Map(), problems: [problem] };
    }
  }

  /** Adds missing flags to the stores that are files. One that is broken just now must not keep Belay from going back over it; a reload tries again. */
  async #seed(catalogues: Loaded["catalogues"]): Promise<readonly string[]> {
    const { connections, log, observes } = this.#options;
    const mistakes: string[] = [];
    for (const [name, { file, flags }] of catalogues) {
      if (observes() && file.provider["path"] !== undefined) continue;
      try {
        await connections.seed(file.environment, file.provider, Object.values(flags));
      } catch (error) {
        const mistake = `${name}: its flags could not be added to their store: ${messageOfFault(error)}`;
        log.error(mistake);
        mistakes.push(mistake);
      }
    }
    return mistakes;
  }
}
