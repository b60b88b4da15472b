/** Makes folders of flags/ and schedules/ for tests, and says where in a text something stands. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, expect } from "vitest";
import type { Loaded, LoadOptions } from "../../src/adapters/files/folder.ts";
import { formatProblem } from "../../src/adapters/files/problem.ts";
import { loadFolder } from "../../src/house.ts";
import { PROVIDER_KINDS } from "../../src/providers.ts";

/** The kinds of providers as a message lists them. */
export const KINDS = PROVIDER_KINDS.join(", ").replace(/, ([^,]*)$/, " or $1");

/** A good flags file. */
export const FLAGS = `service: ingestion
environment: production
provider: { kind: env-file, path: /etc/x.env, restart: x.service }
view: { http: http://127.0.0.1:8000/features, pointer: /flags }
prometheus: { url: http://127.0.0.1:9090, scrape_interval: 15s }
flags:
  cache: { key: CACHE }
  batch: { key: BATCH, requires: [cache] }
guards:
  errors: { kind: threshold, query: 'sum(rate(bad_total[1m])) / sum(rate(all_total[1m]))', max: 2% }
`;
/** A good schedule over it. */
export const SCHEDULE = `rollout: demo
flags: main
stages:
  - { at: 0h, name: first, enable: cache }
  - { at: 1h, name: second, enable: batch, soak: 1h }
`;

/** Texts by path below the folder. */
export type Files = Readonly<Record<string, string | Buffer>>;
/** A folder without a mistake. */
export const GOOD: Files = { "flags/main.yaml": FLAGS, "schedules/demo.yaml": SCHEDULE };

const made: string[] = [];

afterEach(async () => {
  for (const dir of made.splice(0)) await rm(dir, { recursive: true, force: true });
});

/** Writes the files into a folder of their own, with flags/ and schedules/ in it, which is removed after the test. */
export async function folder(files: Files): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "belay-files-"));
  made.push(dir);
  for (const sub of ["flags", "schedules"]) await mkdir(join(dir, sub));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), text);
  }
  return dir;
}

export async function load(files: Files, options?: Omit<LoadOptions, "provider">): Promise<Loaded> {
  return loadFolder(await folder(files), options);
}

/** What `belay check` would print. */
export async function lines(
  files: Files,
  options?: Omit<LoadOptions, "provider">,
): Promise<readonly string[]> {
  return (await load(files, options)).problems.map(formatProblem);
}

/** `file:line:column` of the place that is `into` characters behind the only occurrence of `mark`. */
export function placeOf(file: string, text: string, mark: string, into = 0): string {
  const at = text.indexOf(mark);
  expect(at, `${mark} in the text`).toBeGreaterThanOrEqual(0);
  return placeAt(file, text, at + into);
}

/** `file:line:column` of a character. */
export function placeAt(file: string, text: string, offset: number): string {
  const before = text.slice(0, offset).split("\n");
  return `${file}:${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
}
