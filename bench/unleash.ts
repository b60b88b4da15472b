/** The ground on which flags stand in a real Unleash server on a real PostgreSQL; calls can be made to fail on their way. */

import { z } from "zod";
import { type FaultProxy, startFaultProxy } from "../test/support/fault-proxy.ts";
import { startUnleashGround, type UnleashGround } from "../test/support/unleash-under-test.ts";
import { type FlagGround, keysOf, lanesOf } from "./flips.ts";

const LANES = 10;
/** Of all calls so many fail, by each kind of fault a quarter of them. */
const FAILING = 0.2;
const ALWAYS = 1_000_000;
/** Flags that are made at once. */
const AT_ONCE = 10;

const served = z.object({ features: z.array(z.object({ name: z.string(), enabled: z.boolean() })) });

export interface UnleashBench {
  readonly ground: FlagGround;
  /** From now on calls fail; what it returns ends that. */
  readonly fail: () => () => void;
  /** Of the calls while they failed: how many there were, and how many met a fault. */
  readonly calls: () => { readonly all: number; readonly failed: number };
}

/** Takes some seconds to start. */
export async function withUnleash<T>(use: (bench: UnleashBench) => Promise<T>): Promise<T> {
  const unleash = await startUnleashGround();
  try {
    const proxy = await startFaultProxy(unleash.server.url);
    try {
      const lanes = lanesOf(LANES);
      const keys = lanes.flatMap(keysOf);
      for (let from = 0; from < keys.length; from += AT_ONCE)
        await Promise.all(keys.slice(from, from + AT_ONCE).map((key) => unleash.make(key)));
      return await use({ ground: groundOf(unleash, proxy, lanes), ...faultsOf(proxy) });
    } finally {
      await proxy.close();
    }
  } finally {
    await unleash.stop();
  }
}

function groundOf({ server, belay }: UnleashGround, proxy: FaultProxy, lanes: readonly string[]): FlagGround {
  return {
    lanes,
    provider: () => `{ kind: unleash, url: "${proxy.url}", environment: production }`,
    view: "{ sdk: {} }",
    env: { BELAY_UNLEASH_TOKEN: belay.token, BELAY_UNLEASH_CLIENT_TOKEN: server.backendToken },
    // What an SDK is served, not what Belay asks.
    async features(_lane, keys) {
      const headers = { authorization: server.backendToken };
      const response = await fetch(`${server.url}/api/client/features`, { headers });
      const { features } = served.parse(await response.json());
      const on = new Set(features.filter(({ enabled }) => enabled).map(({ name }) => name));
      return Object.fromEntries(keys.map((key) => [key, String(on.has(key))]));
    },
  };
}

function faultsOf(proxy: FaultProxy): Pick<UnleashBench, "fail" | "calls"> {
  let all = 0;
  let failed = 0;
  return {
    calls: () => ({ all, failed }),
    fail() {
      const before = proxy.requests.length;
      // What one plan lets pass comes to the next one: later ones take a larger share of what is left.
      const part = FAILING / 4;
      const kinds = [
        { kind: "hang" },
        { kind: "reset" },
        { kind: "reply_lost" },
        { kind: "status", status: 503 },
      ] as const;
      const plans = kinds.map((fault, index) =>
        proxy.plan(fault, { times: ALWAYS, share: part / (1 - index * part), seed: 7 + index }),
      );
      return () => {
        for (const plan of plans) plan.end();
        const mine = proxy.requests.slice(before);
        all += mine.length;
        failed += mine.filter(({ fault }) => fault !== undefined).length;
      };
    },
  };
}
