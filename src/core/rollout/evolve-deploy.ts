/** Folds deploys and restarts of the service into the state: the soak they fall into starts anew. */
import type { Recorded } from "../event.ts";
import type { Plan } from "../plan.ts";
import { happenedAt } from "./deploys.ts";
import { editStage, type Of } from "./edits.ts";
import { newestFlagStage, type State } from "./state.ts";

/** Judgements go on: a breach that had begun counts on, whatever was deployed meanwhile. */
export function applyDeploy(
  plan: Plan,
  s: State,
  event: Of<"deploy_found" | "versions_seen">,
  { at, wall }: Recorded,
): State {
  const { versions } = event;
  if (event.kind === "versions_seen") return { ...s, service: { ...s.service, versions } };
  const { detail, startedWall = s.service?.startedWall } = event;
  // What people had approved was seen before this.
  const { approval: _void, ...rest } = s;
  return {
    ...rest,
    service: { versions, ...(startedWall === undefined ? {} : { startedWall }) },
    unattributed: { detail, at: happenedAt(event, { steady: at, wall }) },
    // With a rollback it may be that nothing soaks any more.
    stages: editStage(s.stages, newestFlagStage(plan, s), (stage) =>
      stage.status === "soaking" || stage.status === "passed"
        ? { ...stage, status: "soaking", soakedMs: 0, creditedTo: at, cut: false }
        : stage,
    ),
  };
}

/** A person resumes: whatever began before is known to them and holds no more. `wall`: Unix ms. */
export function acceptDeploys(s: State, wall: number): State {
  if (s.unattributed === undefined) return s;
  return { ...s, service: { versions: s.service?.versions ?? [], startedWall: wall } };
}
