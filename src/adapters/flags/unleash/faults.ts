/** What an answer of Unleash that is no success means: whether another try can help, and what a person has to do. */
import { OutsideFault } from "../../../engine/ports.ts";
import type { HttpReply } from "../../http-client.ts";
import { refusalShape } from "./shapes.ts";

const MOST_WORDS = 200;
const SECOND_MS = 1_000;
/** A server that asks for longer is asked again all the same. */
const MOST_WAIT_MS = 5 * 60 * SECOND_MS;

/** How things stand after a refusal. */
export const UNCHANGED = "Nothing was changed";

/** Where a call went, for its fault. */
export interface Asked {
  /** `https://unleash.example.com`, without a path. */
  readonly host: string;
  /** Base address, for links. */
  readonly url: string;
  readonly project: string;
  readonly environment: string;
  /** The flag's key; undefined for calls about none. */
  readonly key?: string;
  /** What was tried, as in `cannot ...`: `turn FEATURE_X off in production`. */
  readonly doing: string;
  /** The setting that holds the token, and the token: it stands in no message. */
  readonly setting: string;
  readonly token: string;
  /** How things stand when the call is refused, as a sentence without its stop; `Nothing was changed` when not given. */
  readonly outcome?: string;
}

function lasting(message: string): OutsideFault {
  return new OutsideFault(message, { recoverable: false });
}

/** The fault for an answer that is not 2xx. */
export function refusalOf(reply: HttpReply, asked: Asked): OutsideFault {
  const { status } = reply;
  const begin = `cannot ${asked.doing} (${asked.host} answered ${status})`;
  const said = wordsOf(reply, asked.token);
  if (status === 401)
    return lasting(
      `${begin}: the token in ${asked.setting} is not accepted; it is wrong, expired or deleted. ${asked.outcome ?? UNCHANGED}: make a new token in Unleash and set ${asked.setting} to it`,
    );
  if (status === 403) return forbidden(begin, said, asked);
  if (status === 404)
    return lasting(
      `${begin}: ${missing(isNotFound(reply) ? said : "", asked)}. ${asked.outcome ?? UNCHANGED}`,
    );
  if (status === 408 || status === 425 || status === 429 || status >= 500)
    return new OutsideFault(`${begin}; it is tried again`, {
      recoverable: true,
      retryAfterMs: retryAfter(reply),
    });
  if (status >= 300 && status < 400)
    return lasting(
      `${begin}, which leads elsewhere: correct the provider's url. ${asked.outcome ?? UNCHANGED}`,
    );
  if (said.includes("archived features"))
    return lasting(
      `${begin}: ${asked.key ?? "the flag"} is archived. ${asked.outcome ?? UNCHANGED}: revive it in Unleash, or take it out of the flags file`,
    );
  return lasting(`${begin}${said === "" ? "" : `: ${said}`}. ${asked.outcome ?? UNCHANGED}`);
}

function forbidden(begin: string, said: string, asked: Asked): OutsideFault {
  const { project, environment, key, url, setting } = asked;
  if (said.includes("SKIP_CHANGE_REQUEST")) {
    const place =
      key === undefined ? `${url}/projects/${project}` : `${url}/projects/${project}/features/${key}`;
    return lasting(
      `${begin}: changes of ${environment} in project ${project} need an approved change request. ${asked.outcome ?? UNCHANGED}: request this change at ${place} and have it approved there, or give the user of ${setting} the permission SKIP_CHANGE_REQUEST for ${environment}`,
    );
  }
  if (said.includes("different token type"))
    return lasting(
      `${begin}: the token in ${setting} is of another type. ${asked.outcome ?? UNCHANGED}: Belay needs a personal access token (or admin token) to read and flip, and a backend token only for what SDKs see`,
    );
  const permission = /"([A-Z_]+)" permission/.exec(said)?.[1];
  const needed = permission === undefined ? "the rights" : `the permission ${permission}`;
  return lasting(
    `${begin}: the token in ${setting} lacks ${needed} in project ${project}, environment ${environment}. ${asked.outcome ?? UNCHANGED}: give it to the token's user in Unleash`,
  );
}

function missing(said: string, { key, project, environment, url }: Asked): string {
  if (said.includes("there's a feature with that name in project"))
    return `${key ?? "the flag"} belongs to another project than ${project}: correct the provider's project`;
  if (said.includes("environment"))
    return `${key ?? "the flag"} has no environment ${environment}: correct the provider's environment`;
  if (said === "") return `${url} is no Unleash: correct the provider's url`;
  return `${key ?? "the flag"} is archived, deleted or was never in project ${project}`;
}

/** What Unleash says, in one line, without the token; empty where the answer is not its own. */
export function wordsOf(reply: HttpReply, token: string): string {
  const parsed = refusalShape.safeParse(jsonOf(reply.text));
  if (!parsed.success) return "";
  const { message, details } = parsed.data;
  const words = [message, ...details.map((detail) => detail.message)];
  const text = [...new Set(words)].filter((word) => word !== "").join(" ");
  const plain = text.replaceAll(/[\p{C}\s]+/gu, " ");
  return (token === "" ? plain : plain.replaceAll(token, "...")).slice(0, MOST_WORDS).trim();
}

/** Whether Unleash itself says that there is no such thing; a gateway before it has other words. */
export function isNotFound(reply: HttpReply): boolean {
  return refusalShape.safeParse(jsonOf(reply.text)).data?.name === "NotFoundError";
}

/** The decoded text; undefined when it is no JSON. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function retryAfter({ headers }: HttpReply): number | undefined {
  const text = headers["retry-after"];
  if (text === undefined) return undefined;
  const seconds = Number(text);
  const ms = Number.isFinite(seconds) ? seconds * SECOND_MS : Date.parse(text) - Date.now();
  return Number.isFinite(ms) && ms >= 0 ? Math.min(ms, MOST_WAIT_MS) : undefined;
}
