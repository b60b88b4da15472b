/** The demo's import as a process: it obeys its limit wherever that is read, ends a batch when the limit goes back, and goes on where it was killed. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Managed, manage } from "../../demo/bots/managed.ts";
import { createImportProbe, type ImportProbe } from "../../demo/import/probe.ts";
import { auditOf } from "../../demo/import/store.ts";
import { createProbe } from "../../demo/service/probe.ts";
import { freePort } from "../../demo/world/loopback.ts";
import { eventually, until } from "../support/eventually.ts";

const MAIN = fileURLToPath(new URL("../../demo/import/main.ts", import.meta.url));

let dir: string;
let importer: Managed;
let probe: ImportProbe;
let database: string;
let mismatched: () => Promise<number>;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "demo-import-test-"));
  database = join(dir, "records.db");
  const origin = `http://127.0.0.1:${await freePort()}`;
  importer = manage({
    name: "import",
    dir,
    upUrl: `${origin}/healthz`,
    command: [
      process.execPath,
      MAIN,
      `--port=${new URL(origin).port}`,
      `--database=${database}`,
      `--flags-file=${join(dir, "flags.json")}`,
      "--records=60000",
    ],
  });
  probe = createImportProbe(origin);
  mismatched = async () => (await createProbe(origin).metrics())("import_mismatched_records");
});

afterEach(async () => {
  await importer.stop();
  rmSync(dir, { recursive: true, force: true });
});

function setLimit(value: string): void {
  writeFileSync(join(dir, "flags.json"), JSON.stringify({ flags: { IMPORT_BATCH_LIMIT: { value } } }));
}

async function storedMoreThan(least: number): Promise<number> {
  return eventually(`more than ${least} records`, async () => {
    const { stored } = await probe.features();
    return stored > least ? stored : undefined;
  });
}

describe("the demo's import", () => {
  it("takes ten records a batch before anybody has told it a limit", async () => {
    await importer.restart();
    expect(await probe.features()).toMatchObject({ limit: "10", source: "none" });
    const stored = await storedMoreThan(10);
    expect(stored % 10).toBe(0);
    expect(stored).toBeLessThan(200);
  });

  it("ends its batch when the limit goes back, and keeps the last limit it knows", async () => {
    setLimit("60000");
    await importer.restart();
    await storedMoreThan(2_000);
    setLimit("10");
    await until("it works with 10", async () => (await probe.features()).limit === "10");
    const { stored } = await probe.features();
    const later = await storedMoreThan(stored);
    expect(later - stored).toBeLessThanOrEqual(800 + 10);
    rmSync(join(dir, "flags.json"));
    await until("it has lost its source", async () => (await probe.features()).source === "last");
    expect((await probe.features()).limit).toBe("10");
  });

  it("goes on where it was killed, and has every record once in the end", async () => {
    setLimit("60000");
    await importer.restart();
    const before = await storedMoreThan(5_000);
    importer.kill();
    const { records } = auditOf(database);
    expect(records).toBeGreaterThanOrEqual(before);
    await importer.restart();
    expect((await probe.features()).stored).toBeGreaterThanOrEqual(records);
    await until("everything is in", async () => (await probe.features()).stored === 60_000, {
      withinMs: 20_000,
    });
    expect(auditOf(database)).toEqual({ records: 60_000, mismatches: 0 });
  });

  it("tells of records that differ from their source, and mends them", async () => {
    setLimit("60000");
    await importer.restart();
    await probe.misbehave("corrupt");
    await eventually("records that differ", async () => ((await mismatched()) > 0 ? true : undefined));
    await probe.misbehave("none");
    expect(await mismatched()).toBe(0);
    setLimit("10");
    await until("it works with 10", async () => (await probe.features()).limit === "10");
    expect(auditOf(database).mismatches).toBe(0);
  });
});
