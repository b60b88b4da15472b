/** The command line by itself: what `belay check` notes of tokens, and a reader that goes away in the middle. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { belay } from "../support/command-line.ts";
import { FLAGS, folder, GOOD } from "../support/folder.ts";

const CLI = join(import.meta.dirname, "../../src/cli.ts");
const UNLEASH = FLAGS.replace(/^provider:.*$/m, "provider: { kind: unleash, url: 'http://unleash.example' }");
const NOTE =
  "note: BELAY_UNLEASH_TOKEN is not set here: where Belay runs it is needed to read or flip the flags in flags/main";
const VIEW =
  "note: BELAY_UNLEASH_CLIENT_TOKEN is not set here: where Belay runs it is needed to see what SDKs see of the flags in flags/main";

async function notesOf(flags: string, env: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const dir = await folder({ ...GOOD, "flags/main.yaml": flags });
  const { code, out } = await belay({ BELAY_STATE: join(dir, "state"), ...env }, "check", dir);
  expect(code).toBe(0);
  expect(out).toContain("0 errors, 0 warnings");
  return out.split("\n").filter((line) => line.startsWith("note:"));
}

describe("belay check", () => {
  it.each([
    ["{}", [NOTE]],
    ['{"BELAY_UNLEASH_TOKEN":"canary"}', []],
    ['{"BELAY_UNLEASH_TOKEN_PRODUCTION":"canary"}', []],
    ['{"BELAY_UNLEASH_TOKEN_FILE":"/run/token"}', []],
    ['{"BELAY_UNLEASH_TOKEN_STAGING":"canary"}', [NOTE]],
  ])("notes a token that is not set, and counts it as no mistake: %s", async (env, notes) => {
    expect(await notesOf(UNLEASH, JSON.parse(env))).toEqual(notes);
  });

  it("asks for the token of the view where the file has one", async () => {
    expect(await notesOf(UNLEASH.replace(/^view:.*$/m, "view: { sdk: {} }"), {})).toEqual([NOTE, VIEW]);
    expect(await notesOf(FLAGS, {})).toEqual([]);
  });
});

it("a reader that has seen enough gets no stack, and the work its exit code", async () => {
  // More than a pipe holds, so that the writing meets the closed end.
  const flags = Array.from({ length: 400 }, (_, i) => `  f${i}: { key: F${i}, undo: never }\n`).join("");
  const dir = await folder({
    ...GOOD,
    "flags/main.yaml": FLAGS.replace(/ {2}cache[\s\S]*(?=guards:)/, flags),
  });
  const child = spawn(process.execPath, [CLI, "check", dir], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"] ?? "", BELAY_STATE: join(dir, "state") },
  });
  child.stdout.destroy();
  const [err] = await Promise.all([text(child.stderr), once(child, "close")]);
  expect({ code: child.exitCode, err }).toEqual({ code: 1, err: "" });
});
