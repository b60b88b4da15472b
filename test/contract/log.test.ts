/** The log: one record per call whatever it is given, no secret in it, and nothing that could forge a record. */
import { spawn, spawnSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createLog, type LogOptions, type SystemLog } from "../../src/adapters/log.ts";

const MODULE = new URL("../../src/adapters/log.ts", import.meta.url).href;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to look for.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;
const CANARY = "canary-7f3a/secret+value==";

interface Kept {
  readonly log: SystemLog;
  readonly lines: string[];
  /** The only record so far. */
  record(): Record<string, unknown>;
}

function keep(options: Omit<LogOptions, "write"> = {}): Kept {
  const lines: string[] = [];
  const log = createLog({ ...options, write: (line) => lines.push(line) });
  return {
    log,
    lines,
    record() {
      const [line] = lines;
      if (line === undefined || lines.length !== 1)
        throw new Error(`${lines.length} records were written, expected 1`);
      const value: Record<string, unknown> = JSON.parse(line);
      return value;
    },
  };
}

describe("a record", () => {
  it("has its level, time, message and fields", () => {
    const { log, record, lines } = keep();
    log.warn("the store is slow", { tookMs: 12.5, flags: ["a", "b"], nested: { ok: true, none: null } });
    expect(record()).toMatchObject({
      level: "warn",
      msg: "the store is slow",
      tookMs: 12.5,
      flags: ["a", "b"],
      nested: { ok: true, none: null },
    });
    expect(String(record()["time"])).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(lines[0]?.endsWith("}\n")).toBe(true);
  });

  it("is written from its level on", () => {
    const { log, lines } = keep({ level: "warn" });
    log.info("no");
    log.warn("yes");
    log.error("yes");
    expect(lines.length).toBe(2);
  });

  it("does not let a field take the place of its own", () => {
    const { log, record, lines } = keep();
    log.error("real", { level: "info", time: "then", msg: "forged" });
    expect(record()).toMatchObject({
      level: "error",
      msg: "real",
      level_: "info",
      time_: "then",
      msg_: "forged",
    });
    expect(lines[0]?.match(/"msg":/g)?.length).toBe(1);
  });

  it("is one line for people when asked", () => {
    const { log, lines } = keep({ human: true });
    log.warn("two\nlines \u001b[31mred", { flag: "parallel", why: "it is slow", n: 3, list: [1, "a b"] });
    expect(lines.length).toBe(1);
    expect(lines[0]).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} WARN {2}two\\nlines \\u001b\[31mred flag=parallel why="it is slow" n=3 list=\[1,"a b"\]\n$/,
    );
  });
});

describe("secrets", () => {
  it("are cut out wherever they stand once registered", () => {
    const { log, lines } = keep();
    log.registerSecret(CANARY);
    const error = new Error(`refused ${CANARY}`, { cause: new Error(CANARY) });
    Object.assign(error, { config: { headers: { "X-Key": CANARY } }, code: CANARY });
    log.error(`message ${CANARY}${CANARY}`, {
      text: `a ${CANARY} b`,
      [`name ${CANARY}`]: 1,
      deep: [{ list: [CANARY] }, new Map([["k", CANARY]]), new Set([CANARY])],
      url: `http://127.0.0.1/?q=${encodeURIComponent(CANARY)}`,
      basic: Buffer.from(CANARY).toString("base64"),
      address: new URL(`http://127.0.0.1/${encodeURIComponent(CANARY)}`),
      error,
      json: JSON.stringify({ a: CANARY }),
    });
    expect(lines.length).toBe(1);
    expect(lines[0]).not.toContain("canary");
    expect(lines[0]).not.toContain("secret+value");
    expect(lines[0]).not.toContain(Buffer.from("canary-7f3a/secret").toString("base64").slice(0, 16));
    expect(lines[0]).not.toContain("X-Key");
  });

  it("are cut out in numbers, in longer secrets, and in texts that are cut short", () => {
    const { log, lines } = keep();
    log.registerSecret("918273645546");
    log.registerSecret("s3cr3t");
    log.registerSecret("s3cr3t-and-longer");
    log.info("x", {
      pin: 918273645546,
      big: 918273645546n,
      long: "s3cr3t-and-longer",
      tail: `${"y".repeat(7_997)}s3cr3t`,
    });
    const line = lines.join("");
    expect(line).not.toMatch(/918273645546|s3c|and-longer/);
  });

  it("are cut out under names that say so, whatever they look like", () => {
    const { log, record } = keep();
    log.info("x", {
      token: "a",
      slackBotToken: { value: "b" },
      "X-Api-Key": ["c"],
      client_secret: 4,
      headers: { Authorization: "d", Cookie: "e", accept: "f" },
      responseUrl: "g",
      password: "",
      hasToken: true,
      key: "kept",
    });
    expect(record()).toMatchObject({
      token: "[redacted]",
      slackBotToken: "[redacted]",
      "X-Api-Key": "[redacted]",
      client_secret: "[redacted]",
      headers: { Authorization: "[redacted]", Cookie: "[redacted]", accept: "f" },
      responseUrl: "[redacted]",
      password: "",
      hasToken: true,
      key: "kept",
    });
  });

  it("are cut out by their shape", () => {
    const { log } = keep();
    const shapes: readonly (readonly [string, string])[] = [
      ["xoxb-1234567890-abcdefghij", "1234567890"],
      ["xapp-1-A012345-abcdef", "A012345"],
      ["Authorization: Bearer eyJhbGciOi.J9.x_y-z", "eyJ"],
      ["authorization: basic dXNlcjpwYXNz", "dXNl"],
      ["http://ana:hunter2@127.0.0.1/x", "hunter2"],
      ["https://hooks.slack.com/commands/T0/1/aBcD", "aBcD"],
    ];
    for (const [text, secret] of shapes) {
      expect(log.redact(`before ${text} after`)).not.toContain(secret);
      expect(log.redact(`before ${text} after`)).toMatch(/^before .*\[redacted\].* after$/);
    }
    expect(log.redact("a bearer of news; see http://127.0.0.1:9090/x@y")).toBe(
      "a bearer of news; see http://127.0.0.1:9090/x@y",
    );
  });

  it("too short to be one are not taken", () => {
    const { log, record } = keep();
    log.registerSecret("");
    log.registerSecret("  e ");
    log.info("the message");
    expect(record()).toMatchObject({ msg: "the message" });
  });
});

describe("whatever it is given", () => {
  it("it does not throw, and writes one record of bounded size", () => {
    const circular: Record<string, unknown> = { name: "a" };
    circular["self"] = circular;
    let deep: Record<string, unknown> = {};
    for (let count = 0; count < 1_000; count++) deep = { deep };
    const odd = {
      circular,
      deep,
      big: "x".repeat(5_000_000),
      many: Array.from({ length: 100_000 }, (_, index) => index),
      wide: Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`k${index}`, { a: [1, 2, 3] }])),
      bytes: new Uint8Array(1_000_000),
      symbol: Symbol("s"),
      act: () => 1,
      nan: Number.NaN,
      infinity: Number.NEGATIVE_INFINITY,
      none: undefined,
      date: new Date(Number.NaN),
      proxy: new Proxy(
        {},
        {
          ownKeys() {
            throw new Error("no");
          },
        },
      ),
      json: { toJSON: () => CANARY },
    };
    Object.defineProperty(odd, "getter", {
      enumerable: true,
      get() {
        return new Error("odd", { cause: circular });
      },
    });
    const { log, lines, record } = keep();
    log.info("odd", odd);
    expect(lines.length).toBe(1);
    expect(lines[0]?.length).toBeLessThan(64_000);
    expect(record()).toMatchObject({
      circular: { name: "a", self: "[circular]" },
      nan: "NaN",
      infinity: "-Infinity",
      bytes: "[1000000 bytes]",
      proxy: "[unreadable]",
    });
  });

  it("it says that a record was lost when the fields themselves cannot be read", () => {
    const { log, record } = keep();
    const fields = {
      get broken(): string {
        throw new Error("no");
      },
    };
    log.error("x", fields);
    expect(record()).toMatchObject({ level: "error", msg: "a log record could not be written" });
  });

  it("it does not throw when nothing can be written", () => {
    const log = createLog({
      write: () => {
        throw new Error("closed");
      },
    });
    expect(() => log.error("x", { a: 1 })).not.toThrow();
  });

  it("any text is one line without control characters, and any value is JSON", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }),
        fc.dictionary(fc.string(), fc.anything()),
        fc.boolean(),
        (message, fields, human) => {
          const { log, lines } = keep({ human });
          log.info(message, fields);
          expect(lines.length).toBe(1);
          const [line = ""] = lines;
          expect(line.slice(0, -1)).not.toMatch(CONTROL);
          if (!human) expect(JSON.parse(line)).toMatchObject({ level: "info" });
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("stderr", () => {
  const script = `
    const { createLog } = await import(${JSON.stringify(MODULE)});
    const log = createLog();
    log.info("first", { a: 1 });
    log.error("second");
    process.stdout.write("end");`;
  const args = ["--input-type=module", "--eval", script];

  it("gets JSON lines when it is no terminal, and stdout nothing", () => {
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect({ stdout, status }).toEqual({ stdout: "end", status: 0 });
    expect(
      stderr
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).msg),
    ).toEqual(["first", "second"]);
  });

  it("may be closed without harm", () => {
    const { stdout, status } = spawnSync(
      "/bin/sh",
      ["-c", 'exec "$0" "$@" 2>&-', process.execPath, ...args],
      { encoding: "utf8" },
    );
    expect({ stdout, status }).toEqual({ stdout: "end", status: 0 });
  });

  it("may be a pipe whose reader has gone", () => {
    const shell = `{ "$0" "$@" 2>&3 3>&-; echo " $?"; } 3>&1 >&4 4>&- | true`;
    const { stdout } = spawnSync("/bin/sh", ["-c", `exec 4>&1; ${shell}`, process.execPath, ...args], {
      encoding: "utf8",
    });
    expect(stdout).toBe("end 0\n");
  });

  it("may be left unread: Belay goes on, and says later how many records were dropped", async () => {
    const flood = `
      const { createLog } = await import(${JSON.stringify(MODULE)});
      const log = createLog();
      for (let count = 0; count < 20_000; count++) log.info("x".repeat(200));
      process.stdout.write("went on");`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", flood], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const ended = new Promise((resolve) => child.once("close", resolve));
    child.stdout.setEncoding("utf8");
    expect(await new Promise((resolve) => child.stdout.once("data", resolve))).toBe("went on");
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (chunk) => {
      stderr += String(chunk);
    });
    expect(await ended).toBe(0);
    const records: readonly Record<string, unknown>[] = stderr
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const told = records.filter(({ level }) => level === "warn");
    const dropped = told.reduce((sum, record) => sum + Number(record["dropped"]), 0);
    expect(dropped).toBeGreaterThan(0);
    expect(records.length - told.length + dropped).toBe(20_000);
  });
});
