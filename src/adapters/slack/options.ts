/** What the Slack adapter is given, and what it knows of itself once Slack has told. */
import type { Intake } from "../../engine/messages.ts";
import type { Log } from "../../engine/ports.ts";

/** What becomes of a command: `duplicate` was taken before; `unavailable` changed nothing and says why. */
export type Taken =
  | { readonly kind: "accepted" }
  | { readonly kind: "duplicate" }
  | { readonly kind: "unavailable"; readonly text: string };

export interface SlackOptions {
  readonly mode: "socket" | "http";
  readonly botToken: string;
  /** Needed in Socket Mode. */
  readonly appToken?: string;
  /** Needed in HTTP mode. */
  readonly signingSecret?: string;
  /** Address of Slack's Web API; Slack's own when not given. */
  readonly apiUrl?: string;
  /** HTTP mode: where to listen; 0, the default, takes a free port. */
  readonly port?: number;
  /** HTTP mode: loopback unless said otherwise. */
  readonly host?: string;
  /** Takes a command durably; resolves before any work is done. */
  readonly submit: (request: Omit<Intake, "at" | "wall">) => Promise<Taken>;
  /** Channels in which commands count, as ids or `#names`; without it, every channel that the bot is in. */
  readonly allowedChannels?: readonly string[];
  /** Slack's own markup that mentions on-call, such as `<!subteam^S123>`; added to pages and rollbacks. */
  readonly pageMention?: string;
  /** Zone of the clock times that are shown where Slack cannot show the reader's own. */
  readonly zone: string;
  readonly log: Log;
  /** Told how long each acknowledgement took, in ms from arrival. */
  readonly onAck?: (ms: number) => void;
  /** Wall clock, Unix ms. */
  readonly now?: () => number;
}

/** Who Belay is in this workspace. */
export interface Identity {
  readonly teamId: string;
  readonly enterpriseId: string | undefined;
  /** Unknown on workspaces whose `auth.test` does not tell. */
  readonly appId: string | undefined;
  readonly botUserId: string;
  readonly botId: string | undefined;
  /** Handle of the bot user, without the `@`. */
  readonly botName: string;
  /** Scopes granted to the bot token; undefined when Slack did not say. */
  readonly scopes: ReadonlySet<string> | undefined;
}

/** Who Belay is, once that is known. */
export type WhoAmI = () => Identity | undefined;
