/** The part of the REST API v2 that Belay uses: flags and their semantic patches, the audit log, the caller and its token, the project. */
import { isList, isObject, stringAt } from "../slack/json.ts";
import { refusal } from "./faults.ts";
import type { Flags } from "./flags.ts";
import type { Answer, Flag, Heard, Statement, Token } from "./model.ts";
import { patchConfig } from "./patch.ts";
import { covers, mayDo } from "./policy.ts";
import { auditJson, flagJson, identityJson, projectJson, tokenJson } from "./shapes.ts";

const SEMANTIC = "launchdarkly.semanticpatch";
const AUDIT_LIMIT_DEFAULT = 10;
const AUDIT_LIMIT_MOST = 20;
const LIST_LIMIT_DEFAULT = 20;
const COMMENT_CHARS_MOST = 1_000;
const DESTRUCTIVE = ["deleteFlag", "archiveFlag", "restoreFlag", "deprecateFlag", "removeVariation"];

const QUERIES: Readonly<Record<string, readonly string[]>> = {
  flag: ["env", "expand"],
  patch: ["ignoreConflicts", "dryRun"],
  flags: ["env", "tag", "limit", "offset", "summary", "filter", "sort", "expand"],
  auditlog: ["before", "after", "q", "limit", "spec"],
  projects: ["expand"],
  none: [],
};

/** What the server behind the API knows; the sets change while it runs. */
export interface RestOptions {
  readonly flags: Flags;
  readonly tokens: readonly Token[];
  readonly customRoles: Readonly<Record<string, readonly Statement[]>>;
  /** By environment. */
  readonly sdkKeys: Readonly<Record<string, string>>;
  /** Environments whose changes need approval. */
  readonly approvals: ReadonlySet<string>;
  /** Flags with a change planned, which any other change would make fail. */
  readonly scheduled: ReadonlySet<string>;
  /** Tokens that are no longer known. */
  readonly revoked: ReadonlySet<string>;
  readonly violate: (rule: string, detail: string) => void;
}

/** Answers requests, and tells of each that is wrong in itself; what flags, rights or settings forbid is no mistake of the client. */
export class RestApi {
  readonly #options: RestOptions;

  constructor(options: RestOptions) {
    this.#options = options;
  }

  answer(heard: Heard): Answer {
    const { authorization, accept, "ld-api-version": version } = heard.headers;
    const token = this.#options.tokens.find(({ value }) => value === authorization);
    if (token === undefined) return this.#refuse(401);
    if (this.#options.revoked.has(token.id)) return refusal(401);
    if (version !== "20240415") this.#options.violate("api_version", `LD-API-Version is ${String(version)}`);
    if (accept !== undefined && !String(accept).includes("json") && accept !== "*/*")
      this.#options.violate("accept", `Accept is ${String(accept)}`);
    const [, , , folder, project, key, ...rest] = heard.path.split("/").map(decodeURIComponent);
    if (rest.length > 0) return this.#refuse(404, "Not found");
    if (folder === "flags" && project !== undefined && key !== undefined)
      return this.#ofFlag(heard, token, project, key);
    if (heard.method !== "GET") return this.#refuse(405);
    switch (folder) {
      case "flags":
        return this.#list(heard, project ?? "");
      case "auditlog":
        return this.#audit(heard);
      case "caller-identity":
        this.#known(heard, "none");
        return { status: 200, body: identityJson(token) };
      case "tokens":
        return this.#token(heard, token, project ?? "");
      case "projects":
        return this.#project(heard, project ?? "");
      default:
        return this.#refuse(404, "Not found");
    }
  }

  #refuse(status: number, message?: string): Answer {
    this.#options.violate(`refused_${status}`, message ?? `HTTP ${status}`);
    return refusal(status, message);
  }

  #known({ path, query }: Heard, names: string): void {
    const known = QUERIES[names] ?? [];
    for (const name of query.keys())
      if (!known.includes(name)) this.#options.violate("query", `${path} knows no ${name}`);
  }

  #ofFlag(heard: Heard, token: Token, project: string, key: string): Answer {
    const { flags } = this.#options;
    if (project !== flags.project) return refusal(404, `Unknown project key ${project}`);
    const flag = flags.get(key);
    if (heard.method === "GET") {
      this.#known(heard, "flag");
      // Asking for a flag that is not there is how one learns it.
      if (flag === undefined) return refusal(404, `Unknown feature flag key ${key}`);
      const asked = heard.query.getAll("env");
      return {
        status: 200,
        body: flagJson(project, flag, asked.length === 0 ? flags.environments : asked),
      };
    }
    if (heard.method !== "PATCH") {
      this.#options.violate("method", `${heard.method} of a flag`);
      return this.#refuse(405);
    }
    return flag === undefined
      ? refusal(404, `Unknown feature flag key ${key}`)
      : this.#patch(heard, token, flag);
  }

  #patch(heard: Heard, token: Token, flag: Flag): Answer {
    const { flags, approvals, scheduled, customRoles, violate } = this.#options;
    this.#known(heard, "patch");
    const type = String(heard.headers["content-type"] ?? "").replaceAll(" ", "");
    if (!type.startsWith("application/json;") || !type.includes(`domain-model=${SEMANTIC}`))
      return this.#refuse(400, "invalid JSON patch: a semantic patch must say so in its Content-Type");
    if (!isObject(heard.body)) return this.#refuse(400);
    const { comment, environmentKey, instructions, ...odd } = heard.body;
    if (Object.keys(odd).length > 0) return this.#refuse(400, `unknown field ${Object.keys(odd).join()}`);
    if (comment === undefined) violate("comment", "a patch without a comment says nobody why");
    else if (typeof comment !== "string" || comment.length > COMMENT_CHARS_MOST)
      return this.#refuse(400, "comment must be a text of moderate length");
    for (const instruction of isList(instructions) ? instructions : [])
      if (DESTRUCTIVE.includes(stringAt(instruction, "kind") ?? ""))
        violate("destructive", stringAt(instruction, "kind") ?? "");
    if (typeof environmentKey !== "string") return this.#refuse(400, "environmentKey is required");
    const config = flag.environments[environmentKey];
    if (config === undefined) return refusal(404, `Unknown environment key ${environmentKey}`);
    const patched = patchConfig(flag, config, instructions);
    if ("message" in patched) return this.#refuse(patched.status, patched.message);
    const resource = `proj/${flags.project}:env/${environmentKey}:flag/${flag.key}`;
    const denied = patched.actions.find((action) => !mayDo(token.rights, customRoles, action, resource));
    if (denied !== undefined) return refusal(403, `Access to the requested resource was denied: ${denied}`);
    if (flag.archived) return refusal(400, "Cannot update an archived flag");
    if (approvals.has(environmentKey))
      return refusal(
        405,
        `Flag configuration updates require approval: action '${patched.actions[0] ?? ""}' not allowed`,
      );
    if (scheduled.has(flag.key) && heard.query.get("ignoreConflicts") !== "true" && patched.changed)
      return refusal(400, "This change conflicts with a scheduled change");
    if (heard.query.get("dryRun") === "true") {
      const preview = { ...flag, environments: { ...flag.environments, [environmentKey]: patched.config } };
      return { status: 200, body: flagJson(flags.project, preview, flags.environments) };
    }
    const after = patched.changed
      ? flags.configure(flag.key, environmentKey, () => patched.config, {
          actions: patched.actions,
          comment: typeof comment === "string" ? comment : undefined,
          author: { token },
        })
      : flag;
    return { status: 200, body: flagJson(flags.project, after, flags.environments) };
  }

  #list(heard: Heard, project: string): Answer {
    this.#known(heard, "flags");
    const { flags } = this.#options;
    if (project !== flags.project) return this.#refuse(404, `Unknown project key ${project}`);
    const limit = Number(heard.query.get("limit") ?? LIST_LIMIT_DEFAULT);
    const offset = Number(heard.query.get("offset") ?? 0);
    if (!(limit >= 1 && limit <= 100) || !(offset >= 0)) return this.#refuse(400, "limit or offset");
    const live = flags.all().filter(({ archived }) => !archived);
    const environment = /(?:^|,)filterEnv:([^,]+)/.exec(heard.query.get("filter") ?? "")?.[1];
    const items = live
      .slice(offset, offset + limit)
      .map((flag) => flagJson(project, flag, environment === undefined ? [] : [environment]));
    return { status: 200, body: { items, totalCount: live.length, _links: {} } };
  }

  #audit(heard: Heard): Answer {
    this.#known(heard, "auditlog");
    const { query } = heard;
    const limit = Number(query.get("limit") ?? AUDIT_LIMIT_DEFAULT);
    if (!Number.isInteger(limit) || limit < 1 || limit > AUDIT_LIMIT_MOST)
      return this.#refuse(400, `limit must be from 1 to ${AUDIT_LIMIT_MOST}`);
    const after = Number(query.get("after") ?? 0);
    const before = Number(query.get("before") ?? Number.MAX_SAFE_INTEGER);
    if (!Number.isInteger(after) || !Number.isInteger(before)) return this.#refuse(400, "before or after");
    const spec = query.get("spec") ?? "*";
    const found = this.#options.flags
      .audit()
      .filter(({ at }) => at > after && at < before)
      .filter(({ accesses }) => accesses.some(({ resource }) => covers(spec, resource)));
    return { status: 200, body: { items: found.slice(0, limit).map(auditJson), _links: {} } };
  }

  #token(heard: Heard, caller: Token, id: string): Answer {
    this.#known(heard, "none");
    const found = this.#options.tokens.find((token) => token.id === id);
    // A token may look at itself; at others only that of an administrator.
    const isAdmin = "role" in caller.rights && caller.rights.role === "admin";
    if (found === undefined || (found !== caller && !isAdmin)) return refusal(404, "Unknown token");
    return { status: 200, body: tokenJson(found) };
  }

  #project(heard: Heard, key: string): Answer {
    this.#known(heard, "projects");
    const { flags, sdkKeys, approvals } = this.#options;
    // Asking for a project that is not there is how one learns it.
    if (key !== flags.project) return refusal(404, "Unknown project key");
    const expanded = heard.query.get("expand") === "environments";
    return { status: 200, body: projectJson(key, expanded ? sdkKeys : undefined, approvals) };
  }
}
