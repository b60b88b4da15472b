/** Which addresses a probe may connect to, in every way that an address can be written or a name can lie. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createAddressRules } from "../../src/adapters/probe/address.ts";
import { createResolve } from "../../src/adapters/probe/resolve.ts";

const rules = createAddressRules([]);
const isRefused = (host: string, address: string, allow: readonly string[] = []): boolean =>
  createAddressRules(allow).refusal(host, address) !== undefined;

describe("an address that nobody may probe", () => {
  const never = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.169.254",
    "169.254.0.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "100.100.100.200",
    "168.63.129.16",
    "::",
    "fe80::1",
    "febf::1",
    "ff02::1",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::1",
    "::ffff:0:169.254.169.254",
    "::ffff:0.0.0.0",
  ];
  it.each(never)("%s is refused as itself, by any name, and though it is on the list", (address) => {
    expect(isRefused(address, address)).toBe(true);
    expect(isRefused("metadata.example.com", address)).toBe(true);
    expect(isRefused("metadata", address, ["metadata", address, "0.0.0.0/0", "::/0"])).toBe(true);
  });
});

describe("an address of this machine or a private network", () => {
  it.each<[string, string, boolean]>([
    ["127.0.0.1", "127.0.0.1", true],
    ["[::1]", "::1", true],
    ["localhost", "127.0.0.1", true],
    ["LOCALHOST.", "::1", true],
    ["api.localhost", "127.0.0.1", true],
    ["10.0.0.5", "10.0.0.5", true],
    ["[fd12::1]", "fd12::1", true],
    ["ollama", "10.0.0.5", true],
    ["ollama.svc.cluster.local", "10.0.0.5", true],
    ["db.internal", "192.168.1.2", true],
    ["ollama", "127.0.0.1", false],
    ["example.com", "127.0.0.1", false],
    ["example.com", "::1", false],
    ["example.com", "10.0.0.5", false],
    ["example.com", "172.31.255.255", false],
    ["example.com", "192.168.1.2", false],
    ["example.com", "100.64.1.1", false],
    ["example.com", "fd12::1", false],
    ["example.com", "::ffff:127.0.0.1", false],
    ["example.com", "::ffff:10.0.0.5", false],
    ["example.com", "64:ff9b::10.0.0.5", false],
    ["localhost.example.com", "127.0.0.1", false],
    ["127.0.0.1.nip.io", "127.0.0.1", false],
    ["example.com", "172.32.0.1", true],
    ["example.com", "93.184.216.34", true],
    ["example.com", "2606:2800:220:1::1", true],
  ])("%s for %s: allowed %s", (host, address, allowed) => {
    expect(rules.refusal(host, address) === undefined).toBe(allowed);
  });

  it.each<[string]>([["example.com"], ["Example.COM."], ["10.0.0.5"], ["10.0.0.0/8"]])(
    "may be behind a public name that %s lists",
    (entry) => {
      expect(isRefused("example.com", "10.0.0.5", [entry])).toBe(false);
      expect(isRefused("example.com", "192.168.0.1", [entry])).toBe(
        !entry.toLowerCase().startsWith("example"),
      );
    },
  );

  it.each(["", "10.0.0.0/33", "10.0.0.0/x", "http://example.com", "a b", "fd00::/129", "example.com/8"])(
    "a list with %j is a mistake that is said",
    (entry) => {
      expect(() => createAddressRules([entry])).toThrow("expected a host name");
    },
  );

  it("is refused behind a public name in every way to write it", () => {
    const octet = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(
        octet,
        octet,
        octet,
        fc.constantFrom("10", "127", "169.254", "192.168"),
        (a, b, c, start) => {
          const v4 = [...start.split("."), a, b, c].slice(0, 4).join(".");
          for (const form of [v4, `::ffff:${v4}`, `64:ff9b::${v4}`])
            expect(rules.refusal("example.com", form)).toBeDefined();
        },
      ),
    );
  });
});

describe("a name", () => {
  it("is looked up once, and one bad address among good ones spoils them all", async () => {
    const asked: string[] = [];
    const resolve = createResolve(rules, async (name) => {
      asked.push(name);
      return ["93.184.216.34", "169.254.169.254"];
    });
    expect(await resolve("Example.com.")).toMatchObject({ kind: "refused" });
    expect(asked).toEqual(["example.com"]);
  });

  it("that hangs does not hold up the lookups of others for more than its place, and is asked once", async () => {
    let asked = 0;
    const gate = Promise.withResolvers<readonly string[]>();
    const resolve = createResolve(rules, (name) => {
      asked += 1;
      return name.startsWith("slow") ? gate.promise : Promise.resolve(["93.184.216.34"]);
    });
    const slow = [resolve("slow.example.com"), resolve("slow.example.com")];
    expect(await resolve("fast.example.com")).toEqual({ kind: "addresses", addresses: ["93.184.216.34"] });
    const more = [resolve("slow2.example.com"), resolve("slow3.example.com")];
    await Promise.resolve();
    expect(asked).toBe(3);
    gate.resolve(["93.184.216.34"]);
    expect((await Promise.all([...slow, ...more])).every(({ kind }) => kind === "addresses")).toBe(true);
    expect(asked).toBe(4);
  });

  it.each<[string, readonly string[] | Error, string]>([
    ["gone.example.com", new Error("ENOTFOUND"), "unknown"],
    ["empty.example.com", [], "unknown"],
    ["fe80::1%eth0", [], "refused"],
    ["2130706433", ["127.0.0.1"], "refused"],
  ])("%s leads to %s", async (name, found, kind) => {
    const resolve = createResolve(rules, async () => {
      if (found instanceof Error) throw found;
      return found;
    });
    expect(await resolve(name)).toMatchObject({ kind });
  });
});
