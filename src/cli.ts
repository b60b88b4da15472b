#!/usr/bin/env node
/** The command line: start Belay, check a folder of files, and speak to a running Belay without Slack. */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { demoPace } from "./adapters/files/pace.ts";
import { formatProblem } from "./adapters/files/problem.ts";
import { readRehearsals } from "./adapters/flags/rehearsals.ts";
import { type Door, sendCommand } from "./adapters/http/client.ts";
import { createIds } from "./adapters/ids.ts";
import { manifestOf } from "./adapters/slack/manifest.ts";
import { type Config, isSecretSet, loadConfig, stateDirOf } from "./config.ts";
import { flipSource, worstBound } from "./core/bound.ts";
import { isDesk, parseCommand } from "./core/command.ts";
import type { Plan } from "./core/plan.ts";
import { type Measured, measuredIn } from "./core/rehearsal.ts";
import { times } from "./core/report/health-words.ts";
import { helpLines } from "./core/report/lines.ts";
import { formatDuration, SECOND } from "./core/time.ts";
import type { WatchPlan } from "./core/watch/plan.ts";
import type { CommandAnswer } from "./engine/messages.ts";
import { messageOfFault, OutsideFault } from "./engine/ports.ts";
import { loadFolder } from "./house.ts";
import { type Belay, JOURNAL_FILE, startBelay } from "./main.ts";
import { tokenNotes } from "./token-notes.ts";

/** A command alone waits this long for its rollback to be read back. */
const ALONE_MS = 60_000;

/** A reader that has seen enough (`belay do ... | head -2`) ends nothing: what was asked is done, and its exit code stands. */
function survivesItsReader(stream: NodeJS.WriteStream): void {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}

function out(line: string): void {
  process.stdout.write(`${line}\n`);
}

function fail(line: string, code = 1): never {
  process.stderr.write(`${line}\n`);
  process.exit(code);
}

/** The configuration, or an end with every mistake in it. */
function configOrExit(dir?: string): Config {
  const result = loadConfig({ dir });
  if (result.kind === "ok") return result.config;
  for (const mistake of result.mistakes) process.stderr.write(`${mistake}\n`);
  fail(
    `${result.mistakes.length} mistake${result.mistakes.length === 1 ? "" : "s"} in the environment; nothing was started.`,
    2,
  );
}

interface StartFlags {
  readonly overlay?: string;
  readonly speed?: number;
  readonly observe?: boolean;
}

async function start(dir: string | undefined, flags: StartFlags): Promise<void> {
  const config = configOrExit(dir);
  const pace = flags.speed === undefined ? undefined : demoPace(flags.speed);
  const overlay = flags.overlay === undefined ? undefined : resolve(flags.overlay);
  const belay = await startBelay(config, { overlay, pace, observe: flags.observe === true });
  out(
    JSON.stringify({
      event: "listening",
      port: belay.httpPort,
      ...(belay.hooksPort === undefined ? {} : { hooksPort: belay.hooksPort }),
      mode: belay.mode(),
      pid: process.pid,
    }),
  );
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      belay.stop().then(
        () => process.exit(0),
        () => process.exit(1),
      );
    });
  }
  process.on("SIGHUP", () => void belay.reload());
  // What nobody awaited must not end the process that watches production; it is told and the work goes on.
  process.on("unhandledRejection", (reason) =>
    process.stderr.write(
      `${JSON.stringify({ level: "error", msg: "a promise was rejected and nobody waited for it", error: messageOfFault(reason) })}\n`,
    ),
  );
}

async function check(dir: string, flags: { readonly overlay?: string }): Promise<void> {
  const overlay = flags.overlay === undefined ? {} : { overlay: resolve(flags.overlay) };
  if (!existsSync(resolve(dir)))
    fail(
      `there is no folder ${resolve(dir)}. Belay reads flags/, schedules/ and runbooks/ below the folder you name.`,
      1,
    );
  const { plans, watches, catalogues, problems } = await loadFolder(resolve(dir), overlay);
  for (const problem of problems) out(formatProblem(problem));
  const rehearsals = await readRehearsals(stateDirOf());
  const hashOf = (plan: Plan): string => createIds().hash(JSON.stringify(plan));
  for (const plan of plans.values())
    out(boundLine(plan, measuredIn(rehearsals.get(plan.rollout), hashOf(plan))));
  for (const watch of watches.values()) out(watchLine(watch));
  for (const note of tokenNotes([...catalogues.values()], isSecretSet)) out(note);
  const errors = problems.filter((problem) => problem.level === "error").length;
  const warnings = problems.length - errors;
  out(
    `${plans.size} rollout${plans.size === 1 ? "" : "s"} can run, ${watches.size} watch${watches.size === 1 ? "" : "es"} loaded, ${errors} error${errors === 1 ? "" : "s"}, ${warnings} warning${warnings === 1 ? "" : "s"}`,
  );
  if (errors > 0) process.exitCode = 1;
}

/** One rollout's worst case, part by part, in whole seconds rounded up. */
function boundLine(plan: Plan, measured: Measured | undefined): string {
  const stages = `${plan.stages.length} stages, ${plan.guards.length} guards`;
  const worst = worstBound(plan, measured);
  if (worst === undefined) return `${plan.rollout}: ${stages}; no guard rolls back by itself`;
  const { parts } = worst;
  const s = (ms: number): number => Math.ceil(ms / SECOND);
  const sum = `window ${s(parts.windowMs)} + scrape ${s(parts.scrapeMs)} + polls ${s(parts.pollsMs)} + query ${s(parts.queryMs)} + flip ${s(parts.flipMs)} (${flipSource(measured, Date.now())}) + restart ${s(parts.restartMs)}`;
  return `${plan.rollout}: ${stages}; worst case ${s(worst.totalMs)} s from a visible breach to OFF (guard ${worst.guard}: ${sum})`;
}

function watchLine({ watch, service, environment, probes, targets, jobs, budget, zone }: WatchPlan): string {
  const budgetText = `at most ${budget.most} restarts in ${formatDuration(budget.withinMs)}`;
  return `${watch}: watches ${service} (${environment}): ${times(probes.length, "probe")}, ${times(targets.length, "target")} (${budgetText}), ${times(jobs.length, "job")} in ${zone}`;
}

interface DoFlags {
  readonly as?: string;
  readonly json?: boolean;
}

/** Speaks to the running Belay; with none running, acts alone on its journal, going back or reading only. */
async function doCommand(words: readonly string[], flags: DoFlags): Promise<void> {
  const text = words.join(" ");
  const config = configOrExit();
  const as = flags.as ?? config.user;
  const command = { text, as, key: randomUUID() };
  for (const door of doorsOf(config)) {
    const sent = await sendCommand(door, command);
    if (sent.kind === "answered") return show(sent.answer, flags);
    if (sent.kind === "failed")
      fail(`Belay could not be asked: ${sent.why}. Nothing is known to have changed.`, 2);
  }
  const parsed = parseCommand(text);
  // What needs no Belay is answered without one.
  if ("kind" in parsed) fail(`${parsed.message} Nothing changed.`, 2);
  if (parsed.spec.verb === "help") {
    for (const line of helpLines()) out(line);
    return;
  }
  if (parsed.spec.direction === "forward") {
    fail(
      "Belay is not running, and nothing goes forward unwatched. Start it (`belay start`); `rollback`, `hold` and reads work without it.",
      2,
    );
  }
  // A fresh, empty journal would say that nothing is live: the worst answer to a rollback.
  if (!existsSync(join(config.stateDir, JOURNAL_FILE)))
    fail(
      `No Belay answers in ${config.stateDir}, and there is no journal in it. Is BELAY_STATE the folder of your Belay, and are you its user? Nothing changed.`,
      2,
    );
  if (isDesk(parsed.spec.noun)) {
    fail(
      `Belay is not running on ${config.stateDir}: it pages nobody, checks no probe and runs no job, so it can neither do this nor tell how things stand. Nothing changed. Start it (\`belay start\`); until then page and acknowledge in PagerDuty itself.`,
      2,
    );
  }
  await alone(config, command, flags);
}

function doorsOf(config: Config): readonly Door[] {
  const local: Door = { kind: "socket", path: join(config.stateDir, "belay.sock") };
  const { url, token } = config;
  if (url === undefined) return [local];
  if (token !== undefined) return [{ kind: "url", url, token }, local];
  fail(
    `BELAY_URL says to ask the Belay at ${url}, but BELAY_TOKEN (or BELAY_TOKEN_FILE) is missing. Nothing changed.`,
    2,
  );
}

async function alone(
  config: Config,
  command: { readonly text: string; readonly as: string; readonly key: string },
  flags: DoFlags,
): Promise<void> {
  process.stderr.write("Belay is not running; acting alone on its journal.\n");
  const belay = await startBelay({ ...config, logLevel: "error" }, { alone: true });
  const answer = await belay.command(command.text, command.as, command.key);
  const parsed = parseCommand(command.text);
  const isRollback = !("kind" in parsed) && parsed.spec.verb === "rollback";
  const outcome = isRollback && answer.code === "done" ? await untilOff(belay, answer) : "stays";
  await belay.stop();
  show(answer, flags);
  if (outcome === "off" && flags.json !== true)
    out("Read back from the flag store as off. Start Belay: it then looks whether production recovers.");
  if (outcome === "late")
    fail(
      "The flags could not be read back in 60 s. Set them by hand, and start Belay so that it keeps trying.",
      1,
    );
}

/** Waits until the run that was asked to go back has its flags read back. */
async function untilOff(belay: Belay, answer: CommandAnswer): Promise<"off" | "late"> {
  const deadline = performance.now() + ALONE_MS;
  for (;;) {
    const run = belay.engine.runs().find((state) => state.run === answer.run);
    if (run === undefined || run.phase !== "rolling_back" || run.rollback?.offAt !== undefined) return "off";
    if (performance.now() > deadline) return "late";
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

function show(answer: CommandAnswer, flags: DoFlags): void {
  if (flags.json === true) out(JSON.stringify(answer));
  else {
    out(answer.text);
    for (const line of answer.lines) out(`  ${line}`);
    if (answer.offers.length > 0) out("You can:");
    for (const offer of answer.offers)
      out(
        `  belay do '${offer.command}${offer.reason === undefined ? "" : ' because "..."'}'   (${offer.label})`,
      );
  }
  if (!answer.ok) process.exitCode = 1;
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError("expected a number above 0");
  return value;
}

function program(): Command {
  const belay = new Command("belay")
    .description(
      "Rolls feature flags out in stages, watches Prometheus, and takes them back when production gets worse; pages on-call, watches health, runs jobs by the clock.",
    )
    .showHelpAfterError("`belay help` lists the commands; nothing was done.");
  belay
    .command("start")
    .description(
      "run Belay on a folder with flags/, schedules/ and runbooks/ (default: $BELAY_DIR, else this folder)",
    )
    .argument("[dir]")
    .option("--overlay <file>", "other provider, Prometheus and polls for a demo or staging")
    .option("--observe", "flip nothing: ask people to, judge, and say what would have been taken back")
    .option("--speed <seconds>", "real seconds per planned hour, for a demo", positive)
    .action(start);
  belay
    .command("check")
    .description("check a folder: every mistake with its place, and each rollout's worst-case rollback time")
    .argument("<dir>")
    .option("--overlay <file>", "check with this overlay")
    .action(check);
  belay
    .command("do")
    .description(
      'speak to the running Belay, such as: belay do "rollout rollback"; belay do help lists the words',
    )
    .argument("<words...>")
    .option("--as <name>", "who asks (default: your user name)")
    .option("--json", "print the answer as JSON")
    .action(doCommand);
  belay
    .command("slack-manifest")
    .description("print the Slack app manifest")
    .option("--url <https-url>", "for HTTP instead of Socket Mode: the public address")
    .option("--prefix <word>", "prefix of the slash commands, where the names clash")
    .action((flags: { readonly url?: string; readonly prefix?: string }) =>
      out(
        JSON.stringify(
          manifestOf(
            flags.url === undefined
              ? { mode: "socket", ...flags }
              : { mode: "http", ...flags, url: flags.url },
          ),
          null,
          2,
        ),
      ),
    );
  return belay;
}

survivesItsReader(process.stdout);
survivesItsReader(process.stderr);
try {
  await program().parseAsync();
} catch (error) {
  if (error instanceof OutsideFault) fail(messageOfFault(error));
  throw error;
}
