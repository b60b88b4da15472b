/** Configuration: every mistake at once, secrets only from the environment or from files. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Config, readConfig } from "../../src/config.ts";

function good(env: Record<string, string>): Config {
  const result = readConfig(env);
  if (result.kind === "bad") throw new Error(result.mistakes.join("; "));
  return result.config;
}

function mistakes(env: Record<string, string>): readonly string[] {
  const result = readConfig(env);
  return result.kind === "bad" ? result.mistakes : [];
}

describe("configuration", () => {
  it("needs nothing: Belay then works by `belay do` alone", () => {
    const config = good({});
    expect(config).toMatchObject({
      httpPort: 8787,
      slack: undefined,
      token: undefined,
      zone: "UTC",
      operators: undefined,
    });
  });

  it("takes Slack by Socket Mode or by HTTP", () => {
    expect(good({ SLACK_BOT_TOKEN: "xoxb-1", SLACK_APP_TOKEN: "xapp-1" }).slack).toEqual({
      mode: "socket",
      botToken: "xoxb-1",
      appToken: "xapp-1",
    });
    expect(
      good({ SLACK_BOT_TOKEN: "xoxb-1", SLACK_SIGNING_SECRET: "s", SLACK_HTTP_PORT: "4000" }).slack,
    ).toEqual({
      mode: "http",
      botToken: "xoxb-1",
      signingSecret: "s",
      port: 4000,
    });
  });

  it("takes a mode, and none by itself", () => {
    expect(good({}).mode).toBeUndefined();
    expect(good({ BELAY_MODE: "observe" }).mode).toBe("observe");
    expect(good({ BELAY_MODE: " act " }).mode).toBe("act");
    expect(mistakes({ BELAY_MODE: "dry-run" })).toEqual([
      'BELAY_MODE: expected act or observe, found "dry-run"',
    ]);
  });

  it("reads groups, operators and channels as lists", () => {
    const config = good({
      BELAY_GROUPS: "release-approvers=U1,U2 oncall=cli:kim",
      BELAY_OPERATORS: "U1, U3",
      BELAY_CHANNELS: "#ops C0123456",
    });
    expect([...config.groups]).toEqual([
      ["release-approvers", ["U1", "U2"]],
      ["oncall", ["cli:kim"]],
    ]);
    expect(config.operators).toEqual(["U1", "U3"]);
    expect(config.channels).toEqual(["#ops", "C0123456"]);
  });

  it("tells every mistake at once, and no secret", () => {
    const found = mistakes({
      BELAY_HTTP_PORT: "eighty",
      BELAY_ZONE: "Berlin/Europe",
      BELAY_LOG: "loud",
      BELAY_TOKEN: "short",
      BELAY_GROUPS: "approvers",
      SLACK_BOT_TOKEN: "oxb-secret-canary",
      SLACK_API_URL: "not a url",
    });
    expect(found).toHaveLength(8);
    expect(found.join("\n")).not.toContain("canary");
    expect(found.join("\n")).not.toContain("short");
  });

  it.each([
    ["BELAY_PROBE_ALLOW", "http://x", "expected a host name"],
    ["BELAY_EXEC_ALLOW", "restart", "expected absolute paths of programs"],
    ["BELAY_OPERATORS", "@ana", "expected member IDs"],
    ["BELAY_CHANNELS", "ops", "expected channels such as #ops"],
    ["BELAY_SECOND_CHANNEL_URL", "ftp://canary", "expected an http(s) URL"],
    ["BELAY_HEARTBEAT_URL", "canary", "expected an http(s) URL"],
    ["BELAY_PAGERDUTY_API", "ftp://x", "expected an http(s) URL"],
    ["BELAY_PAGERDUTY_EVENTS", "http://127.0.0.1:1", "expected HOST:PORT"],
    ["BELAY_PAGERDUTY_FROM", "nobody", "expected the e-mail address"],
  ])("names %s when it is %s", (name, value, says) => {
    const found = mistakes({ [name]: value });
    expect(found).toEqual([expect.stringContaining(`${name}: ${says}`)]);
    expect(found.join("\n")).not.toContain("canary");
  });

  it("warns of what is no mistake and yet hardly meant", () => {
    const pager = { BELAY_PAGERDUTY_KEY: "0123456789abcdef0123456789abcdef" };
    expect(good(pager).warnings).toEqual([]);
    expect(good({}).warnings).toEqual([expect.stringContaining("pages ask nobody")]);
    expect(good({ ...pager, BELAY_HOOKSPORT: "8090" }).warnings).toEqual([
      "BELAY_HOOKSPORT is no setting of this version: docs/settings.md lists them",
    ]);
    expect(good({ ...pager, BELAY_ALERTS_TOKEN: "a-token-of-sixteen-or-more" }).warnings).toEqual([
      expect.stringContaining("BELAY_HOOKS_PORT is not set"),
    ]);
  });

  it("knows every setting that its documentation names", () => {
    const text = readFileSync("docs/settings.md", "utf8");
    const names = [...text.matchAll(/^\| `(BELAY_[A-Z_]+)`/gm)].map(([, name = ""]) => name);
    expect(names.length).toBeGreaterThan(20);
    const given = new Map(names.map((name) => [name, ""]));
    const result = readConfig(Object.fromEntries(given));
    if (result.kind === "bad") throw new Error(result.mistakes.join("; "));
    expect(result.config.warnings.filter((one) => one.includes("no setting"))).toEqual([]);
  });

  it("takes a secret from a file, and not from both", () => {
    const dir = mkdtempSync(join(tmpdir(), "belay-config-"));
    try {
      const path = join(dir, "token");
      writeFileSync(path, "a-token-of-sixteen-or-more\n");
      expect(good({ BELAY_TOKEN_FILE: path }).token).toBe("a-token-of-sixteen-or-more");
      expect(mistakes({ BELAY_TOKEN_FILE: path, BELAY_TOKEN: "a-token-of-sixteen-or-more" })).toEqual([
        "BELAY_TOKEN and BELAY_TOKEN_FILE are both set: use one",
      ]);
      expect(mistakes({ BELAY_TOKEN_FILE: join(dir, "none") })).toEqual([
        `BELAY_TOKEN_FILE: the file ${join(dir, "none")} cannot be read`,
      ]);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  it("misses the bot token when other Slack settings are there", () => {
    expect(mistakes({ SLACK_APP_TOKEN: "xapp-1" })).toEqual([
      "SLACK_BOT_TOKEN is missing: it is needed beside the other Slack settings",
    ]);
    expect(mistakes({ SLACK_BOT_TOKEN: "xoxb-1" })[0]).toContain(
      "SLACK_APP_TOKEN (Socket Mode) or SLACK_SIGNING_SECRET (HTTP) is missing",
    );
  });
});
