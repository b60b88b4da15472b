/** What a service says of its flags over OFREP, the OpenFeature Remote Evaluation Protocol (https://github.com/open-feature/protocol). */
import { z } from "zod";
import type { FlagDef } from "../../core/plan.ts";
import { OutsideFault, type ServiceViewPort } from "../../engine/ports.ts";
import { HttpFault, type HttpReply, request } from "../http-client.ts";

export interface OfrepViewOptions {
  /** Base URL of the service that evaluates, without `/ofrep/v1`. */
  readonly url: string;
  readonly targetingKey: string;
  /** Total deadline of one flag, ms. */
  readonly timeoutMs: number;
}

const evaluation = z.looseObject({ value: z.union([z.string(), z.boolean(), z.number()]) });

/** Asks for each flag by itself, all at once. A flag that is not there is not mentioned. Asked for none it says whether anybody answers at all. */
export function createOfrepView({ url, targetingKey, timeoutMs }: OfrepViewOptions): ServiceViewPort {
  const base = url.replace(/\/+$/, "");
  const body = JSON.stringify({ context: { targetingKey } });

  function ask(path: string): Promise<HttpReply> {
    const url = `${base}/ofrep/v1/evaluate/flags${path}`;
    const headers = { "content-type": "application/json", accept: "application/json" };
    return request({ method: "POST", url, headers, body, timeoutMs, repeatable: true });
  }

  async function literalOf(flag: FlagDef): Promise<readonly [string, string] | undefined> {
    const reply = await ask(`/${encodeURIComponent(flag.key)}`);
    if (reply.status === 404) return undefined;
    if (reply.status !== 200) throw fault(`${flag.key}: answered ${reply.status}`);
    return [flag.name, String(evaluation.parse(JSON.parse(reply.text)).value)];
  }

  return {
    async read(flags) {
      try {
        if (flags.length === 0) {
          const { status } = await ask("");
          if (status >= 500) throw fault(`answered ${status}`);
        }
        const found = await Promise.all(flags.map(literalOf));
        return Object.fromEntries(found.filter((one) => one !== undefined));
      } catch (error) {
        if (error instanceof HttpFault) throw fault(error.detail);
        if (error instanceof SyntaxError || error instanceof z.ZodError)
          throw fault("answered something that is no evaluation");
        throw error;
      }
    },
  };
}

function fault(why: string): OutsideFault {
  return new OutsideFault(`the service's view over OFREP: ${why}`, { recoverable: true });
}
