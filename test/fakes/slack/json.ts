/** Reading of JSON whose shape is not known yet. */

/** A JSON object of unknown shape. */
export interface JsonObject {
  readonly [key: string]: unknown;
}

/** Whether the value is an object, and neither null nor an array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether the value is an array; narrows to unknown items, where `Array.isArray` would give `any`. */
export function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

/** The property when it is a string. */
export function stringAt(value: unknown, key: string): string | undefined {
  const found = isObject(value) ? value[key] : undefined;
  return typeof found === "string" ? found : undefined;
}

/** The property when it is an object. */
export function objectAt(value: unknown, key: string): JsonObject | undefined {
  const found = isObject(value) ? value[key] : undefined;
  return isObject(found) ? found : undefined;
}

/** The objects of a property that is a list; anything else in the list is left out. */
export function objectsAt(value: unknown, key: string): readonly JsonObject[] {
  const found = isObject(value) ? value[key] : undefined;
  return isList(found) ? found.filter(isObject) : [];
}

/** Parses JSON text. @returns `undefined` when it is not JSON (JSON itself cannot say `undefined`). */
export function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch {
    return undefined;
  }
}
