/** Refusals: values with a stable reason code and words that say what was wrong, that nothing changed, and what to do. */

export type RefusalCode =
  | "unknown_noun"
  | "unknown_verb"
  | "unknown_rollout"
  | "unknown_stage"
  | "unknown_option"
  | "ambiguous"
  | "bad_value"
  | "missing_reason"
  | "too_long"
  | "not_live"
  | "already_live"
  | "nothing_to_undo"
  | "nothing_to_approve"
  | "nothing_to_sign_off"
  | "nothing_to_advance"
  | "not_locked"
  | "held"
  | "blind"
  | "guard"
  | "latched"
  | "lock_conflict"
  | "requires"
  | "stage_order"
  | "rolling_back"
  | "awaiting_approval"
  | "awaiting_sign_off"
  | "approval_expired"
  | "own_request"
  | "not_authorised"
  | "stale_button"
  | "wrong_channel"
  | "plan_invalid"
  | "flag_store"
  | "rehearsal"
  | "expired"
  | "journal_unavailable"
  | "stuck"
  | "not_available";

/** A choice offered beside a refusal or a question: the button's label and the command it runs. */
export interface Offer {
  readonly label: string;
  readonly command: string;
  readonly style?: "primary" | "danger";
  /** Asked before the command runs. */
  readonly confirm?: string;
  /** A question whose answer becomes the command's `because`. */
  readonly reason?: string;
}

export interface Refusal {
  readonly kind: "refused";
  readonly code: RefusalCode;
  /** One or two sentences: what was wrong, and what to do instead. "Nothing changed." is added where it is shown. */
  readonly message: string;
  readonly offers: readonly Offer[];
}

export function refuse(code: RefusalCode, message: string, offers: readonly Offer[] = []): Refusal {
  return { kind: "refused", code, message, offers };
}
