/** At a start: decisions that counted while the journal was gone, from the spool into the journal, before anything else is decided. */
import { rebase, stillOwed } from "../core/rollout/rebase.ts";
import { isOpenRun } from "../core/rollout/state.ts";
import type { Announce } from "./keeper.ts";
import type { OutboxDraft } from "./messages.ts";
import {
  type Commit,
  type Journal,
  type Log,
  messageOfFault,
  OutsideFault,
  type Spool,
  type Spooled,
  type StoredRun,
} from "./ports.ts";

/** A run that has moved on this often between its reading and the commit is not to be had. */
const MOST_RACES = 5;

export interface ReplayDeps {
  readonly journal: Journal;
  readonly spool: Spool;
  readonly log: Log;
  readonly announce: Announce;
}

/** Rejects with an `OutsideFault` while the journal does not take them; they stay in the spool then. */
export async function replaySpool(deps: ReplayDeps): Promise<void> {
  const spooled = Map.groupBy(deps.spool.read(), (one) => one.run);
  for (const [run, decisions] of spooled) if (await replay(deps, run, decisions)) deps.spool.clear(run);
}

/** Whether the journal has them all now. A run that nobody can read is nobody's to watch, and must not keep the others from it. */
async function replay(deps: ReplayDeps, run: string, decisions: readonly Spooled[]): Promise<boolean> {
  for (let races = 0; races < MOST_RACES; races++) {
    const stored = await readRun(deps, run);
    if (stored === undefined) return false;
    const arrived = await deps.journal.events(run, decisions[0]?.events[0]?.seq);
    const owed = decisions
      .map((one) => ({ ...one, events: stillOwed(one.events, arrived) }))
      .filter(({ events }) => events.length > 0);
    if (owed.length === 0) return true;
    const result = await deps.journal.commit(owedCommit(deps, stored, owed));
    if (result.kind === "ok") return true;
  }
  throw new OutsideFault(`what is in the spool for ${run} could not be journaled: the run keeps changing`, {
    recoverable: true,
  });
}

async function readRun({ journal, log }: ReplayDeps, run: string): Promise<StoredRun | undefined> {
  try {
    const stored = await journal.run(run);
    if (stored === undefined)
      log.error("events of a run that the journal does not know are left in the spool", { run });
    return stored;
  } catch (error) {
    if (!(error instanceof OutsideFault) || error.recoverable) throw error;
    log.error("events of a run that cannot be read are left in the spool", {
      run,
      error: messageOfFault(error),
    });
    return undefined;
  }
}

/** Spooled decisions on top of the journal's; an earlier process may have told of them already, and answered those who asked. */
function owedCommit(
  { announce }: ReplayDeps,
  { plan, state: before }: StoredRun,
  owed: readonly Spooled[],
): Commit {
  const { events, state } = rebase(
    plan,
    before,
    owed.flatMap((one) => one.events),
  );
  const told = announce(plan, before, state, events);
  const answers = owed.flatMap((one) => one.answers);
  return {
    run: state.run,
    expected: before.revision,
    events,
    state,
    ended: !isOpenRun(state),
    forward: false,
    outbox: [...told, ...answers].map((draft): OutboxDraft => ({ ...draft, maybeSent: true })),
    intakes: owed.flatMap((one) => one.intakes),
  };
}
