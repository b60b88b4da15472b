/** LaunchDarkly's adapter on the strict stand-in, for tests: opened, watched for complaints, and closed. */
import { afterEach, expect } from "vitest";
import {
  createLaunchDarklyFlags,
  type LaunchDarklyFlags,
} from "../../src/adapters/flags/launchdarkly/flags.ts";
import type { Bucketing } from "../../src/adapters/flags/launchdarkly/settings.ts";
import {
  type FakeLaunchDarkly,
  type FakeLaunchDarklyOptions,
  PRODUCTION,
  PROJECT,
  startFakeLaunchDarkly,
} from "../fakes/launchdarkly/server.ts";
import { logInto } from "./faults.ts";

export interface Ground {
  readonly fake: FakeLaunchDarkly;
  readonly flags: LaunchDarklyFlags;
  /** Another client of the same flags. */
  readonly open: (options?: OpenOptions) => LaunchDarklyFlags;
  /** Every record of the log, one line each. */
  readonly lines: string[];
}

export interface OpenOptions {
  readonly url?: string;
  readonly bucketing?: Bucketing;
  readonly project?: string;
  readonly environment?: string;
  readonly token?: () => string | undefined;
  readonly callMs?: number;
}

const closers: (() => Promise<void>)[] = [];

/** Registers the end of each test: everything closed, no complaint of the stand-in, no secret in the log. */
export function closeGrounds(): void {
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });
}

export async function startGround(options: FakeLaunchDarklyOptions = {}): Promise<Ground> {
  const fake = await startFakeLaunchDarkly(options);
  const lines: string[] = [];
  const opened: LaunchDarklyFlags[] = [];
  const open = ({
    url = fake.url,
    bucketing = {},
    project = PROJECT,
    environment = PRODUCTION,
    token = () => fake.token,
    callMs = 5_000,
  }: OpenOptions = {}): LaunchDarklyFlags => {
    const flags = createLaunchDarklyFlags({
      url,
      project,
      environment,
      bucketing,
      token,
      secrets: () => [fake.token, fake.sdkKey()],
      log: logInto(lines),
      callMs,
    });
    opened.push(flags);
    return flags;
  };
  closers.push(async () => {
    for (const flags of opened) flags.close();
    await fake.close();
    expect(fake.violations()).toEqual([]);
    for (const secret of [fake.token, fake.sdkKey()]) expect(lines.join("\n")).not.toContain(secret);
  });
  return { fake, flags: open(), open, lines };
}
