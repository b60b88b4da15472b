/** What the SDKs of Unleash see: the features as a backend token gets them, past any cache of a client. */
import { OutsideFault, type ServiceViewPort } from "../../../engine/ports.ts";
import { createHttpClient, HttpFault } from "../../http-client.ts";
import { jsonOf, refusalOf } from "./faults.ts";
import { literalOf, servedOf } from "./served.ts";
import { clientFeaturesShape } from "./shapes.ts";
import { baseOf } from "./transport.ts";

/** All flags of the token's projects come in one answer. */
const MOST_BYTES = 32 * 1024 * 1024;

export interface UnleashViewOptions {
  readonly url: string;
  readonly project: string;
  readonly environment: string;
  /** The name of the setting that holds the backend token, for messages. */
  readonly setting: string;
  /** The backend token. Throws an `OutsideFault` when there is none. */
  readonly token: () => string;
  /** Total deadline of one read, ms. */
  readonly timeoutMs: number;
}

export interface UnleashView extends ServiceViewPort {
  close(): void;
}

/** A flag that SDKs do not get is not mentioned; of a percentage the literal of those who have it. */
export function createUnleashView(options: UnleashViewOptions): UnleashView {
  const { project, environment, setting, timeoutMs } = options;
  const url = baseOf(options.url);
  const host = URL.parse(url)?.host ?? "Unleash";
  const client = createHttpClient();
  const doing = `read what SDKs see in ${environment}`;

  return {
    async read(flags) {
      const token = options.token();
      const reply = await client
        .request({
          method: "GET",
          url: `${url}/api/client/features`,
          // Without If-None-Match, so that it is answered anew and whole.
          headers: { accept: "application/json", authorization: token, "cache-control": "no-cache" },
          timeoutMs,
          maxBytes: MOST_BYTES,
        })
        .catch((error: unknown) => {
          if (!(error instanceof HttpFault)) throw error;
          throw new OutsideFault(`cannot ${doing}: ${error.detail}`, { recoverable: true, cause: error });
        });
      if (reply.status !== 200)
        throw refusalOf(reply, { host, url, project, environment, doing, setting, token });
      const parsed = clientFeaturesShape.safeParse(jsonOf(reply.text));
      if (!parsed.success)
        throw new OutsideFault(`cannot ${doing}: ${host} answered something that is not Unleash's`, {
          recoverable: true,
        });
      const features = new Map(parsed.data.features.map((feature) => [feature.name, feature] as const));
      return Object.fromEntries(
        flags.flatMap((flag) => {
          const feature = features.get(flag.key);
          if (feature === undefined) return [];
          const parents = feature.dependencies.map((parent) => parent.feature);
          return [[flag.name, literalOf(flag, servedOf({ environment: feature, parents }))]];
        }),
      );
    },
    close: () => client.close(),
  };
}
