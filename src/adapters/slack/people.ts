/** People: their handles, and who is a guest, a stranger, a bot or gone; kept at hand, because no command waits for Slack. */
import type { WebClient } from "@slack/web-api";
import { type Log, messageOfFault } from "../../engine/ports.ts";
import type { Calls } from "./calls.ts";
import type { WhoAmI } from "./options.ts";
import { sleep } from "./pace.ts";

/** `unknown`: not read yet; they are looked up behind their first command. */
export type Standing = "member" | "guest" | "stranger" | "bot" | "deleted" | "unknown";

export interface PeopleDeps {
  readonly client: WebClient;
  readonly calls: Calls;
  readonly whoAmI: WhoAmI;
  readonly log: Log;
  readonly stopped: AbortSignal;
}

/** What Slack tells of a user; the rest of it is not used. */
interface SlackUser {
  readonly id?: string;
  readonly name?: string;
  readonly team_id?: string;
  readonly deleted?: boolean;
  readonly is_bot?: boolean;
  readonly is_app_user?: boolean;
  readonly is_restricted?: boolean;
  readonly is_ultra_restricted?: boolean;
  readonly is_stranger?: boolean;
}

interface Person {
  readonly name: string;
  readonly standing: Standing;
}

const PAGE = 200;
const PAGES_MOST = 500;
const PEOPLE_MOST = 100_000;
/** Slack allows 20 pages a minute. */
const BETWEEN_PAGES_MS = 3_500;
const AGAIN_MS = 10 * 60_000;
const AFTER_FAILURE_MS = 60_000;
const LOOKUPS_AT_ONCE = 5;

export class People {
  readonly #deps: PeopleDeps;
  readonly #people = new Map<string, Person>();
  readonly #asking = new Set<string>();

  constructor(deps: PeopleDeps) {
    this.#deps = deps;
  }

  /** What is known now; an unknown person is looked up behind the caller. */
  standingOf(id: string): Standing {
    const known = this.#people.get(id);
    if (known === undefined) void this.#ask(id);
    return known?.standing ?? "unknown";
  }

  /** The handle without the `@`, when it is known. */
  nameOf(id: string): string | undefined {
    return this.#people.get(id)?.name;
  }

  /** Reads everybody now and again; ends when the adapter is stopped. Never rejects. */
  async keep(): Promise<void> {
    const { log, stopped } = this.#deps;
    let isFirst = true;
    while (!stopped.aborted) {
      let wait = AGAIN_MS;
      try {
        await this.#readAll();
        if (isFirst) log.info("the people of the workspace are known", { people: this.#people.size });
        isFirst = false;
      } catch (error) {
        if (stopped.aborted) return;
        log.info("the list of people could not be read", { error: messageOfFault(error) });
        wait = AFTER_FAILURE_MS;
      }
      await sleep(wait, stopped).catch(() => undefined);
    }
  }

  async #readAll(): Promise<void> {
    const { client, calls, stopped } = this.#deps;
    let cursor = "";
    for (let page = 0; page < PAGES_MOST && this.#people.size < PEOPLE_MOST; page += 1) {
      const answer = await calls.run({ method: "users.list", lane: "lists" }, () =>
        client.users.list({ limit: PAGE, ...(cursor === "" ? {} : { cursor }) }),
      );
      for (const user of answer.members ?? []) this.#put(user);
      cursor = answer.response_metadata?.next_cursor ?? "";
      if (cursor === "") return;
      await sleep(BETWEEN_PAGES_MS, stopped);
    }
  }

  async #ask(id: string): Promise<void> {
    const { client, calls, log } = this.#deps;
    if (this.#asking.has(id) || this.#asking.size >= LOOKUPS_AT_ONCE) return;
    this.#asking.add(id);
    try {
      const answer = await calls.run({ method: "users.info", lane: "lists" }, () =>
        client.users.info({ user: id }),
      );
      if (answer.user !== undefined) this.#put(answer.user);
    } catch (error) {
      log.info("a person could not be looked up", { user: id, error: messageOfFault(error) });
    } finally {
      this.#asking.delete(id);
    }
  }

  #put(user: SlackUser): void {
    if (user.id === undefined) return;
    this.#people.set(user.id, { name: user.name ?? user.id, standing: this.#standing(user) });
  }

  #standing(user: SlackUser): Standing {
    const me = this.#deps.whoAmI();
    if (user.deleted === true) return "deleted";
    if (user.is_bot === true || user.is_app_user === true || user.id === "USLACKBOT") return "bot";
    // In an organisation of several workspaces a colleague's team differs; there Slack's own mark must do.
    const otherTeam =
      me !== undefined &&
      me.enterpriseId === undefined &&
      user.team_id !== undefined &&
      user.team_id !== me.teamId;
    if (user.is_stranger === true || otherTeam) return "stranger";
    return user.is_restricted === true || user.is_ultra_restricted === true ? "guest" : "member";
  }
}
