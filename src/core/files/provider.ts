/** What the core knows of a kind of flag system: facts that files are checked and plans compiled with. The kinds themselves stand in the adapters. */
import type { ProviderLimits } from "../plan.ts";
import { SECOND } from "../time.ts";
import type { ProviderEntry } from "./flags-file.ts";
import type { Mistake } from "./mistake.ts";

/** Deadline of one call of a flag system over HTTP, ms. */
export const FLAG_CALL_MS = 5 * SECOND;

/** What is so for every flag of a provider. */
export interface ProviderFacts {
  /** A flag can be on for a share of the users. */
  readonly percent: boolean;
  /** Keys are names of environment variables. */
  readonly variables: boolean;
  /** A flip takes effect after a restart. */
  readonly restarts: boolean;
  /** What its SDKs see can serve as the service's view. */
  readonly sdk: boolean;
  readonly limits: ProviderLimits;
  /** The files on disk that its flags stand in, each as one text wherever it is named. Only a provider that has them can be a second lever: it needs nobody else. */
  readonly files?: readonly string[];
}

/** An entry of its kind, as a plan keeps it, with its facts and what is no mistake and yet hardly meant; or what is wrong with it. Paths lead into the entry. */
export type CheckedProvider =
  | {
      readonly kind: "sound";
      readonly entry: ProviderEntry;
      readonly facts: ProviderFacts;
      readonly warnings?: readonly Mistake[];
    }
  | { readonly kind: "mistaken"; readonly mistakes: readonly Mistake[] };

/** Checks the entry of a provider as a file has it. */
export type CheckProvider = (entry: ProviderEntry) => CheckedProvider;
