/** The shape of `--overlay FILE`: other providers, addresses, polls and windows for a demo or staging, without touching the files. */
import { z } from "zod";
import {
  alertmanager,
  duration,
  interval,
  name,
  positive,
  prometheus,
  provider,
  view,
  webUrl,
  zone,
} from "./flags-file.ts";
import { address, checkInterval, count, target } from "./watch-file.ts";

/** What replaces parts of one probe; `off` leaves the probe out. */
const probe = z.union(
  [
    z.literal("off"),
    z.strictObject({
      http: webUrl.optional(),
      tcp: address.optional(),
      interval: checkInterval.optional(),
      timeout: positive.optional(),
      fail: count.optional(),
      ok: count.optional(),
      recover_within: positive.optional(),
    }),
  ],
  { error: "expected off, or { http or tcp, interval, timeout, fail, ok, recover_within }" },
);

const job = z.union(
  [
    z.literal("off"),
    z.strictObject({ cron: z.string().optional(), zone: zone.optional(), jitter: duration.optional() }),
  ],
  { error: "expected off, or { cron, zone, jitter }" },
);

const watch = z.strictObject({
  targets: z.record(name, target).optional(),
  probes: z.record(name, probe).optional(),
  jobs: z.record(name, job).optional(),
});

export const overlaySchema = z.strictObject({
  environment: name.optional(),
  provider: provider.optional(),
  view: view.optional(),
  prometheus: prometheus.optional(),
  alertmanager: alertmanager.optional(),
  interval: interval.optional(),
  window: positive.optional(),
  /** The watches that run under this overlay, and what it replaces in each; the others are left out. */
  watches: z.record(name, watch).optional(),
});

export type Overlay = z.output<typeof overlaySchema>;
export type WatchOverlay = z.output<typeof watch>;
