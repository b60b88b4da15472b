/** The provider `launchdarkly`: flags of one project and environment, flipped over the REST API and seen through the SDK. */
import { z } from "zod";
import { webUrl } from "../../../core/files/flags-file.ts";
import { FLAG_CALL_MS } from "../../../core/files/provider.ts";
import { createLaunchDarklyFlags, type LaunchDarklyFlags } from "../launchdarkly/flags.ts";
import { createLaunchDarklyView, type LaunchDarklyView } from "../launchdarkly/view.ts";
import { closing, defineProvider, type OpenContext, shared, word } from "../provider.ts";

const DEFAULT_URL = "https://app.launchdarkly.com";
const [TOKEN, SDK_KEY] = ["BELAY_LAUNCHDARKLY_TOKEN", "BELAY_LAUNCHDARKLY_SDK_KEY"];

const schema = z.strictObject({
  kind: z.literal("launchdarkly"),
  project: word,
  /** The environment's key in LaunchDarkly; the file's own when not given. */
  environment: word.optional(),
  url: webUrl.optional(),
  /** The attribute that users are told apart by in a percentage, and the kind of context it is of; as the flag has it when not given. */
  bucket_by: word.optional(),
  context_kind: word.optional(),
  /** Where the SDK reads: a relay, or the addresses of another instance of LaunchDarkly. */
  stream: webUrl.optional(),
  base: webUrl.optional(),
  events: webUrl.optional(),
});

type Entry = z.output<typeof schema>;

const stores = shared<LaunchDarklyFlags>();
const views = shared<LaunchDarklyView>();

/** Without slashes at its end. */
function bare<T extends string | undefined>(url: T): string | T {
  return url?.replace(/\/+$/, "") ?? url;
}

function secretsOf(context: OpenContext): () => readonly (string | undefined)[] {
  return () => [context.secret(TOKEN), context.secret(SDK_KEY)];
}

export const provider = defineProvider<Entry>({
  kind: "launchdarkly",
  schema,
  secrets: [TOKEN, SDK_KEY],
  facts: () => ({
    percent: true,
    variables: false,
    restarts: false,
    sdk: true,
    limits: { flipMs: FLAG_CALL_MS, restartMs: 0 },
  }),
  open(entry, context) {
    const {
      project,
      environment = context.environment,
      bucket_by: bucketBy,
      context_kind: contextKind,
    } = entry;
    // Tokens go by the file's environment, so that two files may name the same place and differ in them.
    return stores(context.scope, JSON.stringify([entry, context.environment]), () =>
      closing(
        context.scope,
        createLaunchDarklyFlags({
          url: bare(entry.url ?? DEFAULT_URL),
          project,
          environment,
          bucketing: { bucketBy, contextKind },
          token: () => context.secret(TOKEN),
          secrets: secretsOf(context),
          log: context.log,
          callMs: FLAG_CALL_MS,
        }),
      ),
    );
  },
  view(entry, { targetingKey, timeoutMs }, context) {
    const key = JSON.stringify([entry, context.environment, targetingKey, timeoutMs]);
    return views(context.scope, key, () =>
      closing(
        context.scope,
        createLaunchDarklyView({
          sdkKey: () => context.secret(SDK_KEY),
          secrets: secretsOf(context),
          stream: bare(entry.stream),
          base: bare(entry.base),
          events: bare(entry.events),
          targetingKey,
          contextKind: entry.context_kind,
          timeoutMs,
          log: context.log,
        }),
      ),
    );
  },
});
