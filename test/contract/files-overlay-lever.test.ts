/** An overlay with another provider leaves nothing of the first one in reach. */
import { expect, it } from "vitest";
import { withOverlay } from "../../src/adapters/files/overlay.ts";
import { flagsFileSchema } from "../../src/core/files/flags-file.ts";

it("another provider does not keep production's second lever", () => {
  const file = flagsFileSchema.parse({
    service: "s",
    environment: "production",
    provider: { kind: "unleash", url: "http://unleash.example" },
    second_lever: { kind: "env-file", path: "/etc/s.env", restart: "s.service" },
    prometheus: { url: "http://127.0.0.1:9090", scrape_interval: "15s" },
    flags: { a: { key: "A" } },
  });
  const { file: laid } = withOverlay(file, { provider: { kind: "file" } });
  expect(laid.second_lever).toBeUndefined();
});
