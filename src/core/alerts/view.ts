/** What is known of the alerts that concern one rollout, at one instant. */
import type { IncomingAlert } from "./incoming.ts";

/** Alerts of several services within a minute: whatever is wrong is larger than one rollout. */
export interface AlertStorm {
  /** The services that were named so far, sorted. */
  readonly services: readonly string[];
  /** Steady ms at which it was seen to be one. */
  readonly since: number;
}

export interface AlertView {
  /** Every matching firing that was told, also one that has been resolved since; those of a storm are left out. */
  readonly firings: readonly IncomingAlert[];
  readonly storm?: AlertStorm;
  /** Why nobody can say at present whether an alert fires. */
  readonly blind?: string;
  /** The source of alerts has not answered yet since Belay started: that is no blindness yet, and no end of one. */
  readonly isUnasked?: true;
}
