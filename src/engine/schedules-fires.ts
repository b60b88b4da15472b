/** The planned fires of a job since the last claim, bounded: the newest each by itself, older ones counted. */
import type { Fires } from "../core/watch/job-decide.ts";
import type { Job } from "../core/watch/plan.ts";
import { sleep } from "./concurrency.ts";
import type { Clock } from "./ports.ts";
import type { Calendar } from "./watch-ports.ts";

/** So many fires are looked at each by itself. */
const MOST_FIRES = 1_000;
/** More than these are not counted any further. */
const MOST_COUNTED = 5_000;
/** Found at once: some milliseconds of work, then everything else has its turn. */
const PIECE = 100;

/** Fires in (after, upTo], wall ms. Beyond what is counted the newest ones are found by halving the stretch before `upTo`. */
export async function collectFires(
  clock: Clock,
  calendar: Calendar,
  job: Job,
  after: number,
  upTo: number,
): Promise<Fires> {
  const find = (from: number, most: number): Promise<readonly number[]> =>
    inPieces(clock, (start, piece) => calendar.fires(job.cron, job.zone, start, upTo, piece), from, most);
  const all = await find(after, MOST_COUNTED + MOST_FIRES);
  const [first = after] = all;
  const isMore = all.length >= MOST_COUNTED + MOST_FIRES;
  let instants: readonly number[] = all.slice(-MOST_FIRES);
  const rest = all.slice(0, -MOST_FIRES);
  let last = rest.at(-1);
  if (last === undefined) return { instants };
  if (isMore) {
    last = instants.at(-1) ?? last;
    do {
      last = Math.ceil((last + upTo) / 2);
      instants = await find(last, MOST_FIRES);
    } while (instants.length >= MOST_FIRES);
  }
  return { instants, older: { count: isMore ? all.length : rest.length, more: isMore, first, last } };
}

async function inPieces(
  clock: Clock,
  ask: (from: number, most: number) => readonly number[],
  after: number,
  most: number,
): Promise<readonly number[]> {
  const found: number[] = [];
  for (;;) {
    const wanted = Math.min(PIECE, most - found.length);
    const piece = wanted > 0 ? ask(found.at(-1) ?? after, wanted) : [];
    found.push(...piece);
    if (piece.length < PIECE || found.length >= most) return found;
    await sleep(clock, 0);
  }
}
