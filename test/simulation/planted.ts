/** `npm run sim:planted [-- --runs N]`: plants one bug at a time in a copy of the source and shows that the simulation finds it. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

interface Bug {
  readonly name: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** Each is a mistake that a person could make; `find` must occur exactly once. */
export const BUGS: readonly Bug[] = [
  {
    name: "reconcile never sends an OFF again",
    file: "src/engine/lanes.ts",
    find: "return read !== undefined && read > last.at;",
    replace: "return false;",
  },
  {
    name: "reconcile does nothing for backward wishes",
    file: "src/engine/reconcile.ts",
    find: "return needed.filter((write) => write.direction === direction);",
    replace: 'return needed.filter((write) => write.direction === direction && direction !== "backward");',
  },
  {
    name: "a forward write has no version precondition",
    file: "src/engine/reconcile.ts",
    find: "...(ifVersion === undefined ? {} : { ifVersion }) };",
    replace: "...(ifVersion === undefined ? {} : {}) };",
  },
  {
    name: "a forward write never expires",
    file: "src/core/rollout/desired.ts",
    find: "if (wish.writeBy === undefined || now > wish.writeBy) continue;",
    replace: "",
  },
  {
    name: "a stage starts on old evidence",
    file: "src/core/rollout/forward.ts",
    find: "if (isHistory || now.steady - judgement.at > plan.queryTimeoutMs) stale = true;",
    replace: "",
  },
  {
    name: "missing data counts as pass",
    file: "src/core/rollout/forward.ts",
    find: 'else if (judgement.verdict !== "pass")',
    replace: 'else if (judgement.verdict === "breach")',
  },
  {
    name: "stale samples are taken for fresh",
    file: "src/core/measurement.ts",
    find: "if (!Number.isFinite(ageMs) || ageMs > demands.freshWithinMs) {",
    replace: "if (!Number.isFinite(ageMs)) {",
  },
  {
    name: "the first of several series is judged",
    file: "src/core/measurement.ts",
    find: "if (values.length > 1 && worst === undefined) {",
    replace: "if (values.length > 99) {",
  },
  {
    name: "partial answers are judged",
    file: "src/core/measurement.ts",
    find: 'if (partial !== undefined) return { kind: "unusable", reason: "partial", detail: partial };',
    replace: "",
  },
  {
    name: "a person's OFF goes unnoticed",
    file: "src/core/rollout/tick.ts",
    find: "events = onDrift(plan, state, world);",
    replace: "",
  },
  {
    name: "an intake is not remembered",
    file: "src/engine/engine.ts",
    find: "for (const intake of await journal.unanswered()) void this.#commands.carryOutAgain(intake);",
    replace: "",
  },
  {
    name: "answers are sent without the journal's mark",
    file: "src/engine/keeper.ts",
    find: "intakes: owed.flatMap((one) => one.intakes),\n    };\n    const written",
    replace: "intakes: [],\n    };\n    const written",
  },
  {
    name: "a post is repeated without looking for it",
    file: "src/engine/outbox.ts",
    find: "await journal.attempted(item.id);",
    replace: "",
  },
  {
    name: "a rollback is believed without a read",
    file: "src/core/rollout/backward.ts",
    find: "if (storeShows(world, flip.flag, flip.to, at))\n      events.push",
    replace: "if (at >= 0)\n      events.push",
  },
  {
    name: "a flag that comes back is left on",
    file: "src/core/rollout/backward.ts",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholder belongs to the source that is changed.
    find: "if (intent !== undefined) return intent.startsWith(`${state.run}.`);\n  // Nobody",
    replace: "if (at > 0) return false;\n  // Nobody",
  },
  {
    name: "judgements from before a flip count after it",
    file: "src/core/rollout/world.ts",
    find: "return known === undefined || known.epoch < epoch ? unjudged(epoch) : known;",
    replace: "return known === undefined ? unjudged(epoch) : known;",
  },
  {
    name: "a dead service waits for its own word for ever",
    file: "src/core/rollout/backward.ts",
    find: 'return now.steady - rollback.offAt < patience ? NONE : [{ kind: "rollback_confirmed", seenBy: "store" }];',
    replace: "return NONE;",
  },
  {
    name: "recovery forgets the live runs",
    file: "src/engine/engine.ts",
    find: "if (isOpenRun(stored.state)) this.#launch(runner, this.#missedOf(stored.state, stored.plan, watched));",
    replace: "",
  },
  {
    name: "state is kept when the journal refused it",
    file: "src/engine/keeper.ts",
    find: 'if (result === "failed" && (forward || recorded.length === 0)) return "failed";',
    replace: 'if (result === "failed" && recorded.length === 0) return "failed";',
  },
  {
    name: "a rollback needs the journal",
    file: "src/engine/keeper.ts",
    find: 'if (result === "failed" && (forward || recorded.length === 0)) return "failed";',
    replace: 'if (result === "failed") return "failed";',
  },
  {
    name: "breach needs all of n",
    file: "src/core/guards/threshold.ts",
    find: "if (bad >= guard.breach.k) {",
    replace: "if (bad > guard.breach.n) {",
  },
  {
    name: "an alert from before the flip counts",
    file: "src/core/rollout/on-alert.ts",
    find: "if (firing.startsAt <= flippedWall)",
    replace: "if (firing.startsAt < 0)",
  },
  {
    name: "an alert from before the end of a look counts after it",
    file: "src/core/rollout/on-alert.ts",
    find: "if (settledWall !== undefined && firing.startsAt <= settledWall)",
    replace: "if (settledWall !== undefined && firing.startsAt < 0)",
  },
  {
    name: "an alert of another service counts",
    file: "src/core/alerts/matcher.ts",
    find: 'labelOf(alert, "service") === plan.service &&',
    replace: 'labelOf(alert, "service") !== undefined &&',
  },
  {
    name: "a storm is not seen",
    file: "src/core/alerts/storm.ts",
    find: "if (known === undefined && recent.length === 0)",
    replace: "if (known === undefined)",
  },
  {
    name: "a run that observes takes back by itself",
    file: "src/core/rollout/backward.ts",
    find: 'started === undefined || state.mode !== "observe" ? started : wouldInstead(plan, state, started);',
    replace: "started;",
  },
  {
    name: "what people were asked to set is written",
    file: "src/core/rollout/evolve-forward.ts",
    find: "? asked(flipStates(event.flips, direction, at))",
    replace: "? flipStates(event.flips, direction, at, limits)",
  },
  {
    name: "alerts change nothing",
    file: "src/core/rollout/tick.ts",
    find: "events = onAlerts(plan, state, world, now);",
    replace: "",
  },
  {
    name: "a deploy inside a soak goes unnoticed",
    file: "src/core/rollout/tick.ts",
    find: "events = onDeploys(plan, state, world, now);",
    replace: "",
  },
  {
    name: "a restart by a flip of our own counts as somebody else's",
    file: "src/core/rollout/deploys.ts",
    find: "return startedWall > settledWall ? startedWall : undefined;",
    replace: "return settledWall > 0 ? startedWall : undefined;",
  },
];

function option(name: string, otherwise: number): number {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
}

/** Runs needed to find the bug: tries ever larger batches; undefined when `most` runs did not find it. */
function find(root: string, bug: Bug, most: number): number | undefined {
  const dir = mkdtempSync(join(tmpdir(), "belay-planted-"));
  try {
    for (const part of ["src", "test/simulation", "test/support", "package.json"])
      cpSync(join(root, part), join(dir, part), { recursive: true });
    symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
    const path = join(dir, bug.file);
    const source = readFileSync(path, "utf8");
    if (source.split(bug.find).length !== 2)
      throw new Error(
        `"${bug.name}": the text to change occurs ${source.split(bug.find).length - 1} times in ${bug.file}`,
      );
    writeFileSync(
      path,
      source.replace(bug.find, () => bug.replace),
    );
    for (let done = 0, batch = 50; done < most; done += batch, batch = Math.min(batch * 2, most - done)) {
      const ran = spawnSync(
        process.execPath,
        [join(dir, "test/simulation/main.ts"), "--runs", String(batch), "--seed", String(done + 1)],
        { encoding: "utf8" },
      );
      if (ran.stderr.includes("ERR_MODULE_NOT_FOUND"))
        throw new Error(`the copy lacks a file: ${ran.stderr}`);
      if (ran.status !== 0) {
        const seed = /seed (\d+): (\S+)/.exec(ran.stdout);
        process.stdout.write(
          `found   ${bug.name}: ${seed === null ? (ran.stderr.split("\n").find((line) => line.includes("Error")) ?? "crashed") : `${seed[2]} at seed ${seed[1]}`}\n`,
        );
        return done + batch;
      }
      if (batch <= 0) break;
    }
    process.stdout.write(`MISSED  ${bug.name} in ${most} runs\n`);
    return undefined;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function main(): void {
  const root = resolve(import.meta.dirname, "../..");
  const most = option("runs", 1_200);
  const only = process.argv.indexOf("--only");
  const bugs = only < 0 ? BUGS : BUGS.filter((bug) => bug.name.includes(process.argv[only + 1] ?? ""));
  const missed = bugs.filter((bug) => find(root, bug, most) === undefined);
  process.stdout.write(`${bugs.length - missed.length} of ${bugs.length} planted bugs found\n`);
  process.exit(missed.length === 0 ? 0 : 1);
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === import.meta.filename) main();
