/** The part of the bench about the way back: decision to OFF on each kind of flag system, on three hosts that drain, and with calls that fail. */
import { withEnvGround } from "./env-four.ts";
import { countsOf, type Figure, figureOf } from "./figures.ts";
import { type Flips, measureFlips, withFileGround } from "./flips.ts";
import { type HostRounds, measureHosts } from "./hosts.ts";
import { withUnleash } from "./unleash.ts";

const FLIP_MOST_MS = 1_000;
const EMERGENCY_MOST_MS = 30_000;

export interface BackRounds {
  /** Rollbacks on the file store and on Unleash each. */
  readonly flips: number;
  /** Rollbacks while calls fail. */
  readonly failing: number;
  /** Rollbacks that restart a service. */
  readonly restarts: number;
  /** Rollbacks on three hosts. */
  readonly hosts: number;
}

type Tell = (line: string) => void;

/** About 20 min with 100, 50, 15 and 3 rounds. */
export async function measureBack(rounds: BackRounds, tell: Tell): Promise<readonly Figure[]> {
  const saying =
    (what: string): Tell =>
    (line) =>
      tell(`${what}: ${line}`);
  const file = await withFileGround((ground) => measureFlips(ground, rounds.flips, saying("file")));
  const env = await withEnvGround((ground) => measureFlips(ground, rounds.restarts, saying("env-file")));
  const hosts = await measureHosts(rounds.hosts, tell);
  const figures = [...flipFigures("file", file), ...envFigures(env), ...hostFigures(hosts)];
  const unleash = await withUnleash(async ({ ground, fail, calls }) => {
    const well = await measureFlips(ground, rounds.flips, saying("Unleash"));
    const bad = await measureFlips(ground, rounds.failing, saying("Unleash, calls failing"), fail);
    return [...flipFigures("Unleash", well), ...failingFigures(bad, calls())];
  });
  return [...figures, ...unleash];
}

function flipFigures(name: string, { decidedToOff, decidedToSeen, askedToOff }: Flips): readonly Figure[] {
  return [
    figureOf(`decision -> last of 4 flags OFF and read back (${name})`, decidedToOff, {
      statistic: "p99",
      most: FLIP_MOST_MS,
      words: "p99 < 1 s",
    }),
    figureOf(`decision -> the service says so (${name})`, decidedToSeen),
    figureOf(`a person's command -> last of 4 flags OFF and read back (${name})`, askedToOff),
  ];
}

function envFigures({ decidedToOff, decidedToSeen }: Flips): readonly Figure[] {
  const what = "env-file, one write and one restart";
  return [
    figureOf(`decision -> 4 flags OFF and read back (${what})`, decidedToOff),
    figureOf(`decision -> the service is up and says so (${what})`, decidedToSeen),
  ];
}

function hostFigures({ decidedToOff, decidedToSeen, offered, refused, cut }: HostRounds): readonly Figure[] {
  const within = { statistic: "max", most: EMERGENCY_MOST_MS, words: "max <= 30 s" } as const;
  const where = "env-file on 3 hosts, 20 s drain";
  return [
    figureOf(`decision -> 4 flags OFF and read back (${where})`, decidedToOff, within),
    figureOf(`decision -> all hosts are up and say so (${where})`, decidedToSeen, within),
    countsOf("requests offered meanwhile, 50 a second", offered),
    countsOf("requests dropped: no host took them", refused),
    countsOf("requests dropped: taken and not finished", cut, { most: 0, words: "none" }),
  ];
}

function failingFigures(
  { decidedToOff }: Flips,
  { all, failed }: { readonly all: number; readonly failed: number },
): readonly Figure[] {
  const share = Math.round((100 * failed) / Math.max(1, all));
  return [
    figureOf(
      `decision -> last of 4 flags OFF and read back (Unleash, ${share} % of ${all} calls failing)`,
      decidedToOff,
      { statistic: "max", most: EMERGENCY_MOST_MS - 1, words: "max < 30 s" },
    ),
  ];
}
