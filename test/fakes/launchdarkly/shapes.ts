/** Flags, audit entries, tokens and projects as LaunchDarkly writes them: in its REST answers, and in what it sends to SDKs. */
import type { JsonObject } from "../slack/json.ts";
import type { AuditEntry, Config, Flag, Person, Served, Token } from "./model.ts";

const JSON_TYPE = "application/json";

/** As `GET /api/v2/flags/{project}/{key}` shows it, with these environments. */
export function flagJson(project: string, flag: Flag, environments: readonly string[]): JsonObject {
  const configs = environments.flatMap((environment) => {
    const config = flag.environments[environment];
    return config === undefined
      ? []
      : [[environment, configJson(project, environment, flag, config)] as const];
  });
  return {
    name: flag.key,
    kind: flag.kind,
    description: "",
    key: flag.key,
    _version: flag.version,
    creationDate: flag.creationDate,
    includeInSnippet: false,
    clientSideAvailability: { usingMobileKey: false, usingEnvironmentId: false },
    variations: flag.variations.map(({ id, value, name }) => ({
      _id: id,
      value,
      ...(name === undefined ? {} : { name }),
    })),
    temporary: true,
    tags: [],
    _links: { self: { href: `/api/v2/flags/${project}/${flag.key}`, type: JSON_TYPE } },
    experiments: { baselineIdx: 0, items: [] },
    customProperties: {},
    archived: flag.archived,
    deprecated: false,
    defaults: { onVariation: 0, offVariation: flag.variations.length - 1 },
    environments: Object.fromEntries(configs),
  };
}

function configJson(project: string, environment: string, flag: Flag, config: Config): JsonObject {
  const { fallthrough, offVariation } = config;
  return {
    on: config.on,
    archived: flag.archived,
    salt: "c2FsdA==",
    sel: "c2Vs",
    lastModified: config.lastModified,
    version: config.version,
    targets: config.targets.map((target) => ({ ...target, contextKind: "user" })),
    contextTargets: [],
    rules: config.rules.map((rule) => ({
      _id: rule.id,
      variation: rule.variation,
      clauses: [
        {
          _id: `${rule.id}-0`,
          attribute: rule.attribute,
          op: "in",
          values: rule.values,
          contextKind: "user",
          negate: false,
        },
      ],
      trackEvents: false,
    })),
    fallthrough: servedJson(fallthrough),
    ...(offVariation === undefined ? {} : { offVariation }),
    prerequisites: config.prerequisites,
    _site: { href: `/${project}/${environment}/features/${flag.key}`, type: "text/html" },
    _environmentName: environment,
    trackEvents: false,
    trackEventsFallthrough: false,
  };
}

function servedJson(served: Served): JsonObject {
  if ("variation" in served) return { variation: served.variation };
  const { experiment, ...rollout } = served.rollout;
  return {
    rollout: {
      ...rollout,
      ...(experiment === undefined
        ? {}
        : { experimentAllocation: { defaultVariation: 0, canReshuffle: false } }),
    },
  };
}

/** As the SDKs of an environment get it. */
export function sdkFlagJson(flag: Flag, environment: string): JsonObject | undefined {
  const config = flag.environments[environment];
  if (config === undefined || flag.archived) return undefined;
  const { fallthrough, offVariation } = config;
  return {
    key: flag.key,
    version: config.version,
    on: config.on,
    variations: flag.variations.map(({ value }) => value),
    fallthrough: "variation" in fallthrough ? fallthrough : { rollout: sdkRollout(fallthrough.rollout) },
    ...(offVariation === undefined ? {} : { offVariation }),
    targets: config.targets,
    contextTargets: [],
    rules: config.rules.map((rule) => ({
      id: rule.id,
      variation: rule.variation,
      clauses: [{ attribute: rule.attribute, op: "in", values: rule.values, negate: false }],
    })),
    prerequisites: config.prerequisites,
    salt: `${flag.creationDate}`,
    trackEvents: false,
    clientSideAvailability: { usingMobileKey: false, usingEnvironmentId: false },
    deleted: false,
  };
}

function sdkRollout(rollout: Extract<Served, { rollout: object }>["rollout"]): JsonObject {
  const { contextKind = "user", bucketBy, variations } = rollout;
  return { kind: "rollout", contextKind, variations, ...(bucketBy === undefined ? {} : { bucketBy }) };
}

function memberJson(person: Person): JsonObject {
  const { id, email, firstName, lastName } = person;
  return {
    _links: { self: { href: `/api/v2/members/${id}`, type: JSON_TYPE } },
    _id: id,
    email,
    firstName,
    lastName,
  };
}

export function auditJson(entry: AuditEntry): JsonObject {
  const { author, comment } = entry;
  const member = "member" in author ? author.member : author.token.service ? undefined : author.token.owner;
  const token = "token" in author ? author.token : undefined;
  const subject = member === undefined ? (token?.name ?? "") : `${member.firstName} ${member.lastName}`;
  return {
    _links: { self: { href: `/api/v2/auditlog/${entry.id}`, type: JSON_TYPE } },
    _id: entry.id,
    _accountId: "5f0000000000000000000001",
    date: entry.at,
    accesses: entry.accesses,
    kind: "flag",
    name: entry.name,
    description: "",
    shortDescription: "",
    ...(comment === undefined ? {} : { comment }),
    subject: { name: subject },
    ...(member === undefined ? {} : { member: memberJson(member) }),
    ...(token === undefined
      ? {}
      : {
          token: {
            _id: token.id,
            name: token.name,
            ending: token.value.slice(-4),
            serviceToken: token.service,
          },
        }),
    titleVerb: entry.titleVerb,
    title: `${subject} ${entry.titleVerb} ${entry.name}`,
    target: { name: entry.name, resources: entry.accesses.map(({ resource }) => resource) },
  };
}

export function tokenJson(token: Token): JsonObject {
  const { rights } = token;
  return {
    _id: token.id,
    ownerId: token.owner.id,
    memberId: token.owner.id,
    name: token.name,
    creationDate: 1_700_000_000_000,
    lastModified: 1_700_000_000_000,
    ...("role" in rights ? { role: rights.role } : {}),
    ...("customRoleIds" in rights ? { customRoleIds: rights.customRoleIds } : {}),
    ...("inlineRole" in rights ? { inlineRole: rights.inlineRole } : {}),
    token: token.value.slice(-4),
    serviceToken: token.service,
    _links: { self: { href: `/api/v2/tokens/${token.id}`, type: JSON_TYPE } },
    defaultApiVersion: 20_240_415,
  };
}

export function identityJson(token: Token): JsonObject {
  return {
    accountId: "5f0000000000000000000001",
    authKind: "token",
    tokenKind: "auth",
    tokenName: token.name,
    tokenId: token.id,
    memberId: token.owner.id,
    serviceToken: token.service,
  };
}

/** `sdkKeys` by environment; undefined: environments were not asked for. */
export function projectJson(
  key: string,
  sdkKeys: Readonly<Record<string, string>> | undefined,
  approvals: ReadonlySet<string>,
): JsonObject {
  const items = Object.entries(sdkKeys ?? {}).map(([environment, apiKey]) => ({
    _id: `env-${environment}`,
    key: environment,
    name: environment,
    apiKey,
    color: "417505",
    critical: environment === "production",
    approvalSettings: { required: approvals.has(environment), minNumApprovals: 1 },
  }));
  return {
    _id: "57be1db38b75bf0772d11383",
    key,
    name: key,
    tags: [],
    ...(sdkKeys === undefined ? {} : { environments: { totalCount: items.length, items } }),
  };
}
