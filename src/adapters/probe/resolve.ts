/** From a host to the addresses to connect to: looked up once, all of them checked, and never looked up again by whoever connects. */
import { lookup as systemLookup } from "node:dns/promises";
import { isIP, type LookupFunction } from "node:net";
import { type AddressRules, plainHost } from "./address.ts";

/** Lookups run on threads that the whole process shares; so few at a time, however many names hang. */
const MOST_LOOKUPS = 2;
const MOST_ADDRESSES = 8;

/** All addresses of a name; rejects when there are none. */
export type Lookup = (name: string) => Promise<readonly string[]>;

/** The addresses of a host, or why there is none to connect to: a clause. */
export type Resolved =
  | { readonly kind: "addresses"; readonly addresses: readonly string[] }
  | { readonly kind: "refused" | "unknown"; readonly why: string };

export type Resolve = (host: string) => Promise<Resolved>;

export function createResolve(rules: AddressRules, lookup: Lookup = systemAddresses): Resolve {
  const shared = sharedLookup(lookup);
  return async (host) => {
    const name = plainHost(host);
    if (name.includes("%")) return { kind: "refused", why: `${name} names a network interface` };
    let addresses: readonly string[];
    try {
      addresses = isIP(name) === 0 ? await shared(name) : [name];
    } catch {
      return { kind: "unknown", why: `${name} cannot be found` };
    }
    // One that may not be reached spoils them all: a name that is half public is no accident.
    for (const address of addresses) {
      const why = rules.refusal(name, address);
      if (why !== undefined) return { kind: "refused", why };
    }
    return addresses.length === 0
      ? { kind: "unknown", why: `${name} has no address` }
      : { kind: "addresses", addresses: addresses.slice(0, MOST_ADDRESSES) };
  };
}

async function systemAddresses(name: string): Promise<readonly string[]> {
  return (await systemLookup(name, { all: true })).map(({ address }) => address);
}

/** The same lookup; one under way for a name is shared, and the others wait for a place. */
function sharedLookup(lookup: Lookup): Lookup {
  const underWay = new Map<string, Promise<readonly string[]>>();
  const waiting: (() => void)[] = [];
  let running = 0;
  const run = async (name: string): Promise<readonly string[]> => {
    if (running >= MOST_LOOKUPS) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await lookup(name);
    } finally {
      // The place goes straight to the next one that waits.
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
  return (name) => {
    const known = underWay.get(name);
    if (known !== undefined) return known;
    const asked = run(name).finally(() => underWay.delete(name));
    underWay.set(name, asked);
    return asked;
  };
}

/** For `net.connect` and its kin: these addresses, whatever the name. */
export function pinnedLookup(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_name, options, callback) => {
    const [first] = all;
    if (first === undefined) callback(new Error("no address"), "");
    else if (options.all === true) callback(null, [...all]);
    else callback(null, first.address, first.family);
  };
}
