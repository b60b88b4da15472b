/** The systemd unit and the polkit rule: what they close, and that they open exactly one door. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { ROOT } from "./biome-run.ts";

const unit = readFileSync(join(ROOT, "deploy", "belay.service"), "utf8");

/** All values of a key of the unit, in order. */
function values(key: string): readonly string[] {
  return unit
    .split("\n")
    .filter((line) => line.startsWith(`${key}=`))
    .map((line) => line.slice(key.length + 1));
}

describe("deploy/belay.service", () => {
  it.each([
    ["User", "belay"],
    ["ProtectSystem", "strict"],
    ["ProtectHome", "yes"],
    ["NoNewPrivileges", "yes"],
    ["PrivateTmp", "yes"],
    ["PrivateDevices", "yes"],
    ["CapabilityBoundingSet", ""],
    ["RestrictNamespaces", "yes"],
    ["RestrictSUIDSGID", "yes"],
    ["LockPersonality", "yes"],
    ["SystemCallArchitectures", "native"],
    ["StateDirectory", "belay"],
    ["StateDirectoryMode", "0700"],
    ["UMask", "0077"],
    ["Restart", "always"],
    ["StartLimitIntervalSec", "0"],
  ])("has %s=%s once", (key, value) => {
    expect(values(key)).toEqual([value]);
  });

  it("writes only its state and the folder of the env-file", () => {
    expect(values("ReadWritePaths")).toEqual(["-/etc/ingestion"]);
  });

  it("takes its tokens from a file and names none itself", () => {
    expect(values("EnvironmentFile")).toEqual(["/etc/belay/belay.env"]);
    expect(values("Environment").join(" ")).not.toMatch(/token|secret|passw|xox|xapp/i);
  });

  it("runs the compiled bot on the state folder that systemd makes", () => {
    expect(values("ExecStart")).toEqual(["/usr/bin/node /opt/belay/dist/cli.js start"]);
    expect(values("Environment").join(" ")).toContain("BELAY_STATE=/var/lib/belay");
  });
});

describe("deploy/belay", () => {
  const script = readFileSync(join(ROOT, "deploy", "belay"), "utf8");

  it("speaks to the Belay of the unit: same program, same folders, same user", () => {
    const [program = ""] = values("ExecStart").map((command) => command.replace(/ start$/, ""));
    expect(script).toContain(program);
    const state =
      values("Environment")
        .join(" ")
        .match(/BELAY_STATE=\S+/)?.[0] ?? "none";
    expect(script).toContain(state);
    expect(script).toContain(`BELAY_DIR=${values("WorkingDirectory")[0] ?? "none"}`);
    expect(script).toContain(`sudo -u ${values("User")[0] ?? "none"}`);
  });
});

describe("deploy/50-belay.rules", () => {
  /** Loads the rule as polkit does and asks it. */
  function ask(user: string, id: string, details: Readonly<Record<string, string>>): string {
    const rules: ((action: object, subject: object) => string)[] = [];
    const Result = { YES: "yes", NO: "no", NOT_HANDLED: "not handled" };
    const polkit = {
      Result,
      addRule: (rule: (action: object, subject: object) => string) => rules.push(rule),
    };
    runInNewContext(readFileSync(join(ROOT, "deploy", "50-belay.rules"), "utf8"), { polkit });
    const [rule, ...more] = rules;
    if (rule === undefined || more.length > 0) throw new Error(`expected one rule, found ${rules.length}`);
    return rule({ id, lookup: (key: string) => details[key] }, { user, isInGroup: () => true });
  }
  const UNITS = "org.freedesktop.systemd1.manage-units";

  it.each(["restart", "reset-failed"])("lets belay %s ingestion.service", (verb) => {
    expect(ask("belay", UNITS, { unit: "ingestion.service", verb })).toBe("yes");
  });

  it.each([
    ["another user", "ana", UNITS, { unit: "ingestion.service", verb: "restart" }],
    ["another unit", "belay", UNITS, { unit: "sshd.service", verb: "restart" }],
    ["a unit with a longer name", "belay", UNITS, { unit: "ingestion.service.service", verb: "restart" }],
    ["Belay's own unit", "belay", UNITS, { unit: "belay.service", verb: "restart" }],
    ["stop", "belay", UNITS, { unit: "ingestion.service", verb: "stop" }],
    ["start", "belay", UNITS, { unit: "ingestion.service", verb: "start" }],
    ["set-property", "belay", UNITS, { unit: "ingestion.service", verb: "set-property" }],
    ["a call that names no verb", "belay", UNITS, { unit: "ingestion.service" }],
    ["a call that names no unit", "belay", UNITS, { verb: "restart" }],
    [
      "unit files",
      "belay",
      "org.freedesktop.systemd1.manage-unit-files",
      { unit: "ingestion.service", verb: "restart" },
    ],
    ["reload of the manager", "belay", "org.freedesktop.systemd1.reload-daemon", {}],
    [
      "a program as root",
      "belay",
      "org.freedesktop.policykit.exec",
      { unit: "ingestion.service", verb: "restart" },
    ],
  ])("says nothing about %s", (_what, user, id, details) => {
    expect(ask(user, id, details)).toBe("not handled");
  });
});
