/** What a rollout's events ask of on-call: pages, and changes for the pager's timeline. */
import { type Recorded, tellingOf } from "../core/event.ts";
import type { PagerChange } from "../core/oncall/page.ts";
import { type Plan, settingInWords } from "../core/plan.ts";
import { eventInWords } from "../core/report/words.ts";
import { newestUndoable, type State, stageAt } from "../core/rollout/state.ts";
import { sameSetting } from "../core/setting.ts";
import { pageDraft } from "./drafts.ts";
import type { OutboxDraft } from "./messages.ts";

/** The key of the page about one rollback. */
export function rollbackPageKey(run: string, seq: number): string {
  return `${run}.rollback.${seq}`;
}

/** The key of the page about what Belay would have taken back. */
export function wouldPageKey(run: string, seq: number): string {
  return `${run}.would.${seq}`;
}

/** Pages and changes of one commit. Pure. A rollback by Belay itself, also one that it would have made, pages once, unless the same decision pages anyway. */
export function pagesOf(
  plan: Plan,
  after: State,
  events: readonly Recorded[],
  channel: string | undefined,
): readonly OutboxDraft[] {
  const isPaged = events.some(({ event }) => event.kind === "paged");
  return events.flatMap((recorded): readonly OutboxDraft[] => {
    const { event, wall } = recorded;
    const seq = tellingOf(recorded);
    const about = { plan, after, wall, channel };
    switch (event.kind) {
      case "paged": {
        const { key, severity, summary } = event;
        return [pageDraft({ ...requestOf(about), key, severity, summary, tells: { about: "page", seq } })];
      }
      case "rollback_started": {
        if (event.by.kind !== "belay" || event.byHand === true || isPaged) return [];
        const key = rollbackPageKey(after.run, seq);
        const summary = eventInWords(plan, event) ?? `${plan.rollout} is going back`;
        return [
          pageDraft({
            ...requestOf(about),
            key,
            severity: "P1",
            summary,
            tells: { about: "rollback", seq },
          }),
        ];
      }
      case "would_roll_back": {
        if (isPaged) return [];
        const key = wouldPageKey(after.run, seq);
        const said = eventInWords(plan, event) ?? `${plan.rollout} would go back`;
        const summary = `${plan.rollout}: ${said}. Belay observes; nothing was written. Do it, set it by hand, or call it a false alarm.`;
        return [
          pageDraft({ ...requestOf(about), key, severity: "P1", summary, tells: { about: "would", seq } }),
        ];
      }
      case "flip_verified": {
        const change = changeOf(plan, after, event, wall);
        return change === undefined
          ? []
          : [
              {
                run: after.run,
                key: `change:${change.key}`,
                lane: "page",
                body: { kind: "change", change },
                wall,
              },
            ];
      }
      default:
        return [];
    }
  });
}

interface About {
  readonly plan: Plan;
  readonly after: State;
  readonly wall: number;
  readonly channel: string | undefined;
}

function requestOf({ plan, after, wall, channel }: About) {
  const newest = newestUndoable(plan, after);
  return {
    service: plan.service,
    environment: plan.environment,
    source: "rollout" as const,
    run: after.run,
    wall,
    ...(newest < 0 ? {} : { stage: stageAt(plan, newest).name }),
    ...(channel === undefined ? {} : { channel }),
    ...(plan.runbook === undefined ? {} : { runbook: plan.runbook }),
  };
}

/** One flip that was read back. */
function changeOf(
  plan: Plan,
  after: State,
  { flag, intent }: { readonly flag: string; readonly intent: string },
  wall: number,
): PagerChange | undefined {
  const flip = after.flips[flag]?.flip;
  // A baseline that finds a flag as it should be has changed nothing.
  if (flip === undefined || sameSetting(flip.from, flip.to)) return undefined;
  const key = plan.flags[flag]?.key ?? flag;
  return {
    key: intent,
    summary: `${plan.service}: ${key} is ${settingInWords(plan, flag, flip.to)} (was ${settingInWords(plan, flag, flip.from)}), rollout ${plan.rollout}`,
    source: `${plan.service}/${plan.environment}`,
    details: { rollout: plan.rollout, run: after.run, flag, key },
    wall,
  };
}

/** Why nobody needs to look any more at what Belay would have taken back: a person has said so, or it went back and production recovered. */
export function wouldIsOver(state: State | undefined, seq: number): string | undefined {
  if (state?.would?.seq !== seq) return undefined;
  if (state.would.dismissedAt !== undefined) return "called a false alarm";
  const { rollback } = state;
  const isOver =
    rollback !== undefined && rollback.decidedAt >= state.would.at && rollback.recoveredAt !== undefined;
  return isOver ? "production has recovered after the rollback" : undefined;
}
