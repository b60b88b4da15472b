/** Starts the real Unleash server on a PostgreSQL of its own, with the people and tokens that tests need, and stops both. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { dirname } from "node:path";
import { z } from "zod";
import { freePort } from "../../demo/world/loopback.ts";
import { findUnleash, UNLEASH_VERSION } from "../../scripts/setup/unleash.mjs";
import { eventually } from "./eventually.ts";
import { type RunningPostgres, startPostgres } from "./postgres.ts";

const ROOT = dirname(dirname(import.meta.dirname));
const READY_WITHIN_MS = 45_000;
const MIGRATED_WITHIN_MS = 45_000;
const STOP_WITHIN_MS = 10_000;
const CALL_WITHIN_MS = 15_000;
const PORT_TRIES = 3;
const TEMPLATE = "unleash_template";

/** Roles of Unleash by their ids: an editor may flip and delete, a viewer may only look. */
const ROLES = { admin: 1, editor: 2, viewer: 3 } as const;
type Role = keyof typeof ROLES;

export interface UnleashPerson {
  readonly id: number;
  /** How the event log names them. */
  readonly name: string;
  /** A personal access token. */
  readonly token: string;
}

export interface RunningUnleash {
  /** Base address, without a slash at the end. */
  readonly url: string;
  readonly pid: number;
  /** May do everything; the event log calls it `admin`. */
  readonly adminToken: string;
  /** What an SDK in production has. */
  readonly backendToken: string;
  /** A call of the Admin API with the admin token, or another one; the answer decoded. Rejects, with its words, when it is not 2xx. */
  admin(method: string, path: string, body?: unknown, token?: string): Promise<unknown>;
  person(name: string, role: Role): Promise<UnleashPerson>;
  setRole(person: UnleashPerson, role: Role): Promise<void>;
  /** Whether changes of production need approval; there is no call for that in the open-source server. */
  protect(isProtected: boolean): Promise<void>;
  /** One statement in the server's database. */
  sql(statement: string): Promise<string>;
  /** Rejects, with the server's last words, when it had ended by itself. */
  stop(): Promise<void>;
}

/** Takes 4 s. Rejects, saying what to type, when PostgreSQL or the server is not installed. */
export async function startUnleash(): Promise<RunningUnleash> {
  const program = findUnleash(ROOT);
  if (program === undefined)
    throw new Error(
      `unleash-server ${UNLEASH_VERSION} is not installed in .unleash/: type \`node scripts/setup.mjs test\``,
    );
  const postgres = await startPostgres();
  try {
    await postgres.createDatabase(TEMPLATE);
    await migrate(program, postgres);
    return await startOn(program, postgres);
  } catch (error) {
    await postgres.stop();
    throw error;
  }
}

/** Another server on a fresh copy of the migrated database: 2 s. */
async function startOn(program: string, postgres: RunningPostgres): Promise<RunningUnleash> {
  const database = `unleash_${randomBytes(4).toString("hex")}`;
  await postgres.createDatabase(database, TEMPLATE);
  const adminToken = `*:*.${randomBytes(24).toString("hex")}`;
  const backendToken = `default:production.${randomBytes(24).toString("hex")}`;
  const { child, url, words } = await startOnFreePort(program, {
    DATABASE_URL: postgres.urlOf(database),
    INIT_ADMIN_API_TOKENS: adminToken,
    INIT_BACKEND_API_TOKENS: backendToken,
  });
  const call = caller(url);
  const admin = (method: string, path: string, body?: unknown, token = adminToken): Promise<unknown> =>
    call(method, `/api/admin${path}`, { authorization: token }, body);
  const sql = (statement: string): Promise<string> => postgres.sql(database, statement);
  return {
    url,
    pid: child.pid ?? 0,
    adminToken,
    backendToken,
    admin,
    sql,
    person: (name, role) => makePerson(admin, sql, name, role),
    setRole: async ({ id, name }, role) => {
      await admin("PUT", `/user-admin/${id}`, { name, rootRole: ROLES[role] });
    },
    protect: async (isProtected) => {
      await sql("DELETE FROM change_request_settings");
      if (isProtected)
        await sql(
          "INSERT INTO change_request_settings (project, environment) VALUES ('default', 'production')",
        );
    },
    stop: async () => {
      const wasGone = hasEnded(child);
      const how = `code ${child.exitCode}, signal ${child.signalCode}`;
      await end(child);
      await postgres.stop();
      if (wasGone) throw new Error(`Unleash had ended by itself (${how}): ${words()}`);
    },
  };
}

type Call = RunningUnleash["admin"];

function caller(
  url: string,
): (method: string, path: string, headers: Record<string, string>, body?: unknown) => Promise<unknown> {
  return async (method, path, headers, body) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { ...headers, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      signal: AbortSignal.timeout(CALL_WITHIN_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 300)}`);
    return text === "" ? undefined : JSON.parse(text);
  };
}

/** The token goes in by the database: signing in for it is limited to ten times a minute. */
async function makePerson(
  admin: Call,
  sql: RunningUnleash["sql"],
  name: string,
  role: Role,
): Promise<UnleashPerson> {
  const user = { name, username: name, rootRole: ROLES[role], sendEmail: false };
  const { id } = z.object({ id: z.number() }).parse(await admin("POST", "/user-admin", user));
  const token = `user:${randomBytes(28).toString("hex")}`;
  await sql(
    `INSERT INTO personal_access_tokens (secret, description, user_id, expires_at) VALUES ('${token}', 'tests', ${id}, now() + interval '1 day')`,
  );
  return { id, name, token };
}

const MIGRATE = `
  const { migrateDb } = await import(process.argv[1]);
  const [user, host, port, database] = process.argv.slice(2);
  await migrateDb({ db: { driver: "postgres", user, host, port: Number(port), database, ssl: false, schema: "public" } });
  process.exit(0);
`;

/** By the server's own migrations, in a process of its own: 2 s. */
async function migrate(program: string, postgres: RunningPostgres): Promise<void> {
  const { username, hostname, port } = new URL(postgres.urlOf(TEMPLATE));
  const migrator = program.replace(/server\.js$/, "migrator.js");
  const words = ["--input-type=module", "-e", MIGRATE, migrator, username, hostname, port, TEMPLATE];
  const { child, words: said } = launch(words, {});
  const timer = setTimeout(() => child.kill("SIGKILL"), MIGRATED_WITHIN_MS);
  const [code]: unknown[] = await once(child, "exit");
  clearTimeout(timer);
  if (code !== 0) throw new Error(`the database of Unleash could not be migrated: ${said()}`);
}

async function startOnFreePort(
  program: string,
  settings: NodeJS.ProcessEnv,
): Promise<{ readonly child: ChildProcess; readonly url: string; words(): string }> {
  for (let tried = 1; ; tried++) {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const { child, words } = launch([program], {
      ...settings,
      NODE_ENV: "production",
      DATABASE_SSL: "false",
      // Its copy is migrated; and the migrating library ends the server at any rejection that nobody handles, such as a late line of statistics about a flag
      // that a test has deleted by then.
      DATABASE_DISABLE_MIGRATION: "true",
      HTTP_HOST: "127.0.0.1",
      HTTP_PORT: String(port),
      CHECK_VERSION: "false",
      SEND_TELEMETRY: "false",
      LOG_LEVEL: "error",
    });
    try {
      const patience = { withinMs: READY_WITHIN_MS, everyMs: 50 };
      const state = await eventually("Unleash answers", () => stateOf(child, url), patience);
      if (state === "ended") throw new Error("it ended");
      return { child, url, words };
    } catch (error) {
      await end(child);
      if (!words().includes("EADDRINUSE") || tried === PORT_TRIES)
        throw new Error(`Unleash did not start: ${words()}`, { cause: error });
    }
  }
}

function launch(
  words: readonly string[],
  settings: NodeJS.ProcessEnv,
): { readonly child: ChildProcess; words(): string } {
  const env = { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "/", ...settings };
  const child = spawn(process.execPath, [...words], { env, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-4_000);
    });
  const endWithUs = (): void => void child.kill("SIGKILL");
  process.once("exit", endWithUs);
  child.once("exit", () => process.removeListener("exit", endWithUs));
  child.on("error", (error) => {
    said += error.message;
  });
  return { child, words: () => said };
}

async function stateOf(child: ChildProcess, url: string): Promise<"ready" | "ended" | undefined> {
  if (hasEnded(child)) return "ended";
  const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(2_000) });
  await response.arrayBuffer();
  return response.ok ? "ready" : undefined;
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

/** Its database is thrown away: there is nothing to wait for. */
async function end(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_WITHIN_MS);
  await ended;
  clearTimeout(timer);
}
