/** What LaunchDarkly's refusals mean: each status as one fault that says what was wrong, that nothing changed, and what to do. */
import { OutsideFault } from "../../../engine/ports.ts";
import { HttpFault, type HttpReply } from "../../http-client.ts";

/** A wait longer than this is cut: a rollback may have begun meanwhile. */
const LONGEST_WAIT_MS = 60_000;
const SHORTEST_WAIT_MS = 250;
const SAID_CHARS = 200;

/** Where a flag is, for words. */
export interface Place {
  readonly url: string;
  readonly project: string;
  readonly environment: string;
}

/** What was being done, for words: `reading FEATURE_X`, `changing FEATURE_X`. `key`: the flag it is about. */
export interface Doing {
  readonly what: string;
  readonly key?: string | undefined;
}

export function networkFault(error: unknown): OutsideFault {
  if (error instanceof OutsideFault) return error;
  const detail = error instanceof HttpFault ? error.detail : "the request failed";
  return new OutsideFault(`LaunchDarkly: ${detail}`, { recoverable: true });
}

/** `said`: the message of the answer, free of secrets. */
export function refusalFault(reply: HttpReply, said: string, place: Place, doing: Doing): OutsideFault {
  const { status, headers } = reply;
  const words = said === "" ? "" : `: ${said}`;
  const head = `LaunchDarkly answered ${status} to ${doing.what}${words}`;
  switch (status) {
    case 401:
      return final(
        `LaunchDarkly does not accept Belay's token (401) for ${doing.what}; nothing was changed: put a valid access token into BELAY_LAUNCHDARKLY_TOKEN and restart Belay`,
      );
    case 403:
      return final(
        `LaunchDarkly forbids ${doing.what} to Belay's token (403); nothing was changed: its role needs updateOn, updateFallthrough and updateOffVariation on ${resourceOf(place, doing.key ?? "*")}`,
      );
    case 404:
      return final(
        `${head}; nothing was changed: check the project ${place.project}, the environment ${place.environment}${doing.key === undefined ? "" : ` and the flag ${doing.key}`}`,
      );
    case 405:
      return final(
        `LaunchDarkly wants an approval for ${doing.what} in ${place.environment} (405${words}); nothing was changed: request the change there and have it approved and applied (${flagPage(place, doing.key)}), or give Belay's token the action bypassRequiredApproval`,
      );
    case 408:
      return new OutsideFault(head, { recoverable: true });
    case 409:
      return new OutsideFault(
        `LaunchDarkly met another change at the same moment (409) and did not take ${doing.what}`,
        {
          recoverable: true,
        },
      );
    case 429:
      return new OutsideFault(`LaunchDarkly's rate limit is reached (429): ${doing.what} must wait`, {
        recoverable: true,
        retryAfterMs: waitOf(headers),
      });
    default:
      if (status >= 400 && status < 500) return final(`${head}; nothing was changed`);
      return new OutsideFault(head, { recoverable: true, retryAfterMs: retryAfter(headers) });
  }
}

/** The resource specifier of a flag in our environment. */
export function resourceOf({ project, environment }: Place, key: string): string {
  return `proj/${project}:env/${environment}:flag/${key}`;
}

/** Where people look at the flag. */
export function flagPage({ url, project, environment }: Place, key: string | undefined): string {
  const path = key === undefined ? "flags" : `flags/${key}/targeting`;
  return `${url}/projects/${project}/${path}?env=${environment}&selected-env=${environment}`;
}

/** The message of an answer in one short line; `secrets` never stand in it, whatever a gateway in between repeats. */
export function saidOf(message: string | undefined, secrets: readonly (string | undefined)[]): string {
  let line = (message ?? "").replace(/\s+/g, " ").trim();
  for (const secret of secrets)
    if (secret !== undefined && secret !== "") line = line.replaceAll(secret, "***");
  return line.length <= SAID_CHARS ? line : `${line.slice(0, SAID_CHARS)}...`;
}

function final(message: string): OutsideFault {
  return new OutsideFault(message, { recoverable: false });
}

/** Retry-After of the limit by address, in seconds; else the end of the window, in ms since 1970 by the server's own clock. */
function waitOf(headers: HttpReply["headers"]): number {
  const after = retryAfter(headers);
  if (after !== undefined) return after;
  const reset = Number(headers["x-ratelimit-reset"]);
  if (!(reset > 0)) return SHORTEST_WAIT_MS;
  const server = Date.parse(headers["date"] ?? "");
  // The server's date has no ms: this may wait up to a second too long, never too short.
  return bounded(reset - (Number.isNaN(server) ? Date.now() : server));
}

function retryAfter(headers: HttpReply["headers"]): number | undefined {
  const text = headers["retry-after"];
  if (text === undefined) return undefined;
  const seconds = Number(text);
  if (Number.isFinite(seconds)) return bounded(seconds * 1_000);
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : bounded(at - Date.now());
}

function bounded(ms: number): number {
  return Math.min(LONGEST_WAIT_MS, Math.max(SHORTEST_WAIT_MS, ms));
}
