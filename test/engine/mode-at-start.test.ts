/** Who flips is changed while a start is being journaled. */
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

it("a start that was on its way when people said `observe on` observes too", async () => {
  const clock = new ManualClock(MONDAY);
  const world = new SmallWorld();
  const isStart = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  let isSlow = false;
  const journal = journalOn(createDisk(), async (name, transaction) => {
    if (isSlow && name.includes("commit")) {
      isSlow = false;
      isStart.resolve();
      await goOn.promise;
    }
    return transaction();
  });
  const modes = await Modes.open({ journal, log: SILENT }, { isNew: false });
  expect(modes.current()).toBe("act");
  const engine = new Engine({
    clock,
    ids: { hash: (text) => `h${text.length}` },
    log: SILENT,
    journal,
    spool: { append: () => undefined, read: () => [], clear: () => undefined },
    chat: { post: async () => undefined, update: async () => undefined },
    plans: () => new Map([[SMALL_PLAN.rollout, SMALL_PLAN]]),
    modes,
    connect: () => world.service,
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
  isSlow = true;
  const started = typed("k1", "rollout start parser");
  await clock.advance(100);
  await isStart.promise;
  const said = typed("k2", "belay observe on");
  await clock.advance(100);
  expect(await said).toMatchObject({ ok: true });
  goOn.resolve();
  await clock.advance(SECOND);
  expect(await started).toMatchObject({ ok: true });
  await clock.advance(MINUTE);
  expect(engine.runs()[0]?.mode).toBe("observe");
  expect(world.isOn("cache")).toBe(false);
  engine.stop();
});
