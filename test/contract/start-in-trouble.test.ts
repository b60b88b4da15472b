/** Belay is started while something is wrong with its files and a rollout is live: it comes up, watches, and can go back. */
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openSqliteJournal } from "../../src/adapters/journal/sqlite.ts";
import { type Config, readConfig } from "../../src/config.ts";
import { evolveIncident } from "../../src/core/oncall/incident.ts";
import type { PageRequest } from "../../src/core/oncall/page.ts";
import { type Belay, JOURNAL_FILE, type StartOptions, startBelay } from "../../src/main.ts";
import { type Liar, startLiar } from "../fakes/prometheus-liar.ts";
import { until } from "../support/eventually.ts";
import { flagsIn } from "../support/short-world.ts";

const FLAGS = (path: string, url: string): string => `service: svc
environment: test
provider: { kind: file, path: ${path} }
view: { http: "${url}/features", pointer: /flags }
prometheus: { url: "${url}", scrape_interval: 1s }
flags:
  cache: { key: CACHE, safe: off }
`;
const SCHEDULE = `rollout: demo
flags: main
stages:
  - { at: 0s, name: cache, enable: cache, soak: 24h }
`;
const BROKEN = "{ half of a file";

let dir = "";
let flagsPath = "";
let running: Belay[] = [];
let outside: Liar;

/** A Prometheus for which all is well, and a service that says of its flags what the file says; while that is broken, what it said before. */
async function startOutside(): Promise<void> {
  let flags: unknown = {};
  outside = await startLiar();
  outside.answer((response, { path, form }) => {
    const time = Number(form.get("time"));
    const value = form.get("query")?.includes("timestamp(") === true ? String(time) : "1";
    const vector = { resultType: "vector", result: [{ metric: {}, value: [time, value] }] };
    const data = path.endsWith("query_range") ? { resultType: "matrix", result: [] } : vector;
    try {
      flags = flagsIn(flagsPath);
    } catch {
      // It keeps what it knows.
    }
    const body = path === "/features" ? { flags } : { status: "success", data };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "belay-trouble-"));
  flagsPath = join(dir, "flags.json");
  for (const folder of ["flags", "schedules", "runbooks"])
    mkdirSync(join(dir, "house", folder), { recursive: true });
  await startOutside();
  writeHouse("flags/main.yaml", FLAGS(flagsPath, outside.url));
  writeHouse("schedules/demo.yaml", SCHEDULE);
});

afterEach(async () => {
  for (const belay of running.splice(0)) await belay.stop();
  await outside.close();
  rmSync(dir, { recursive: true, force: true });
});

function writeHouse(path: string, text: string): void {
  writeFileSync(join(dir, "house", path), text);
}

async function start(options: StartOptions = {}, env: Readonly<Record<string, string>> = {}): Promise<Belay> {
  const belay = await startBelay(config(env), options);
  running.push(belay);
  return belay;
}

function config(env: Readonly<Record<string, string>> = {}): Config {
  const state = join(dir, "state");
  mkdirSync(state, { recursive: true, mode: 0o700 });
  const result = readConfig(
    { BELAY_STATE: state, BELAY_HTTP_PORT: "0", BELAY_LOG: "error", BELAY_MODE: "act", ...env },
    { dir: join(dir, "house") },
  );
  if (result.kind === "bad") throw new Error(result.mistakes.join("; "));
  return result.config;
}

/** Starts the rollout, waits until its flag is on, and stops Belay again; the run. */
async function liveRun(): Promise<string> {
  const belay = await start();
  const answer = await belay.command("rollout start demo", "ana", "k1");
  expect(answer).toMatchObject({ ok: true, code: "started" });
  await until("the flag is on", () => flagsIn(flagsPath)["CACHE"] === "true");
  await until("the stage soaks", () => belay.engine.runs()[0]?.stages[0]?.status === "soaking");
  await belay.stop();
  running = [];
  return answer.run ?? "";
}

/** Rolls everything back and waits until the file says so. */
async function expectRollback(belay: Belay): Promise<void> {
  expect(await belay.command("rollout rollback all", "ana", "back")).toMatchObject({
    ok: true,
    code: "done",
  });
  await until("the flag is off", () => flagsIn(flagsPath)["CACHE"] === "false");
  await until("that has been read back", () => belay.engine.runs()[0]?.rollback?.offAt !== undefined);
}

it("with no rollout that can be loaded, a live run is taken over and can go back", async () => {
  const run = await liveRun();
  writeHouse("schedules/demo.yaml", "rollout: demo\nstages: [");
  const belay = await start();
  expect(belay.engine.runs().map((state) => state.run)).toEqual([run]);
  const list = await belay.command("rollout list", "ana", "list");
  expect(list.lines.join("\n")).toContain("schedules/demo.yaml");
  expect(list.lines.join("\n")).toContain("no rollout and no watch could be loaded");
  await expectRollback(belay);
});

it("with its folder gone, a live run is taken over and can go back; a reload with the folder mends the list", async () => {
  await liveRun();
  renameSync(join(dir, "house"), join(dir, "away"));
  const belay = await start();
  await expectRollback(belay);
  renameSync(join(dir, "away"), join(dir, "house"));
  await belay.reload();
  expect([...belay.plans().keys()]).toEqual(["demo"]);
  expect((await belay.command("rollout list", "ana", "list")).lines.join("\n")).not.toContain("mistakes");
});

it("with no live run and no rollout that can be loaded, it is not started, and says where to look", async () => {
  writeHouse("schedules/demo.yaml", "rollout: demo\nstages: [");
  await expect(start()).rejects.toThrow(/no rollout and no watch could be loaded from .*belay check/);
});

it.each([
  ["as ever", {}],
  ["alone, for one command", { alone: true }],
])("with a broken flag file, started %s, it goes back over that file", async (_how, options) => {
  await liveRun();
  writeFileSync(flagsPath, BROKEN);
  const belay = await start(options);
  const list = await belay.command("rollout list", "ana", "list");
  expect(list.lines.join("\n")).toContain("main: ");
  expect(list.lines.join("\n")).toContain(flagsPath);
  await expectRollback(belay);
  expect(readdirSync(dir).some((name) => name.startsWith("flags.json.broken-"))).toBe(true);
});

it("alone, for one command, it tells nobody: its messages wait for the next start", async () => {
  writeHouse("schedules/demo.yaml", `channel: "#ops"\n${SCHEDULE}`);
  await liveRun();
  const pending = async (): Promise<readonly string[]> => {
    const journal = openSqliteJournal({ path: join(dir, "state", JOURNAL_FILE), reservePath: undefined });
    const keys = (await journal.pending()).map(({ key }) => key);
    journal.close();
    return keys;
  };
  expect(await pending()).toEqual([]);
  const alone = await start({ alone: true });
  await expectRollback(alone);
  await alone.stop();
  running = [];
  expect(await pending()).toEqual(expect.arrayContaining([expect.stringMatching(/^alert:.*:rollback:/)]));
  await until("they are told by a Belay that runs", async () => {
    await (await start()).stop();
    running = [];
    return (await pending()).length === 0;
  });
});

it("with a broken flag file and nothing live, it starts, and adds the flags when they are loaded again", async () => {
  writeFileSync(flagsPath, BROKEN);
  const belay = await start();
  expect(await belay.command("rollout start demo", "ana", "k1")).toMatchObject({ code: "flag_store" });
  writeFileSync(flagsPath, '{"version":1,"flags":{}}');
  await belay.reload();
  expect(flagsIn(flagsPath)).toEqual({ CACHE: "false" });
  expect((await belay.command("rollout list", "ana", "list")).lines.join("\n")).not.toContain("mistakes");
  expect(await belay.command("rollout start demo", "ana", "k2")).toMatchObject({ ok: true });
});

it.each([
  ["", false],
  [" and an open page about it", true],
])("with a run in the journal that cannot be read%s, the others are taken over", async (_how, hasPage) => {
  const run = await liveRun();
  const db = new DatabaseSync(join(dir, "state", "journal.db"));
  db.exec(
    "INSERT INTO runs (id, rollout, plan, revision, state, open) SELECT 'r-odd', 'other', plan, 1, '{\"schema\":99}', 1 FROM runs",
  );
  if (hasPage) addIncident(db, "r-odd");
  db.close();
  const belay = await start();
  expect(belay.engine.runs().map((state) => state.run)).toEqual([run]);
  await expectRollback(belay);
});

/** An open incident about a run, as the journal keeps it. */
function addIncident(db: DatabaseSync, run: string): void {
  const page: PageRequest = {
    key: `${run}.rollback.7`,
    severity: "P1",
    summary: "demo was rolled back",
    service: "svc",
    environment: "test",
    source: "rollout",
    run,
    wall: 1,
  };
  const event = { kind: "triggered", name: "i-1", page } as const;
  const state = evolveIncident(undefined, { seq: 1, at: 0, wall: 1, event });
  db.prepare("INSERT INTO subjects (kind, id, revision, state, open) VALUES ('incident', ?, 1, ?, 1)").run(
    page.key,
    JSON.stringify(state),
  );
}

it("with both ports taken and a page open, it starts and looks after the page; with nothing open it does not", async () => {
  await (await start()).stop();
  running = [];
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const address = taken.address();
  const port = String(typeof address === "object" && address !== null ? address.port : 0);
  const ports = {
    BELAY_HTTP_PORT: port,
    BELAY_HOOKS_PORT: port,
    BELAY_ALERTS_TOKEN: "a-token-of-sixteen-or-more",
  };
  await expect(start({}, ports)).rejects.toThrow("EADDRINUSE");
  const db = new DatabaseSync(join(dir, "state", JOURNAL_FILE));
  addIncident(db, "r-gone");
  db.close();
  const belay = await start({}, ports);
  expect((await belay.command("oncall list", "ana", "list")).lines.join("\n")).toContain(
    "demo was rolled back",
  );
  await new Promise((resolve) => taken.close(resolve));
});

it("with the webhooks' port taken, a live run is taken over and can go back, on-call is told, and the door opens when the port is free", async () => {
  await liveRun();
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const address = other.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const taken = { BELAY_HOOKS_PORT: String(port), BELAY_ALERTS_TOKEN: "a-token-of-sixteen-or-more" };
  const belay = await start({}, taken);
  expect(belay.hooksPort).toBeUndefined();
  const pages = async (): Promise<string> =>
    JSON.stringify(await belay.command("oncall list", "ana", crypto.randomUUID()));
  expect(await pages()).toContain(`webhooks cannot be taken on 127.0.0.1:${port}`);
  await expectRollback(belay);
  await new Promise((resolve) => other.close(resolve));
  await until("the door is open", () => belay.hooksPort === port);
  await until("its page is resolved", async () => !(await pages()).includes("cannot be taken"));
});

it("without Slack and a channel, what a rollout would announce is for the log, and none is warned of", async () => {
  const belay = await start();
  const list = await belay.command("rollout list", "ana", "list");
  expect(list.lines.join("\n")).not.toContain("announced nowhere");
  expect(await belay.command("rollout start demo", "ana", "k1")).toMatchObject({ ok: true });
  await belay.stop();
  running = [];
  const journal = new DatabaseSync(join(dir, "state", JOURNAL_FILE), { readOnly: true });
  const rows = journal.prepare("SELECT key, body FROM outbox WHERE key LIKE 'card:%'").all();
  journal.close();
  expect(rows.map(({ body }) => String(body))).toEqual([expect.stringContaining('"channel":"log"')]);
});

it("with Slack and no channel, the list warns that nobody would hear of it", async () => {
  const tokens = { SLACK_BOT_TOKEN: "xoxb-1-not-real", SLACK_APP_TOKEN: "xapp-1-not-real" };
  const belay = await start({}, { ...tokens, SLACK_API_URL: `${outside.url}/api/` });
  const list = await belay.command("rollout list", "ana", "list");
  expect(list.lines.join("\n")).toContain(
    "rollout demo names no channel and BELAY_CHANNEL is not set: it is announced nowhere",
  );
});
