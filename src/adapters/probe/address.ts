/** Which addresses a probe may connect to: what its file names, and never the ranges that belong to clouds and local networks themselves. */
import { BlockList, isIP } from "node:net";

/** Machine metadata, this network, link-local, multicast, broadcast and reserved: refused whatever a file or the settings say. */
const NEVER: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["169.254.0.0", 16],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
  ["100.100.100.200", 32],
  ["168.63.129.16", 32],
  ["192.0.0.192", 32],
  ["::", 128],
  ["fe80::", 10],
  ["ff00::", 8],
  ["fd00:ec2::254", 128],
  ["fd20:ce::254", 128],
];
const LOOPBACK: readonly (readonly [string, number])[] = [
  ["127.0.0.0", 8],
  ["::1", 128],
];
const PRIVATE: readonly (readonly [string, number])[] = [
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["100.64.0.0", 10],
  ["192.0.0.0", 24],
  ["198.18.0.0", 15],
  ["fc00::", 7],
  ["fec0::", 10],
];

const never = listOf(NEVER);
const loopback = listOf(LOOPBACK);
const privates = listOf(PRIVATE);

/** Names that nobody on the internet can own: they may well stand for private addresses. */
const LOCAL_NAME =
  /^[^.]+$|\.(?:local|internal|intranet|private|corp|home|lan|test|localhost|home\.arpa|svc|cluster\.local)$/;

/** Settings of the installation. */
export interface AddressRules {
  /** Whether a host, as the file writes it, may stand for this address; else why not, as a clause. */
  refusal(host: string, address: string): string | undefined;
}

/**
 * `allow`: names (`ollama.example.com`), addresses and ranges (`10.1.0.0/16`) that may be private or loopback though the host in the file is a
 * public name. Throws when one of them is none of these.
 */
export function createAddressRules(allow: readonly string[]): AddressRules {
  const names = new Set<string>();
  const ranges = new BlockList();
  for (const entry of allow) addAllowed(entry, names, ranges);

  return {
    refusal(host, address) {
      const name = plainHost(host);
      const meant = embeddedIpv4(address) ?? address;
      if (isIn(never, meant) || isIn(never, address))
        return `${name} is ${address}, which no probe may connect to`;
      const isLoopback = isIn(loopback, meant);
      if (!isLoopback && !isIn(privates, meant)) return undefined;
      if (isIP(name) !== 0 || names.has(name) || isIn(ranges, meant)) return undefined;
      if (isLoopback ? isLocalhost(name) : LOCAL_NAME.test(name)) return undefined;
      const what = isLoopback ? "an address of this machine" : "a private address";
      return `${name} stands for ${address}, ${what}, and is not on the list of those that may`;
    },
  };
}

/** A host without the brackets and the last dot, in lower case. */
export function plainHost(host: string): string {
  return host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, "$1")
    .replace(/\.$/, "");
}

function isLocalhost(name: string): boolean {
  return name === "localhost" || name.endsWith(".localhost");
}

/** What is wrong with an entry of `BELAY_PROBE_ALLOW`; undefined when nothing is. */
export function allowFault(entry: string): string | undefined {
  try {
    createAddressRules([entry]);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function addAllowed(entry: string, names: Set<string>, ranges: BlockList): void {
  const [address = "", bits, ...rest] = plainHost(entry).split("/");
  const family = isIP(address);
  const length = bits === undefined ? (family === 6 ? 128 : 32) : Number(bits);
  const isRange =
    family !== 0 && Number.isInteger(length) && length >= 0 && length <= (family === 6 ? 128 : 32);
  if (rest.length === 0 && isRange) ranges.addSubnet(address, length, family === 6 ? "ipv6" : "ipv4");
  else if (bits === undefined && /^[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?$/.test(address)) names.add(address);
  else
    throw new Error(
      `expected a host name, an address or a range such as 10.1.0.0/16, found ${JSON.stringify(entry)}`,
    );
}

function listOf(ranges: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [address, bits] of ranges) list.addSubnet(address, bits, isIP(address) === 6 ? "ipv6" : "ipv4");
  return list;
}

function isIn(list: BlockList, address: string): boolean {
  const family = isIP(address);
  return family !== 0 && list.check(address, family === 6 ? "ipv6" : "ipv4");
}

/** Ways to write an IPv4 address inside an IPv6 one, so that no refused address comes in by another door: mapped, compatible, NAT64, 6to4. */
function embeddedIpv4(address: string): string | undefined {
  if (isIP(address) !== 6) return undefined;
  const groups = groupsOf(address);
  if (groups === undefined) return undefined;
  const [g0 = 0, g1 = 0, g2 = 0, g3 = 0, g4 = 0, g5 = 0, g6 = 0, g7 = 0] = groups;
  const isZero = g0 === 0 && g1 === 0 && g2 === 0 && g3 === 0;
  if (isZero && g4 === 0 && (g5 === 0xffff || (g5 === 0 && g6 !== 0))) return dotted(g6, g7);
  if (isZero && g4 === 0xffff && g5 === 0) return dotted(g6, g7);
  if (g0 === 0x64 && g1 === 0xff9b) return dotted(g6, g7);
  return g0 === 0x2002 ? dotted(g1, g2) : undefined;
}

function dotted(high: number, low: number): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

/** The eight 16-bit groups of an IPv6 address; the URL parser writes every form of it in one way. */
function groupsOf(address: string): readonly number[] | undefined {
  const host = URL.parse(`http://[${address.replace(/%.*$/, "")}]/`)?.hostname.replace(/^\[(.*)\]$/, "$1");
  if (host === undefined) return undefined;
  const [head = "", tail] = host.split("::");
  const numbers = (text: string): readonly number[] =>
    text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
  const before = numbers(head);
  const after = tail === undefined ? [] : numbers(tail);
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => 0);
  return [...before, ...zeros, ...after];
}
