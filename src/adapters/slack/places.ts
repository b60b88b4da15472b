/** Channels: from names to ids and back, and what is known of each without asking Slack again. */
import type { WebClient } from "@slack/web-api";
import { type Log, messageOfFault } from "../../engine/ports.ts";
import type { Calls } from "./calls.ts";
import { SlackFault } from "./faults.ts";
import type { WhoAmI } from "./options.ts";

export interface Place {
  readonly id: string;
  /** Without the `#`. */
  readonly name: string;
  readonly botIsMember: boolean;
  /** Shared with another organisation through Slack Connect. */
  readonly isShared: boolean;
}

export interface PlacesDeps {
  readonly client: WebClient;
  readonly calls: Calls;
  readonly whoAmI: WhoAmI;
  readonly log: Log;
}

const PAGE = 500;
const PAGES_MOST = 40;
/** A list older than this is fetched again when somebody misses something in it. */
const STALE_MS = 10_000;
/** A list older than this is fetched again anyway, behind whoever asks. */
const OLD_MS = 5 * 60_000;
const ID = /^[CGD][A-Z0-9]{5,}$/;

export class Places {
  readonly #deps: PlacesDeps;
  #byId = new Map<string, Place>();
  #idByName = new Map<string, string>();
  #loadedAt = Number.NEGATIVE_INFINITY;
  #loading: Promise<void> | undefined;

  constructor(deps: PlacesDeps) {
    this.#deps = deps;
  }

  /** Whether the list has been read at least once. */
  get isLoaded(): boolean {
    return this.#loadedAt > Number.NEGATIVE_INFINITY;
  }

  /** What the list says of a channel; undefined when it is not in it, as private channels may not be. */
  find(id: string): Place | undefined {
    if (performance.now() - this.#loadedAt > OLD_MS) this.refresh();
    return this.#byId.get(id);
  }

  /** The channel as people call it: `#name`, or its id. */
  nameOf(id: string): string {
    const name = this.#byId.get(id)?.name;
    return name === undefined ? id : `#${name}`;
  }

  /** The id of `#name`, `name`, `<#C123|name>` or an id. Rejects with a `SlackFault` when there is no such channel. */
  async idOf(given: string): Promise<string> {
    const bare = given.replace(/^<#([A-Z0-9]+)(?:\|[^>]*)?>$/, "$1").replace(/^#/, "");
    if (ID.test(bare)) return bare;
    const known = this.#idByName.get(bare);
    if (known !== undefined) return known;
    if (performance.now() - this.#loadedAt > STALE_MS) await this.#load();
    const found = this.#idByName.get(bare);
    if (found !== undefined) return found;
    throw new SlackFault(
      `Slack shows Belay no channel #${bare}: create or unarchive it; a private channel is named by its id, and Belay must be invited to it`,
      { recoverable: false, code: "channel_not_found" },
    );
  }

  /** Fetches the list again behind the caller; a failure is only logged. */
  refresh(): void {
    if (performance.now() - this.#loadedAt < STALE_MS) return;
    this.#load().catch((error: unknown) =>
      this.#deps.log.info("the list of channels could not be read", { error: messageOfFault(error) }),
    );
  }

  #load(): Promise<void> {
    this.#loading ??= this.#fetch().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #fetch(): Promise<void> {
    const { client, calls, whoAmI } = this.#deps;
    const types =
      whoAmI()?.scopes?.has("groups:read") === true ? "public_channel,private_channel" : "public_channel";
    const byId = new Map<string, Place>();
    let cursor = "";
    for (let page = 0; page < PAGES_MOST; page += 1) {
      const answer = await calls.run({ method: "conversations.list", lane: "lists" }, () =>
        client.conversations.list({
          types,
          exclude_archived: true,
          limit: PAGE,
          ...(cursor === "" ? {} : { cursor }),
        }),
      );
      for (const { id, name, is_member, is_ext_shared } of answer.channels ?? []) {
        if (id === undefined || name === undefined) continue;
        byId.set(id, { id, name, botIsMember: is_member ?? false, isShared: is_ext_shared ?? false });
      }
      cursor = answer.response_metadata?.next_cursor ?? "";
      if (cursor === "") break;
    }
    this.#byId = byId;
    this.#idByName = new Map([...byId.values()].map((place) => [place.name, place.id]));
    this.#loadedAt = performance.now();
  }
}
