/** The steps of the import's story: small values, the window, Belay killed, a value taken back, mended and through, the import killed. */
import { z } from "zod";
import { auditOf } from "../import/store.ts";
import type { Follower } from "../story.ts";
import { shown, soon, type Talk, type } from "./bots-cast.ts";
import { CHANNEL, type ImportScene } from "./import-world.ts";

export const ROLLOUT = "bulk-import";
export const STAGES = ["limit-10", "limit-100", "limit-1000", "limit-10000", "limit-500000"];
const RECORDS = 500_000;
/** A stage soaks 8 s at least, as long as its guards look back; a planned hour is some seconds more. */
const STAGE_WITHIN_MS = 60_000;
const WINDOW_WITHIN_MS = 120_000;
const SEEN_WITHIN_MS = 30_000;
/** The card is refreshed every two seconds. */
const CARD_WITHIN_MS = 5_000;
/** A window that opens is seen by the next tick, a second later; then fresh evidence is asked for. */
const BEGINS_SOON_MS = 5_000;
/** From the first sight of the breach to the value read back; the story shows only that it is of this order. */
const BACK_WITHIN_MS = 5_000;
const IMPORTED_WITHIN_MS = 90_000;
const SLOW_S = 0.1;
const QUERY_TIME = "sum(rate(import_query_seconds_sum[5s])) / sum(rate(import_query_seconds_count[5s]))";

/** What one step measured: figures in ms and what else is worth telling. */
export type Measured = Readonly<Record<string, unknown>>;

export interface Cast extends Talk {
  readonly scene: ImportScene;
  readonly follower: Follower;
}

const progressSchema = z.number().optional();
const sampleSchema = z.object({
  data: z.object({ result: z.array(z.object({ value: z.tuple([z.number(), z.string()]) })) }),
});

function stageIs(name: string): (event: { readonly [key: string]: unknown }) => boolean {
  return (event) => event["stage"] === STAGES.indexOf(name);
}

/** 10, verified, and 100: neither needs the window. */
export async function smallValues(cast: Cast): Promise<Measured> {
  const { scene, follower, expect } = cast;
  await type(cast, "ana", CHANNEL, `/rollout start ${ROLLOUT}`);
  await follower.until("soak_passed", STAGE_WITHIN_MS, 0, stageIs("limit-10"));
  await follower.until("soak_passed", STAGE_WITHIN_MS, 0, stageIs("limit-100"));
  const { limit, stored } = await scene.probe.features();
  expect(limit === "100", `the import works with 100, found ${limit}`);
  return { limit, stored };
}

/** 1,000 waits for its window, and says until when; it begins as soon as that opens. */
export async function windowOpens(cast: Cast): Promise<Measured> {
  const { scene, follower, say, expect } = cast;
  const waitsMs = scene.opensWall - Date.now();
  // Where the small values took about as long as the window was away, there is little or nothing to wait for.
  const isSeen = waitsMs > CARD_WITHIN_MS;
  if (isSeen) {
    const card = await shown(cast, CHANNEL, ["limit-1000 waits for its window"]);
    say("waits", { stage: "limit-1000", text: card.text, opens_in_ms: waitsMs });
  }
  const begun = await follower.until("stage_started", WINDOW_WITHIN_MS, 0, stageIs("limit-1000"));
  const afterOpening = begun.wall - scene.opensWall;
  expect(afterOpening >= 0, `1,000 begins inside the window, began ${afterOpening} ms after it opened`);
  if (isSeen)
    expect(afterOpening < BEGINS_SOON_MS, `1,000 begins when the window opens, took ${afterOpening} ms`);
  return { waited_ms: Math.max(0, waitsMs), opened_to_begun_ms: afterOpening };
}

/** `kill -9` to Belay in a soak: the import goes on with its limit, and the rollout where it was. */
export async function belayKilled(cast: Cast): Promise<Measured> {
  const { scene, follower, say, expect } = cast;
  await follower.until("stage_enabled", SEEN_WITHIN_MS, 0, stageIs("limit-1000"));
  const killedWall = Date.now();
  const pid = scene.belay.pid();
  const before = await scene.probe.features();
  scene.belay.kill();
  say("killed", { what: "Belay", pid: pid ?? 0, signal: "SIGKILL" }, killedWall);
  await soon("Belay is away", () => (scene.belay.isUp() ? undefined : true));
  const meanwhile = await scene.probe.features();
  await scene.belay.waitUp();
  const upWall = Date.now();
  scene.mindBelay();
  say("restarted", { what: "Belay", pid: scene.belay.pid() ?? 0 }, upWall);
  const after = await scene.probe.features();
  await follower.until("soak_passed", STAGE_WITHIN_MS, 0, stageIs("limit-1000"));
  const begun = follower.seen.filter(
    ({ event }) => event.kind === "stage_started" && stageIs("limit-1000")(event),
  );
  expect(begun.length === 1, `1,000 was not begun again, found ${begun.length}`);
  expect(meanwhile.limit === "1000" && after.limit === "1000", "the import kept its limit without Belay");
  expect(after.stored > before.stored, "the import went on without Belay");
  return { killed_to_up_ms: upWall - killedWall, imported_meanwhile: after.stored - before.stored };
}

/** At 10,000 the readers' queries get slow: the limit goes back to 1,000, and the message says what of the stage remains. */
export async function backToTheValueBefore(cast: Cast): Promise<Measured> {
  const { scene, follower, say, expect } = cast;
  const begun = await follower.until("stage_started", STAGE_WITHIN_MS, 0, stageIs("limit-10000"));
  await follower.until("stage_enabled", SEEN_WITHIN_MS, 0, stageIs("limit-10000"));
  const visible = slowQueries(scene);
  await scene.probe.misbehave("slow");
  say("broken", { limit: 10_000, how: "large batches lock the readers out" });
  const started = await follower.until("rollback_started", SEEN_WITHIN_MS);
  const seen = limitSeen(scene, "1000");
  const off = await follower.until("rollback_off", SEEN_WITHIN_MS);
  const visibleWall = await visible;
  const seenWall = await seen;
  say("service_saw_value", { limit: "1000" }, seenWall);
  const recovered = await follower.until("recovered", STAGE_WITHIN_MS);
  const [from, to] = [begun, recovered].map(({ event }) => progressSchema.parse(event["progress"]));
  const count = (to ?? Number.NaN) - (from ?? Number.NaN);
  const remains = `${count.toLocaleString("en-US")} records of this stage remain`;
  const message = await shown(cast, CHANNEL, [
    `ROLLED BACK ${ROLLOUT}: batch-limit 1,000`,
    "batch-limit back to 1,000",
    remains,
  ]);
  say("told", { text: message.text });
  const rollbacks = follower.seen.filter(({ event }) => event.kind === "rollback_started");
  const cause = z.looseObject({ guard: z.string().optional() }).parse(started.event["cause"]);
  const backMs = off.wall - visibleWall;
  expect(rollbacks.length === 1, `one rollback, found ${rollbacks.length}`);
  expect(cause.guard === "query-time", `it was the query time, found ${cause.guard}`);
  expect(count > 0, `records of the stage remain, found ${count}`);
  expect(
    backMs < BACK_WITHIN_MS,
    `back within ${BACK_WITHIN_MS} ms of the breach being visible, took ${backMs}`,
  );
  return {
    breach_visible_to_back_ms: backMs,
    decided_to_back_ms: off.wall - started.wall,
    back_to_service_saw_ms: seenWall - off.wall,
    back_to_recovered_ms: recovered.wall - off.wall,
    remains,
    text: message.text,
  };
}

/** Mended and unlocked it goes on from 1,000: 10,000 once more, then everything. */
export async function mendedAndDone(cast: Cast): Promise<Measured> {
  const { scene, follower, expect } = cast;
  await scene.probe.misbehave("none");
  const before = follower.seen.length;
  await type(cast, "ana", CHANNEL, "/rollout enable limit-500000");
  await follower.until("refused", SEEN_WITHIN_MS, before, (event) => event["code"] === "latched");
  await type(cast, "ana", CHANNEL, '/rollout unlock limit-10000 because "batches commit every 800 records"');
  await follower.until("unlatched", SEEN_WITHIN_MS);
  await type(cast, "ana", CHANNEL, "/rollout enable limit-500000");
  await follower.until("stage_enabled", STAGE_WITHIN_MS, before, stageIs("limit-10000"));
  await follower.until("stage_enabled", STAGE_WITHIN_MS, before, stageIs("limit-500000"));
  const card = await shown(cast, CHANNEL, [`of 500,000 records`]);
  await follower.until("completed", STAGE_WITHIN_MS, before);
  const { limit, stored } = await scene.probe.features();
  expect(limit === "500000", `the import works with 500000, found ${limit}`);
  expect(scene.slack.textOf(card).includes("bulk-import"), "the card shows how far the import is");
  return { limit, stored };
}

/** `kill -9` to the import in its largest batch: it goes on at its offset, and in the end every record is in once. */
export async function importerKilled(cast: Cast): Promise<Measured> {
  const { scene, say, expect } = cast;
  const before = await scene.probe.features();
  const killedWall = Date.now();
  const pid = scene.importer.kill();
  say("killed", { what: "the import", pid, signal: "SIGKILL", stored: before.stored }, killedWall);
  const kept = auditOf(scene.database);
  await scene.importer.restart();
  const first = await scene.probe.features();
  say("restarted", { what: "the import", stored: first.stored });
  expect(before.stored < RECORDS, `it was killed before its end, found ${before.stored} records in`);
  expect(kept.records >= before.stored, "nothing that was in is lost");
  expect(first.stored >= kept.records, `it goes on at ${kept.records}, found ${first.stored}`);
  await soon(
    "every record is in",
    async () => ((await scene.probe.features()).stored === RECORDS ? true : undefined),
    IMPORTED_WITHIN_MS,
  );
  const { records, mismatches } = auditOf(scene.database);
  say("imported", { records, mismatches });
  expect(
    records === RECORDS && mismatches === 0,
    `every record is in and as in its source: ${mismatches} not`,
  );
  return { went_on_at: kept.records, records, mismatches, import_killed_to_end_ms: Date.now() - killedWall };
}

/** Wall ms at which Prometheus first showed an average query time beyond the limit, asked from outside. */
function slowQueries({ prometheusUrl }: ImportScene): Promise<number> {
  return soon(
    "slow queries in Prometheus",
    async () => {
      const response = await fetch(`${prometheusUrl}/api/v1/query?query=${encodeURIComponent(QUERY_TIME)}`);
      const value = Number(sampleSchema.safeParse(await response.json()).data?.data.result[0]?.value[1]);
      return value > SLOW_S ? Date.now() : undefined;
    },
    SEEN_WITHIN_MS,
  );
}

/** Wall ms at which the import itself first said that it works with this limit. */
function limitSeen({ probe }: ImportScene, limit: string): Promise<number> {
  return soon(
    `the import works with ${limit}`,
    async () => ((await probe.features()).limit === limit ? Date.now() : undefined),
    SEEN_WITHIN_MS,
  );
}
