/** Requests held against an OpenAPI 3.0 document: whether there is such a call, and whether its body and query fit it. */
import { z } from "zod";

const operationShape = z.looseObject({
  parameters: z
    .array(
      z.looseObject({
        name: z.string(),
        in: z.string(),
        schema: z.looseObject({ pattern: z.string().optional() }).optional(),
      }),
    )
    .default([]),
  requestBody: z
    .looseObject({ content: z.record(z.string(), z.looseObject({ schema: z.unknown() })) })
    .optional(),
});

const documentShape = z.looseObject({
  paths: z.record(z.string(), z.record(z.string(), z.unknown())),
  components: z.looseObject({ schemas: z.record(z.string(), z.unknown()) }),
});

export interface OpenApi {
  /** What is wrong with a request, each a sentence; none when it fits. `path` with its query. */
  faultsOf(request: {
    readonly method: string;
    readonly path: string;
    readonly body: string;
  }): readonly string[];
}

export function openApi(decoded: unknown): OpenApi {
  const { paths, components } = documentShape.parse(decoded);
  return {
    faultsOf({ method, path, body }) {
      const [plain = "", query = ""] = path.split("?");
      const template = Object.keys(paths).find(
        (one) => matches(one, plain) && paths[one]?.[method.toLowerCase()] !== undefined,
      );
      if (template === undefined) return [`there is no ${method} ${plain}`];
      const operation = operationShape.parse(paths[template]?.[method.toLowerCase()]);
      return [...queryFaults(operation, query), ...bodyFaults(operation, body, components.schemas)].map(
        (fault) => `${method} ${template}: ${fault}`,
      );
    },
  };
}

type Operation = z.output<typeof operationShape>;

/** Of two that fit, a fixed word is meant and no parameter; such paths differ in their method here. */
function matches(template: string, path: string): boolean {
  const [words, found] = [template.split("/"), path.split("/")];
  return (
    words.length === found.length &&
    words.every((word, index) => word.startsWith("{") || word === found[index])
  );
}

function queryFaults({ parameters }: Operation, query: string): readonly string[] {
  return [...new URLSearchParams(query)].flatMap(([name, value]) => {
    const known = parameters.find((parameter) => parameter.in === "query" && parameter.name === name);
    if (known === undefined) return [`the query has no ${name}`];
    const { pattern } = known.schema ?? {};
    return pattern === undefined || new RegExp(pattern).test(value)
      ? []
      : [`${name}=${value} does not fit ${pattern}`];
  });
}

function bodyFaults(
  { requestBody }: Operation,
  body: string,
  schemas: Readonly<Record<string, unknown>>,
): readonly string[] {
  if (requestBody === undefined) return body === "" ? [] : ["it takes no body"];
  const { schema } = requestBody.content["application/json"] ?? {};
  const result = z
    .fromJSONSchema(strict(schema, schemas), { defaultTarget: "openapi-3.0" })
    .safeParse(JSON.parse(body));
  return result.success
    ? []
    : result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
}

const objectShape = z.record(z.string(), z.unknown());

/** The schema with every reference in its place, and without room for properties that it does not name. */
function strict(schema: unknown, schemas: Readonly<Record<string, unknown>>): z.core.JSONSchema.JSONSchema {
  const parsed = objectShape.safeParse(schema);
  if (!parsed.success) return {};
  const { $ref: reference, ...rest } = parsed.data;
  if (typeof reference === "string")
    return strict(schemas[reference.replace("#/components/schemas/", "")], schemas);
  const entries = Object.entries(rest)
    .filter(([name]) => name !== "example" && name !== "description")
    .map(([name, value]) => [
      name,
      name === "properties" ? mapped(value, schemas) : name === "items" ? strict(value, schemas) : value,
    ]);
  const closed =
    "properties" in rest && !("additionalProperties" in rest) ? { additionalProperties: false } : {};
  return { ...Object.fromEntries(entries), ...closed };
}

function mapped(properties: unknown, schemas: Readonly<Record<string, unknown>>): unknown {
  return Object.fromEntries(
    Object.entries(objectShape.parse(properties)).map(([name, schema]) => [name, strict(schema, schemas)]),
  );
}
