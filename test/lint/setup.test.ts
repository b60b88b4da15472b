/** The set-up of a fresh clone, run as the real script in small checkouts whose npm and apt-get are stand-ins on PATH. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { installWithApt } from "../../scripts/setup/debian.mjs";
import { installLine } from "../../scripts/setup/hints.mjs";
import { findProgram } from "../../scripts/setup/programs.mjs";
import { findUnleash, UNLEASH_VERSION } from "../../scripts/setup/unleash.mjs";
import { ROOT } from "./biome-run.ts";
import { Checkout, LOCK, node, type Ran, script } from "./setup-checkout.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "belay-setup-"));
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

describe("packages", () => {
  it("are installed on a fresh clone, with nothing on stdout, and only once", async () => {
    const checkout = new Checkout(folder);
    const first = await checkout.setup("check");
    expect(first).toMatchObject({ code: 0, stdout: "" });
    expect(first.stderr).toContain("noise of npm");
    expect(await checkout.setup("check")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(checkout.npmRuns()).toEqual(["ci"]);
  });

  it("are installed once when two set-ups start together", async () => {
    const checkout = new Checkout(folder);
    const both = await Promise.all([checkout.setup("check"), checkout.setup("sim")]);
    expect(both.map((ran) => ran.code)).toEqual([0, 0]);
    expect(checkout.npmRuns()).toEqual(["ci"]);
  });

  it("are left alone after an npm ci by hand", async () => {
    const checkout = new Checkout(folder);
    await checkout.setup("check");
    rmSync(join(folder, "node_modules", ".belay-setup"));
    expect(await checkout.setup("check")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(checkout.npmRuns()).toEqual(["ci"]);
  });

  it.each([
    [
      "the lock has another version",
      (c: Checkout) =>
        c.lock({
          ...LOCK,
          packages: { ...LOCK.packages, "node_modules/near": { version: "1.0.1", integrity: "sha512-d" } },
        }),
    ],
    [
      "development packages are left out",
      () =>
        writeFileSync(
          join(folder, "node_modules", ".package-lock.json"),
          JSON.stringify({ packages: { "node_modules/near": LOCK.packages["node_modules/near"] } }),
        ),
    ],
    [
      "a package was deleted by hand",
      () => rmSync(join(folder, "node_modules", "near"), { recursive: true }),
    ],
    ["an install was interrupted", () => rmSync(join(folder, "node_modules", ".package-lock.json"))],
  ])("are installed again when %s", async (_what, change) => {
    const checkout = new Checkout(folder);
    await checkout.setup("check");
    change(checkout);
    const { packages } = JSON.parse(readFileSync(join(folder, "package-lock.json"), "utf8"));
    checkout.installs({
      "node_modules/near": packages["node_modules/near"],
      "node_modules/dev": packages["node_modules/dev"],
    });
    expect((await checkout.setup("check")).code).toBe(0);
    expect(checkout.npmRuns()).toEqual(["ci", "ci"]);
  });

  it("fail in one line when npm fails", async () => {
    const checkout = new Checkout(folder);
    writeFileSync(join(folder, "fail"), "");
    const ran = await checkout.setup("check");
    expect(ran).toMatchObject({ code: 1, stdout: "" });
    expect(ran.stderr.trim().split("\n").at(-1)).toBe("set-up: npm ci failed; its own messages are above");
  });

  it("say what to type when their Node is missing", async () => {
    const checkout = new Checkout(folder);
    writeFileSync(join(folder, "nonode"), "");
    const ran = await checkout.setup("check");
    expect(ran.code).toBe(1);
    expect(checkout.npmRuns()).toEqual(["ci", "rebuild node"]);
    expect(ran.stderr.trim().split("\n").at(-1)).toMatch(
      /\.bin\/node is missing; .*type `npm rebuild node --ignore-scripts=false`$/,
    );
  });

  it("say so when their Node is too old", async () => {
    const checkout = new Checkout(folder);
    await checkout.setup("check");
    rmSync(join(folder, "node_modules", ".bin", "node"));
    script(join(folder, "node_modules", ".bin", "node"), "echo v22.17.9");
    expect((await checkout.setup("check")).stderr).toContain("is v22.17.9, older than 22.18");
  });

  it("say what is wrong when package-lock.json is broken", async () => {
    const checkout = new Checkout(folder);
    writeFileSync(join(folder, "package-lock.json"), "{");
    expect(await checkout.setup("check")).toEqual({
      code: 1,
      stdout: "",
      stderr: "set-up: package-lock.json is missing or broken: get it back from git\n",
    });
  });
});

describe("the Unleash server of the tests", () => {
  it("is installed beside the packages, in its one version, when the tests are set up, and only once", async () => {
    const checkout = new Checkout(folder);
    checkout.unleash(UNLEASH_VERSION);
    expect(findUnleash(folder)).toBeUndefined();
    expect(await checkout.setup("test")).toMatchObject({ code: 0, stdout: "" });
    const program = join(folder, ".unleash", "node_modules", "unleash-server", "dist", "server.js");
    expect(findUnleash(folder)).toBe(program);
    expect(await checkout.setup("test")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(checkout.npmRuns()).toEqual(["ci", `install unleash-server@${UNLEASH_VERSION}`]);
    expect(readFileSync(join(folder, ".unleash", "package.json"), "utf8")).toContain("private");
  });

  it("is not installed for what does without it", async () => {
    const checkout = new Checkout(folder);
    await checkout.setup("check");
    expect(existsSync(join(folder, ".unleash"))).toBe(false);
  });

  it.each([
    [
      "an install was interrupted",
      () => rmSync(join(folder, ".unleash", "node_modules", ".package-lock.json")),
    ],
    [
      "another version is there",
      () =>
        writeFileSync(
          join(folder, ".unleash", "node_modules", "unleash-server", "package.json"),
          JSON.stringify({ version: "7.6.5" }),
        ),
    ],
  ])("is installed anew when %s", async (_what, change) => {
    const checkout = new Checkout(folder);
    checkout.unleash(UNLEASH_VERSION);
    await checkout.setup("test");
    change();
    expect(findUnleash(folder)).toBeUndefined();
    expect((await checkout.setup("test")).code).toBe(0);
    expect(findUnleash(folder)).toBeDefined();
  });

  it("fails in one line when npm fails, or installs something else", async () => {
    const checkout = new Checkout(folder);
    await checkout.setup("check");
    checkout.unleash("8.1.0");
    const wanted = `unleash-server@${UNLEASH_VERSION}`;
    const lastLine = (ran: Ran): string | undefined => ran.stderr.trim().split("\n").at(-1);
    expect(lastLine(await checkout.setup("test"))).toBe(
      `set-up: npm install ended well but ${wanted} is not in .unleash/`,
    );
    writeFileSync(join(folder, "fail"), "");
    const ran = await checkout.setup("test");
    expect(ran.code).toBe(1);
    expect(lastLine(ran)).toBe(`set-up: npm install of ${wanted} failed; its own messages are above`);
  });
});

describe("the lock", () => {
  const worker = `
    import { appendFileSync } from "node:fs";
    import { setTimeout as sleep } from "node:timers/promises";
    const [root, log, die] = process.argv.slice(2);
    const { withLock } = await import("${join(ROOT, "scripts", "setup", "lock.mjs")}");
    await withLock(root, async () => {
      appendFileSync(log, "in\\n");
      if (die === "die") process.kill(process.pid, "SIGKILL");
      await sleep(5);
      appendFileSync(log, "out\\n");
    });
  `;

  it("lets one in at a time, and the next one when its holder was killed", async () => {
    const log = join(folder, "log");
    writeFileSync(join(folder, "worker.mjs"), worker);
    const start = (how: string): Promise<Ran> =>
      node([join(folder, "worker.mjs"), folder, log, how], { PATH: "/usr/bin:/bin" });
    const ways = ["live", "die", "live", "live", "die", "live"];
    const codes = (await Promise.all(ways.map(start))).map((ran) => ran.code);
    expect(codes.filter((code) => code === 0)).toHaveLength(4);
    const steps = readFileSync(log, "utf8").trim().split("\n").join(" ");
    expect(steps.match(/in out/g)).toHaveLength(4);
    expect(
      steps
        .replaceAll(/in out/g, "")
        .trim()
        .split(/\s+/),
    ).toEqual(["in", "in"]);
  });
});

describe("programs", () => {
  it("are found on PATH by any of their names, and by their override first", () => {
    const [path, own] = [join(folder, "alertmanager"), join(folder, "own")];
    script(path, "exit 0");
    script(own, "exit 0");
    expect(findProgram("alertmanager", { PATH: `/nowhere:${folder}` })).toBe(path);
    expect(findProgram("alertmanager", { PATH: folder, BELAY_ALERTMANAGER: own })).toBe(own);
    expect(() =>
      findProgram("alertmanager", { PATH: folder, BELAY_ALERTMANAGER: join(folder, "gone") }),
    ).toThrow("BELAY_ALERTMANAGER is");
  });

  const system = (platform: string, distribution: string, ...has: readonly string[]) => ({
    platform,
    arch: "x64",
    distribution,
    has: (name: string) => has.includes(name),
  });

  it.each([
    [
      "Debian",
      system("linux", "debian", "apt-get"),
      /^sudo apt-get update && sudo apt-get install -y --no-install-recommends prometheus prometheus-alertmanager chromium$/,
    ],
    [
      "Ubuntu",
      system("linux", "ubuntu", "apt-get"),
      /recommends prometheus prometheus-alertmanager && curl .*google-chrome.*&& sudo apt-get install -y \/tmp/,
    ],
    [
      "macOS",
      system("darwin", "", "brew"),
      /^brew install prometheus && curl .*darwin-amd64.*"\$\(brew --prefix\)\/bin".* && brew install --cask google-chrome$/,
    ],
    [
      "Fedora",
      system("linux", "fedora", "dnf"),
      /prometheus-3\.\d+\.\d+\.linux-amd64\/prometheus && .*\/alertmanager && sudo dnf install -y chromium$/,
    ],
    ["Arch", system("linux", "arch", "pacman"), /^sudo pacman -S --needed prometheus alertmanager chromium$/],
    ["any other", system("freebsd", ""), /BELAY_PROMETHEUS.*BELAY_ALERTMANAGER.*BELAY_CHROMIUM/],
  ])("are named in one line on %s", (_name, on, line) => {
    const text = installLine(["prometheus", "alertmanager", "chromium"], on);
    expect(text).toMatch(line);
    expect(text).not.toContain("\n");
  });

  it.each([
    ["Debian", system("linux", "debian", "apt-get"), /--no-install-recommends postgresql$/],
    ["macOS", system("darwin", "", "brew"), /^brew install postgresql@\d+$/],
    ["Fedora", system("linux", "fedora", "dnf"), /^sudo dnf install -y postgresql-server$/],
    ["Arch", system("linux", "arch", "pacman"), /^sudo pacman -S --needed postgresql$/],
    ["any other", system("freebsd", ""), /BELAY_POSTGRES/],
  ])("are named so for PostgreSQL on %s", (_name, on, line) => {
    expect(installLine(["postgresql"], on)).toMatch(line);
  });
});

describe("apt-get", () => {
  /** An apt-get that writes down its words and whether the policy file forbade services meanwhile. */
  function fakeApt(exitCode: number): { readonly policy: string; readonly said: () => string } {
    const [policy, log] = [join(folder, "policy-rc.d"), join(folder, "apt.log")];
    script(join(folder, "apt-get"), `"${policy}"; echo "$? $*" >> "${log}"; exit ${exitCode}`);
    vi.stubEnv("PATH", folder);
    return { policy, said: () => readFileSync(log, "utf8") };
  }

  it("installs while services are forbidden, and takes its own policy away again", async () => {
    const { policy, said } = fakeApt(0);
    await installWithApt(["chromium"], { policy });
    expect(said()).toMatch(/^101 update .*\n101 install -y --no-install-recommends .* chromium\n$/);
    expect(existsSync(policy)).toBe(false);
  });

  it("leaves a policy that was there as it is", async () => {
    const { policy, said } = fakeApt(0);
    script(policy, "exit 77");
    await installWithApt(["chromium"], { policy });
    expect(said()).toMatch(/^77 update/);
    expect(readFileSync(policy, "utf8")).toContain("exit 77");
  });

  it("takes its policy away when it fails", async () => {
    const { policy } = fakeApt(1);
    await expect(installWithApt(["chromium"], { policy })).rejects.toThrow("apt-get update failed");
    expect(existsSync(policy)).toBe(false);
  });
});
