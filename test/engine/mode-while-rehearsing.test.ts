/** Belay is let flip while a start that only observes is being rehearsed. */
import { expect, it } from "vitest";
import { MINUTE, SECOND } from "../../src/core/time.ts";
import { Engine } from "../../src/engine/engine.ts";
import { Modes } from "../../src/engine/modes.ts";
import type { Log } from "../../src/engine/ports.ts";
import { MONDAY } from "../core/walk.ts";
import { createDisk, journalOn } from "../simulation/journal.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { SMALL_PLAN, SmallWorld } from "../support/slack-engine.ts";

const SILENT: Log = { info: () => undefined, warn: () => undefined, error: () => undefined };

it("a start that was rehearsed by reading alone does not act when people say `observe off` meanwhile", async () => {
  const clock = new ManualClock(MONDAY);
  const world = new SmallWorld();
  const journal = journalOn(createDisk(), async (_name, transaction) => transaction());
  const modes = await Modes.open({ journal, log: SILENT }, { isNew: true });
  expect(modes.current()).toBe("observe");
  let reads = 0;
  const goOn = Promise.withResolvers<void>();
  let tried = 0;
  const engine = new Engine({
    clock,
    ids: { hash: (text) => `h${text.length}` },
    log: SILENT,
    journal,
    spool: { append: () => undefined, read: () => [], clear: () => undefined },
    chat: { post: async () => undefined, update: async () => undefined },
    plans: () => new Map([[SMALL_PLAN.rollout, SMALL_PLAN]]),
    modes,
    connect: () => ({
      ...world.service,
      flags: {
        ...world.service.flags,
        read: async (flags) => {
          reads++;
          if (reads === 2) await goOn.promise;
          return world.service.flags.read(flags);
        },
        rehearse: async () => {
          tried++;
          return { readMs: 1, writeMs: undefined, problems: ["403: the token may not write"], warnings: [] };
        },
      },
    }),
    mayOf: () => ({ operator: true, groups: [] }),
    defaultChannel: undefined,
    refreshMs: MINUTE,
    zone: "UTC",
  });
  await engine.start();
  const typed = async (key: string, text: string) => {
    const accepted = await engine.submit({
      key,
      text,
      actor: { kind: "person", id: "U1", name: "ana", via: "slack" },
      replyTo: { kind: "none" },
    });
    if (accepted.kind !== "accepted") throw new Error(accepted.kind);
    return accepted.answer;
  };
  const started = typed("k1", "rollout start parser");
  await clock.advance(100);
  const said = typed("k2", 'belay observe off because "trusted"');
  await clock.advance(100);
  expect(await said).toMatchObject({ ok: true });
  goOn.resolve();
  await clock.advance(12 * SECOND);
  const answer = await started;
  expect(tried).toBeGreaterThan(0);
  expect(answer).toMatchObject({ ok: false, code: "rehearsal" });
  expect(engine.runs()).toEqual([]);
  engine.stop();
});
