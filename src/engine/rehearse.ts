/** Rehearsing: tries each flag's way back without any effect, judges what was found, and remembers it for starts, bounds and the next hour. */
import { numbersOf } from "../core/measurement.ts";
import type { Plan } from "../core/plan.ts";
import {
  type Findings,
  isFresh,
  judgeRehearsal,
  type Measured,
  measuredIn,
  parseRehearsal,
  type Rehearsal,
  rehearsedFlags,
  type Tried,
} from "../core/rehearsal.ts";
import type { Reading } from "../core/rollout/desired.ts";
import { viewAgrees } from "../core/rollout/world.ts";
import { SECOND } from "../core/time.ts";
import { sleep } from "./concurrency.ts";
import {
  type Clock,
  type Flags,
  type Ids,
  type Journal,
  type Log,
  messageOfFault,
  OutsideFault,
  type RehearsalShelf,
  type Service,
} from "./ports.ts";

/** All of one rehearsal, however many flags there are: somebody waits for it. */
const DEADLINE_MS = 10_000;
/** So many flags are tried at once. */
const AT_ONCE = 8;
/** A service that lags behind its flag system is asked again for this long. */
const LAG_MS = 3_000;
const LOOK_AGAIN_MS = 200;
/** Any Prometheus can answer it, whatever it scrapes. */
const PROMETHEUS_QUERY = "vector(1)";

type Readings = Readonly<Record<string, Omit<Reading, "at"> | undefined>>;

export interface RehearseDeps {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  readonly journal: Pick<Journal, "meta" | "setMeta">;
  readonly connect: (plan: Plan) => Service;
  readonly rehearsalShelf?: RehearsalShelf;
}

export interface RehearseOptions {
  /** Belay flips nothing: nothing is written, not even what is there already. */
  readonly observes?: boolean;
}

export class Rehearsals {
  readonly #deps: RehearseDeps;
  readonly #running = new Map<string, { readonly rollout: string; readonly ended: Promise<Rehearsal> }>();
  readonly #newest = new Map<string, Rehearsal>();

  constructor(deps: RehearseDeps) {
    this.#deps = deps;
  }

  /** What a start's plan is known by. */
  hashOf(plan: Plan): string {
    return this.#deps.ids.hash(JSON.stringify(plan));
  }

  /** Rehearses now; who asks while it is under way gets the same one. Never rejects. */
  rehearse(plan: Plan, { observes = false }: RehearseOptions = {}): Promise<Rehearsal> {
    const key = this.#keyOf(plan, observes);
    const running = this.#running.get(key);
    if (running !== undefined) return running.ended;
    const ended = this.#rehearse(plan, observes).finally(() => this.#running.delete(key));
    this.#running.set(key, { rollout: plan.rollout, ended });
    return ended;
  }

  /** Whether flags of this rollout may be written just now with what they hold: nothing may go forward beside that. */
  isTrying(rollout: string): boolean {
    return [...this.#running.values()].some((one) => one.rollout === rollout);
  }

  #keyOf(plan: Plan, observes: boolean): string {
    return `${this.hashOf(plan)} ${observes}`;
  }

  /** The newest rehearsal if a start may rest on it, given the flags as they were just read; one that is under way is waited for. */
  async fresh(
    plan: Plan,
    readings: Readonly<Record<string, Pick<Reading, "id"> | undefined>>,
    { observes = false }: RehearseOptions = {},
  ): Promise<Rehearsal | undefined> {
    await this.#running.get(this.#keyOf(plan, observes))?.ended;
    const newest = await this.newest(plan.rollout);
    if (newest === undefined) return undefined;
    if (!isFresh(newest, this.hashOf(plan), readings, this.#deps.clock.now(), observes)) return undefined;
    return (await this.#isHeldOff(plan)) ? undefined : newest;
  }

  /** Whether the second lever holds a flag of the plan off: it may have been pulled since the last rehearsal. */
  async #isHeldOff(plan: Plan): Promise<boolean> {
    const { clock, connect } = this.#deps;
    const { lever } = connect(plan);
    if (lever === undefined) return false;
    const timer = new Timer(clock, clock.now().steady + LAG_MS);
    return (await heldBy(plan, lever, timer)).length > 0;
  }

  /** The newest rehearsal of a rollout, good or not; none when the journal does not tell. Never rejects. */
  async newest(rollout: string): Promise<Rehearsal | undefined> {
    const known = this.#newest.get(rollout);
    if (known !== undefined) return known;
    try {
      const text = await this.#deps.journal.meta(metaKey(rollout));
      const found = text === undefined ? undefined : parseRehearsal(JSON.parse(text));
      if (found !== undefined && !this.#newest.has(rollout)) this.#newest.set(rollout, found);
    } catch {
      // Without it the next start rehearses anew.
    }
    return this.#newest.get(rollout);
  }

  /** How fast the flips of this plan were when they were measured last. */
  async measured(plan: Plan): Promise<Measured | undefined> {
    return measuredIn(await this.newest(plan.rollout), this.hashOf(plan));
  }

  async #rehearse(plan: Plan, observes: boolean): Promise<Rehearsal> {
    const { clock } = this.#deps;
    const before = await this.newest(plan.rollout);
    const found = await this.#find(plan, observes);
    const rehearsal = judgeRehearsal(plan, this.hashOf(plan), found, before, clock.now());
    this.#newest.set(plan.rollout, rehearsal);
    void this.#remember(rehearsal);
    return rehearsal;
  }

  async #find(plan: Plan, observed: boolean): Promise<Findings> {
    const { clock } = this.#deps;
    const from = clock.now().steady;
    const timer = new Timer(clock, from + DEADLINE_MS);
    try {
      const service = this.#deps.connect(plan);
      const { flags, lever } = service;
      const [[readings, view], tried, pulled, leverHolds, metricsFault] = await Promise.all([
        this.#look(plan, service, timer),
        observed ? {} : this.#tryAll(plan, flags, timer),
        observed || lever === undefined ? undefined : this.#tryAll(plan, lever, timer),
        lever === undefined ? [] : heldBy(plan, lever, timer),
        this.#askMetrics(service, timer),
      ]);
      const tookMs = clock.now().steady - from;
      return { readings, view, tried, lever: pulled, leverHolds, metricsFault, observed, tookMs };
    } catch (error) {
      const readings = messageOfFault(error);
      const tookMs = clock.now().steady - from;
      return {
        readings,
        view: undefined,
        tried: {},
        lever: undefined,
        leverHolds: [],
        metricsFault: undefined,
        observed,
        tookMs,
      };
    }
  }

  /** The store and the service's word on the same flags; read again while they differ only because the service is a little behind. */
  async #look(
    plan: Plan,
    service: Service,
    timer: Timer,
  ): Promise<readonly [Findings["readings"], Findings["view"]]> {
    const { clock } = this.#deps;
    const until = clock.now().steady + LAG_MS;
    for (;;) {
      const [readings, view] = await Promise.all([
        readStore(plan, service, timer),
        readView(plan, service, timer, clock),
      ]);
      if (typeof readings === "string" || typeof view !== "object") return [readings, view];
      if (agrees(plan, readings, view.literals) || clock.now().steady >= until) return [readings, view];
      await sleep(clock, LOOK_AGAIN_MS);
    }
  }

  async #tryAll(plan: Plan, flags: Flags, timer: Timer): Promise<Readonly<Record<string, Tried>>> {
    const waiting = [...rehearsedFlags(plan)];
    const tried: Record<string, Tried> = {};
    const lane = async (): Promise<void> => {
      for (let flag = waiting.shift(); flag !== undefined; flag = waiting.shift()) {
        const one = flag;
        tried[one.name] = await timer
          .within(() => flags.rehearse(one))
          .catch((error: unknown) => failed(error));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    return tried;
  }

  async #askMetrics({ metrics }: Service, timer: Timer): Promise<string | undefined> {
    const { clock } = this.#deps;
    try {
      const answer = await timer.within(() => metrics.query(PROMETHEUS_QUERY, clock.now().wall));
      const numbers = numbersOf(answer);
      return numbers.kind === "down" ? numbers.detail : undefined;
    } catch (error) {
      return messageOfFault(error);
    }
  }

  /** Nobody waits for it: a rehearsal that could not be kept is only made again earlier. */
  async #remember(rehearsal: Rehearsal): Promise<void> {
    const { journal, log, rehearsalShelf } = this.#deps;
    const { rollout } = rehearsal;
    try {
      await Promise.all([
        journal.setMeta(metaKey(rollout), JSON.stringify(rehearsal)),
        rehearsalShelf?.save(rehearsal),
      ]);
    } catch (error) {
      log.warn("a rehearsal could not be kept", { rollout, error: messageOfFault(error) });
    }
  }
}

function metaKey(rollout: string): string {
  return `rehearsal:${rollout}`;
}

/** What is left of one deadline for many calls. */
class Timer {
  readonly #clock: Clock;
  readonly #until: number;

  constructor(clock: Clock, until: number) {
    this.#clock = clock;
    this.#until = until;
  }

  /** The call's outcome; rejects with an `OutsideFault` when the time is over, and then begins no call any more. */
  within<T>(call: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const left = this.#until - this.#clock.now().steady;
      const late = (): void =>
        reject(new OutsideFault(`no answer in ${DEADLINE_MS / SECOND} s`, { recoverable: true }));
      if (left <= 0) return late();
      const cancel = this.#clock.after(left, late);
      call().then(resolve, reject).finally(cancel);
    });
  }
}

async function readStore(plan: Plan, { flags }: Service, timer: Timer): Promise<Readings | string> {
  try {
    return await timer.within(() => flags.read(rehearsedFlags(plan)));
  } catch (error) {
    return messageOfFault(error);
  }
}

/** Flags that the second lever holds off; none when it cannot be read, which its own try tells. */
async function heldBy(plan: Plan, lever: Flags, timer: Timer): Promise<readonly string[]> {
  try {
    const found = await timer.within(() => lever.read(rehearsedFlags(plan)));
    return Object.keys(found).filter((flag) => found[flag]?.setting.kind === "off");
  } catch {
    return [];
  }
}

async function readView(
  plan: Plan,
  { view }: Service,
  timer: Timer,
  clock: Clock,
): Promise<Findings["view"]> {
  if (view === undefined) return undefined;
  const from = clock.now().steady;
  try {
    const literals = await timer.within(() => view.read(rehearsedFlags(plan)));
    return { ms: clock.now().steady - from, literals };
  } catch (error) {
    return messageOfFault(error);
  }
}

/** Whether the service mentions every flag as the store has it. */
function agrees(plan: Plan, readings: Readings, literals: Readonly<Record<string, string>>): boolean {
  return Object.entries(readings).every(([flag, reading]) => {
    const literal = literals[flag];
    if (reading === undefined || !reading.effective) return true;
    return literal === undefined
      ? reading.setting.kind === "off"
      : viewAgrees(plan, flag, reading.setting, { literal, at: 0 });
  });
}

function failed(error: unknown): Tried {
  return { readMs: 0, writeMs: undefined, problems: [messageOfFault(error)], warnings: [] };
}
