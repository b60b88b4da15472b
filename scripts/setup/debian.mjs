// Installs Debian packages as root without letting them start or enable their services.
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { run, SetupError, say } from "./report.mjs";

const POLICY = "/usr/sbin/policy-rc.d";
const MARK = "# Written by Belay's set-up while it installs packages; it may be removed.";
const APT_OPTIONS = ["-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"];

/**
 * Runs apt-get update and install. Throws SetupError when apt-get fails.
 * @param {readonly string[]} packages
 * @param {{ policy?: string }} [places] where the policy file is, for tests
 */
export async function installWithApt(packages, places = {}) {
  const policy = places.policy ?? POLICY;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await withoutServices(policy, async () => {
    if (!(await run("apt-get", ["update", ...APT_OPTIONS], { env }))) {
      throw new SetupError("apt-get update failed; its own messages are above");
    }
    const install = ["install", "-y", "--no-install-recommends", ...APT_OPTIONS, ...packages];
    if (!(await run("apt-get", install, { env })))
      throw new SetupError("apt-get install failed; its own messages are above");
  });
  if (!existsSync("/run/systemd/system")) return;
  const services = packages
    .filter((name) => /^(?:prometheus|postgresql)/.test(name))
    .map((name) => `${name}.service`);
  if (services.length === 0) return;
  // They would start at the next boot and hold their usual ports; the demo and the tests start their own.
  if (await run("systemctl", ["disable", "--quiet", ...services]))
    say(`left disabled: ${services.join(", ")}`);
}

/**
 * Debian's packages start their services when installed, unless this file says no. One that is there already is left as it is.
 * @param {string} policy
 * @param {() => Promise<void>} work
 */
async function withoutServices(policy, work) {
  const theirs = existsSync(policy) && !readFileSync(policy, "utf8").includes(MARK);
  if (theirs) return work();
  const remove = () => rmSync(policy, { force: true });
  const interrupted = () => {
    remove();
    process.exit(130);
  };
  process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
  writeFileSync(policy, `#!/bin/sh\n${MARK}\nexit 101\n`, { mode: 0o755 });
  try {
    await work();
  } finally {
    remove();
    process.off("SIGINT", interrupted).off("SIGTERM", interrupted);
  }
}
