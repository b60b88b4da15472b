/** The provider `unleash`: flags of one project and environment of an Unleash server, flipped by its Admin API. */
import { z } from "zod";
import { webUrl } from "../../../core/files/flags-file.ts";
import { FLAG_CALL_MS } from "../../../core/files/provider.ts";
import { OutsideFault } from "../../../engine/ports.ts";
import { closing, defineProvider, type OpenContext, shared, word } from "../provider.ts";
import { createUnleashFlags, type UnleashFlags } from "../unleash/flags.ts";
import { createUnleashView, type UnleashView } from "../unleash/view.ts";

const TOKEN = "BELAY_UNLEASH_TOKEN";
const CLIENT_TOKEN = "BELAY_UNLEASH_CLIENT_TOKEN";
const DEFAULT_PROJECT = "default";

const schema = z.strictObject({
  kind: z.literal("unleash"),
  url: webUrl,
  project: word.optional(),
  /** The environment of Unleash; the file's own when not given. */
  environment: word.optional(),
  /** The field of the context that decides who is among a percentage, such as userId. */
  stickiness: word.optional(),
});
type Entry = z.output<typeof schema>;

const stores = shared<UnleashFlags>();
const views = shared<UnleashView>();

/** The token, asked for with each call, so that a missing one stops what needs it and nothing else. */
function secretOf(name: string, what: string, context: OpenContext): () => string {
  return () => {
    const secret = context.secret(name);
    if (secret !== undefined && secret !== "") return secret;
    throw new OutsideFault(`${name} is not set: it holds ${what}; nothing was changed`, {
      recoverable: false,
    });
  };
}

function placeOf(entry: Entry, context: OpenContext) {
  const { url, project = DEFAULT_PROJECT, environment = context.environment } = entry;
  return { url, project, environment };
}

export const provider = defineProvider<Entry>({
  kind: "unleash",
  schema,
  secrets: [TOKEN, CLIENT_TOKEN],
  facts: () => ({
    percent: true,
    variables: false,
    restarts: false,
    sdk: true,
    limits: { flipMs: FLAG_CALL_MS, restartMs: 0 },
  }),
  open(entry, context) {
    // Tokens go by the file's environment, so that two files may name the same place and differ in them.
    const key = JSON.stringify([entry, context.environment]);
    return stores(context.scope, key, () =>
      closing(
        context.scope,
        createUnleashFlags({
          ...placeOf(entry, context),
          stickiness: entry.stickiness,
          setting: TOKEN,
          token: secretOf(TOKEN, "the token of a user (or admin) of Unleash who may flip the flags", context),
          timeoutMs: FLAG_CALL_MS,
        }),
      ),
    );
  },
  view(entry, { timeoutMs }, context) {
    const key = JSON.stringify([entry, context.environment, timeoutMs]);
    return views(context.scope, key, () =>
      closing(
        context.scope,
        createUnleashView({
          ...placeOf(entry, context),
          setting: CLIENT_TOKEN,
          token: secretOf(
            CLIENT_TOKEN,
            "a backend token of Unleash, with which Belay sees what SDKs see",
            context,
          ),
          timeoutMs,
        }),
      ),
    );
  },
});
