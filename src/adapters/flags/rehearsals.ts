/** The newest rehearsals, in a file of their own in the state folder: for `belay check`, which opens no journal. */
import { join } from "node:path";
import { z } from "zod";
import { parseRehearsal, type Rehearsal } from "../../core/rehearsal.ts";
import { createTurns, OutsideFault, type RehearsalShelf } from "../../engine/ports.ts";
import { within } from "./deadline.ts";
import { type Found, readFound, replaceFile } from "./disk.ts";

const FILE = "rehearsals.json";
const TIMEOUT_MS = 2_000;

const fileSchema = z.object({ rehearsals: z.record(z.string(), z.unknown()) });

/** Keeps the newest rehearsal of each rollout in `rehearsals.json` (mode 0600, replaced whole). A broken file is begun anew. */
export function createRehearsalShelf(stateDir: string): RehearsalShelf {
  const path = join(stateDir, FILE);
  const turns = createTurns();
  const late = () =>
    new OutsideFault(`writing ${path} took longer than ${TIMEOUT_MS} ms`, { recoverable: true });
  return {
    save: (rehearsal) => turns(() => within(TIMEOUT_MS, late, (signal) => write(path, rehearsal, signal))),
  };
}

/** The newest rehearsals by rollout; none when the file is missing or broken. Never rejects. */
export async function readRehearsals(stateDir: string): Promise<ReadonlyMap<string, Rehearsal>> {
  try {
    return rehearsalsIn(await readFound(join(stateDir, FILE)));
  } catch {
    return new Map();
  }
}

async function write(path: string, rehearsal: Rehearsal, signal: AbortSignal): Promise<void> {
  const found = await readFound(path);
  const rehearsals = { ...Object.fromEntries(rehearsalsIn(found)), [rehearsal.rollout]: rehearsal };
  const bytes = Buffer.from(`${JSON.stringify({ rehearsals }, null, 2)}\n`);
  const { owner } = found;
  if (!(await replaceFile(path, { bytes, expected: found.bytes, owner, signal })))
    throw new OutsideFault(`${path} is being changed by somebody else`, { recoverable: true });
}

function rehearsalsIn({ bytes }: Found): ReadonlyMap<string, Rehearsal> {
  const file = fileSchema.safeParse(jsonIn(bytes));
  if (!file.success) return new Map();
  return new Map(
    Object.entries(file.data.rehearsals).flatMap(([rollout, found]): [string, Rehearsal][] => {
      const rehearsal = parseRehearsal(found);
      return rehearsal === undefined ? [] : [[rollout, rehearsal]];
    }),
  );
}

function jsonIn(bytes: Buffer | undefined): unknown {
  try {
    return bytes === undefined ? undefined : JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}
