// The one line that installs what is missing, for the system at hand.

// Used only where the system's own packages lack them; Belay supports Prometheus 2.42 and later.
const RELEASES = { prometheus: "3.5.0", alertmanager: "0.28.1" };
/** What other systems call a program in their packages. @type {Readonly<Partial<Record<ProgramName, string>>>} */
const BREW = { faketime: "libfaketime", postgresql: "postgresql@17", prometheus: "prometheus" };
/** @type {Readonly<Partial<Record<ProgramName, string>>>} */
const DNF = { faketime: "libfaketime", postgresql: "postgresql-server", chromium: "chromium" };

/** @typedef {import("./programs.mjs").ProgramName} ProgramName */
/** @typedef {{ platform: string, arch: string, distribution: string, has: (name: string) => boolean }} System */

/**
 * What a person types to install `programs`. Commands are joined by && into one line.
 * @param {readonly ProgramName[]} programs
 * @param {System} system
 * @returns {string}
 */
export function installLine(programs, system) {
  if (system.platform === "darwin" && system.has("brew"))
    return join(programs.map((program) => brew(program, system)));
  if (system.platform === "linux" && system.has("apt-get")) return apt(programs, system);
  if (system.platform === "linux" && system.has("dnf")) {
    return join(
      programs.map((program) =>
        program === "prometheus" || program === "alertmanager"
          ? download(program, system)
          : `sudo dnf install -y ${DNF[program]}`,
      ),
    );
  }
  if (system.platform === "linux" && system.has("pacman"))
    return `sudo pacman -S --needed ${programs.map((name) => (name === "faketime" ? "libfaketime" : name)).join(" ")}`;
  return join(programs.map((program) => byHand(program)));
}

/** @param {readonly string[]} commands */
function join(commands) {
  return commands.join(" && ");
}

/**
 * What apt-get calls a program.
 * @param {ProgramName} program
 * @param {string} distribution the ID of /etc/os-release
 * @returns {string | undefined} undefined for Chromium on Ubuntu, which has no such package
 */
export function aptPackage(program, distribution) {
  if (program === "alertmanager") return "prometheus-alertmanager";
  return program === "chromium" && distribution === "ubuntu" ? undefined : program;
}

/** @param {readonly ProgramName[]} programs @param {System} system */
function apt(programs, system) {
  const packages = programs
    .map((program) => aptPackage(program, system.distribution))
    .filter((name) => name !== undefined);
  const install = `sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages.join(" ")}`;
  const commands = packages.length > 0 ? [install] : [];
  return join(packages.length < programs.length ? [...commands, ubuntuChromium(system)] : commands);
}

/** @param {System} system */
function ubuntuChromium(system) {
  if (system.arch !== "x64") return "sudo snap install chromium";
  const file = "google-chrome-stable_current_amd64.deb";
  return `curl -fsSLo /tmp/${file} https://dl.google.com/linux/direct/${file} && sudo apt-get install -y /tmp/${file}`;
}

/** @param {ProgramName} program @param {System} system */
function brew(program, system) {
  if (program === "chromium") return "brew install --cask google-chrome";
  if (program === "alertmanager") return download(program, system);
  return `brew install ${BREW[program]}`;
}

/** The release of the Prometheus project itself. @param {"prometheus" | "alertmanager"} program @param {System} system */
function download(program, system) {
  const version = RELEASES[program];
  const arch = system.arch === "x64" ? "amd64" : system.arch;
  const name = `${program}-${version}.${system.platform}-${arch}`;
  const url = `https://github.com/prometheus/${program}/releases/download/v${version}/${name}.tar.gz`;
  const [tar, folder] = system.has("brew")
    ? ["tar", '"$(brew --prefix)/bin"']
    : ["sudo tar", "/usr/local/bin"];
  return `curl -fsSL ${url} | ${tar} -xz -C ${folder} --strip-components=1 ${name}/${program}`;
}

/** @param {ProgramName} program */
function byHand(program) {
  if (program === "faketime") return "(install libfaketime, or name its program in BELAY_FAKETIME)";
  if (program === "postgresql")
    return "(install PostgreSQL, or name its program `postgres` in BELAY_POSTGRES)";
  if (program === "chromium") return "(install Chromium or Chrome, or name it in BELAY_CHROMIUM)";
  return `(unpack ${program} from https://prometheus.io/download/ to a folder on PATH, or name it in BELAY_${program.toUpperCase()})`;
}
