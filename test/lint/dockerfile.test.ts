/** Reads the Dockerfile and .dockerignore and holds them to the rules of the image, since no Docker engine is needed for that. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT } from "./biome-run.ts";

interface Instruction {
  readonly verb: string;
  readonly args: string;
}
interface Stage {
  readonly from: string;
  readonly name: string;
  readonly instructions: readonly Instruction[];
}

function instructions(text: string): readonly Instruction[] {
  return text
    .split("\n")
    .filter((line) => !/^\s*#/.test(line))
    .join("\n")
    .replaceAll(/\\\n\s*/g, " ")
    .split("\n")
    .map((line) => /^([A-Z]+)\s+(.+)$/.exec(line.trim()))
    .filter((match) => match !== null)
    .map(([, verb = "", args = ""]) => ({ verb, args }));
}

function stages(text: string): readonly Stage[] {
  const found: { from: string; name: string; instructions: Instruction[] }[] = [];
  for (const instruction of instructions(text)) {
    if (instruction.verb === "FROM") {
      const [from = "", , name = ""] = instruction.args.split(/\s+/);
      found.push({ from, name, instructions: [] });
    } else found.at(-1)?.instructions.push(instruction);
  }
  return found;
}

/** What may be in the image, by destination. */
const CONTENT = new Set(["/usr/local/bin/node", "/", "/app/package.json", "/app/node_modules", "/app/dist"]);
const SECRET = /token|secret|passw|credential|_key\b|xox[a-z]-|xapp-/i;

/** Every rule that the Dockerfile breaks, in words. */
function faults(text: string): readonly string[] {
  const all = stages(text);
  const last = all.at(-1);
  if (last === undefined) return ["has no stage"];
  const of = (verb: string, stage: Stage): readonly string[] =>
    stage.instructions.filter((instruction) => instruction.verb === verb).map(({ args }) => args);
  const every = (verb: string): readonly string[] => all.flatMap((stage) => of(verb, stage));
  const installs = every("RUN").filter((args) => args.includes("npm "));
  const copies = of("COPY", last).map((args) => ({ args, to: args.split(/\s+/).at(-1) ?? "" }));
  const packages = all.find((stage) =>
    copies.some(({ args }) => args.includes(`--from=${stage.name} /app/node_modules`)),
  );
  const rules: readonly (readonly [string, boolean])[] = [
    ["builds in one stage", all.length < 2],
    [
      "is not built on the official Node 24",
      !all.slice(0, -1).every(({ from }) => /^node:24(\.\d+)*-[a-z]+-slim$/.test(from)),
    ],
    [
      "has a base without a pinned major",
      !all.every(({ from }) => /:[^:]*\d|debian\d+:nonroot$/.test(from) && !from.endsWith(":latest")),
    ],
    ["runs as root", of("USER", last).at(-1) !== "65532:65532"],
    ["installs with scripts", installs.some((args) => !/^npm ci .*--ignore-scripts/.test(args))],
    [
      "ships development packages",
      packages === undefined || !of("RUN", packages).every((args) => args.includes("--omit=dev")),
    ],
    ["copies from outside the stages", copies.some(({ args }) => !args.includes("--from="))],
    ["ships more than dist and production packages", copies.some(({ to }) => !CONTENT.has(to))],
    ["runs a command in the final stage", of("RUN", last).length > 0],
    ["fetches by ADD", every("ADD").length > 0],
    [
      "names a secret",
      instructions(text).some(({ verb, args }) => ["ENV", "ARG"].includes(verb) && SECRET.test(args)),
    ],
    [
      "starts through a shell",
      ![...of("ENTRYPOINT", last), ...of("CMD", last)].every((args) => args.startsWith("[")),
    ],
    ["has no entry point", of("ENTRYPOINT", last).length !== 1],
    ["writes elsewhere than /data", of("VOLUME", last).join() !== "/data"],
  ];
  return rules.filter(([, broken]) => broken).map(([fault]) => fault);
}

const dockerfile = readFileSync(join(ROOT, "Dockerfile"), "utf8");

describe("the Dockerfile", () => {
  it("keeps every rule", () => {
    expect(faults(dockerfile)).toEqual([]);
  });

  it.each([
    ["runs as root", "USER 65532:65532\n", ""],
    ["runs as root", "USER 65532:65532", "USER root"],
    [
      "is not built on the official Node 24",
      "FROM node:24-bookworm-slim AS build",
      "FROM node:22-bookworm-slim AS build",
    ],
    ["has a base without a pinned major", "cc-debian12:nonroot", "cc:latest"],
    ["installs with scripts", "npm ci --ignore-scripts", "npm ci"],
    ["installs with scripts", "npm ci --omit=dev --ignore-scripts", "npm install --omit=dev"],
    ["ships development packages", "--omit=dev ", ""],
    ["copies from outside the stages", "COPY --from=build /app/dist /app/dist", "COPY dist /app/dist"],
    [
      "ships more than dist and production packages",
      "WORKDIR /etc/belay",
      "COPY --from=build /app/src /app/src\nWORKDIR /etc/belay",
    ],
    ["runs a command in the final stage", "VOLUME /data", "RUN chmod 777 /data\nVOLUME /data"],
    ["fetches by ADD", "VOLUME /data", "ADD https://example.com/a /a\nVOLUME /data"],
    ["names a secret", "ENV NODE_ENV=production", "ENV SLACK_BOT_TOKEN=xoxb-1 NODE_ENV=production"],
    ["starts through a shell", 'CMD ["start"]', "CMD start"],
    ["writes elsewhere than /data", "VOLUME /data", "VOLUME /data /app"],
  ])("would be caught if it %s (%#)", (fault, from, to) => {
    expect(dockerfile).toContain(from);
    expect(faults(dockerfile.replaceAll(from, to))).toContain(fault);
  });

  it("copies only what .dockerignore lets through", () => {
    const lines = readFileSync(join(ROOT, ".dockerignore"), "utf8")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
    expect(lines[0]).toBe("*");
    const allowed = lines.slice(1).map((line) => line.slice(1));
    expect(lines.slice(1).every((line) => line.startsWith("!"))).toBe(true);
    const copied = stages(dockerfile)
      .flatMap((stage) => stage.instructions)
      .filter(({ verb, args }) => verb === "COPY" && !args.includes("--from="))
      .flatMap(({ args }) => args.split(/\s+/).slice(0, -1));
    expect(new Set(copied)).toEqual(new Set(allowed));
  });

  it("builds with the major of Node that development runs on", () => {
    const { devDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    expect(devDependencies.node).toMatch(/^\^?24\./);
  });
});
