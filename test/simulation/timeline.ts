/** Virtual time and seeded chance: an event heap, one macrotask per event, and a generator that replays exactly. */

/** mulberry32: a small generator with 32 bits of state; good enough to choose faults, exactly repeatable. */
export function createRandom(seed: number) {
  let a = seed >>> 0;
  const next = (): number => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = a;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return {
    next,
    chance: (p: number): boolean => next() < p,
    between: (low: number, high: number): number => low + next() * (high - low),
    int: (low: number, high: number): number => Math.floor(low + next() * (high - low + 1)),
    pick<T>(items: readonly T[]): T {
      const item = items[Math.floor(next() * items.length)];
      if (item === undefined) throw new Error("nothing to pick from");
      return item;
    },
  };
}

export type Random = ReturnType<typeof createRandom>;

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly act: () => void;
}

/** A binary heap of events by time, then by order of arrival. */
export function createTimeline(startMs: number) {
  const heap: Entry[] = [];
  let now = startMs;
  let order = 0;

  const before = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

  function push(entry: Entry): void {
    let i = heap.length;
    heap.push(entry);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !before(entry, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = entry;
  }

  function pop(): Entry | undefined {
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let i = 0;
    for (;;) {
      const left = 2 * i + 1;
      if (left >= heap.length) break;
      const a = heap[left];
      const b = heap[left + 1];
      const child = b !== undefined && a !== undefined && before(b, a) ? left + 1 : left;
      const lower = heap[child];
      if (lower === undefined || !before(lower, last)) break;
      heap[i] = lower;
      i = child;
    }
    heap[i] = last;
    return top;
  }

  return {
    now: (): number => now,
    after(ms: number, act: () => void): void {
      push({ at: now + Math.max(0, ms), order: order++, act });
    },
    /** Runs events until `untilMs` or until `stop()` says so; drains microtasks after each. */
    async run(untilMs: number, stop: () => boolean): Promise<void> {
      for (;;) {
        const next = heap[0];
        if (next === undefined || next.at > untilMs || stop()) break;
        pop();
        now = Math.max(now, next.at);
        next.act();
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    },
  };
}

export type Timeline = ReturnType<typeof createTimeline>;
