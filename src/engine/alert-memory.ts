/** Firings that concern live rollouts, in memory: enough to decide on them again at every tick, within a day and within limits. */
import type { IncomingAlert } from "../core/alerts/incoming.ts";
import { concerns } from "../core/alerts/matcher.ts";
import type { Plan } from "../core/plan.ts";
import { DAY } from "../core/time.ts";

const MOST_FIRINGS = 1_000;
/** Characters of labels and annotations kept over all firings. */
const MOST_CHARS = 8 * 1024 * 1024;
const MOST_SUMMARY_CHARS = 500;
const KEPT_MS = DAY;

interface Kept {
  readonly alert: IncomingAlert;
  /** Steady ms. */
  readonly seenAt: number;
  readonly isOfStorm: boolean;
  readonly chars: number;
}

/** The oldest are forgotten first. */
export class FiringMemory {
  readonly #byKey = new Map<string, Kept>();
  #chars = 0;
  /** Counts every change, so that what is found is found once. */
  #version = 0;
  readonly #found = new WeakMap<
    Plan,
    { readonly version: number; readonly firings: readonly IncomingAlert[] }
  >();

  /** Remembers a firing; false when it is known. What is known of it stays, but for its status. */
  remember(alert: IncomingAlert, steady: number, isOfStorm: boolean): boolean {
    const known = this.#byKey.get(alert.key);
    if (known !== undefined) {
      if (known.alert.status === "resolved") this.#replace(alert.key, { ...known.alert, status: "firing" });
      return false;
    }
    const kept = compact(alert);
    const chars = charsOf(kept);
    this.#byKey.set(alert.key, { alert: kept, seenAt: steady, isOfStorm, chars });
    this.#chars += chars;
    this.#version++;
    this.#forgetOld(steady);
    return true;
  }

  /** Notes that a firing has ended. It still counts: an end never cancels what the beginning asks for. */
  resolve({ key, endsAt }: IncomingAlert): void {
    const known = this.#byKey.get(key);
    if (known === undefined || known.alert.status === "resolved") return;
    this.#replace(key, { ...known.alert, status: "resolved", ...(endsAt === undefined ? {} : { endsAt }) });
  }

  /** Marks firings that were seen at or after a steady instant as part of a storm. */
  markStorm(sinceSteady: number): void {
    for (const [key, kept] of this.#byKey)
      if (!kept.isOfStorm && kept.seenAt >= sinceSteady) this.#byKey.set(key, { ...kept, isOfStorm: true });
    this.#version++;
  }

  /** Firings that concern a plan and are of no storm, in the order in which they were first told. */
  concerning(plan: Plan): readonly IncomingAlert[] {
    const known = this.#found.get(plan);
    if (known?.version === this.#version) return known.firings;
    const firings = [...this.#byKey.values()]
      .filter((kept) => !kept.isOfStorm && concerns(plan, kept.alert))
      .map((kept) => kept.alert);
    this.#found.set(plan, { version: this.#version, firings });
    return firings;
  }

  #replace(key: string, alert: IncomingAlert): void {
    const known = this.#byKey.get(key);
    if (known === undefined) return;
    this.#byKey.set(key, { ...known, alert });
    this.#version++;
  }

  #forgetOld(steady: number): void {
    for (const [key, { seenAt, chars }] of this.#byKey) {
      const isFull = this.#byKey.size > MOST_FIRINGS || (this.#chars > MOST_CHARS && this.#byKey.size > 1);
      if (!isFull && steady - seenAt <= KEPT_MS) return;
      this.#byKey.delete(key);
      this.#chars -= chars;
    }
  }
}

/** All labels, since matchers may ask for any; of the annotations only what messages show. */
function compact(alert: IncomingAlert): IncomingAlert {
  const summary = alert.annotations["summary"];
  return {
    ...alert,
    annotations: summary === undefined ? {} : { summary: summary.slice(0, MOST_SUMMARY_CHARS) },
  };
}

function charsOf({ key, labels, annotations }: IncomingAlert): number {
  return [...Object.entries(labels), ...Object.entries(annotations)].reduce(
    (sum, [name, value]) => sum + name.length + value.length,
    key.length,
  );
}
