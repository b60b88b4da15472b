/** `/belay health ...`: from typed words to the health desk's answers. */
import type { Parsed } from "../core/command.ts";
import { refuse } from "../core/refusal.ts";
import type { Asker } from "../core/rollout/ask.ts";
import { HOUR, parseDuration } from "../core/time.ts";
import { refusalAnswer } from "./answers.ts";
import type { HealthCommands } from "./health-commands.ts";
import type { CommandAnswer } from "./messages.ts";

const USUAL_MUTE_MS = HOUR;

/** Carries out one command about health. `again`: it was accepted before an end of Belay and not answered. */
type HealthDesk = (parsed: Parsed, asker: Asker, key: string, again?: boolean) => Promise<CommandAnswer>;

/** The desk of the noun `health`. */
export function healthDesk(commands: HealthCommands): HealthDesk {
  return async (parsed, asker, key, again) => {
    const { spec, words, because } = parsed;
    const [name] = words;
    if (spec.verb === "now") return commands.status(name);
    if (name === undefined) return needsName(parsed);
    switch (spec.verb) {
      case "history":
        return commands.history(name);
      case "unmute":
        return commands.unmute(name, asker);
      case "restart":
        return commands.restart(name, asker, key, again);
      default: {
        const ms = words[1] === undefined ? USUAL_MUTE_MS : muteOf(words[1]);
        if (ms === undefined)
          return badValue(`\`${words[1]}\` is no duration; say for how long, such as 30m.`);
        return commands.mute(name, ms, asker, because);
      }
    }
  };
}

/** A duration that is too long to be read is also too long to mute for. */
function muteOf(word: string): number | undefined {
  return parseDuration(word) ?? (/^\d+d$/.test(word) ? Number.POSITIVE_INFINITY : undefined);
}

function needsName({ spec }: Parsed): CommandAnswer {
  const what = spec.verb === "restart" ? "target" : "probe";
  return badValue(`say which ${what}: \`/belay health ${spec.usage}\`. \`/belay health\` lists them.`);
}

function badValue(message: string): CommandAnswer {
  return refusalAnswer(refuse("bad_value", message), () => false);
}
