/** Reads one YAML file strictly (1.2, one document, no aliases, anchors, tags, directives or double keys) and finds the place of any value. */
import {
  Composer,
  type CST,
  type Document,
  isMap,
  isPair,
  isScalar,
  isSeq,
  type Pair,
  Parser,
  visit,
  type YAMLMap,
} from "yaml";
import { placeInText } from "./place-in-text.ts";

const MAX_DEPTH = 40;
const RESERVED_KEYS: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);
const REFUSED: Readonly<Record<string, string>> = {
  directive: "a directive is not accepted: these files are always YAML 1.2",
  anchor: "an anchor (`&`) is not accepted: write the value where it is used",
  alias: "an alias (`*`) is not accepted: write the value itself",
  tag: "a tag (`!`) is not accepted: put a text in quotes where its kind matters",
};

export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface YamlFault extends Place {
  readonly message: string;
}

/** Where to point: at the key instead of the value, or so many characters into a text. */
export interface Pointing {
  readonly atKey?: boolean;
  readonly offset?: number | undefined;
}

export interface YamlFile {
  /** Plain data; undefined when there are faults. */
  readonly data: unknown;
  readonly faults: readonly YamlFault[];
  /** The place of the value at a path; of the nearest thing around it when there is none. */
  place(path: readonly (string | number)[], pointing?: Pointing): Place;
  /** How the plain scalar at a path is written, when it reads as a number or a word such as true; undefined for anything else. */
  written(path: readonly (string | number)[]): string | undefined;
}

/** Total: any text yields either data or faults. */
export function readYaml(text: string): YamlFile {
  const starts = lineStarts(text);
  const placeAt = (offset: number): Place => {
    const at = Math.max(0, Math.min(offset, text.length));
    const line = linesUpTo(starts, at);
    return { line, column: at - (starts[line - 1] ?? 0) + 1 };
  };
  const faults = new Map<number, string>();
  // A fault often causes another at the same place; the first one tells most.
  const add = (offset: number, message: string): void =>
    void (faults.has(offset) || faults.set(offset, message));
  const documents = compose(text, add);
  const [document, second] = documents;
  if (second !== undefined) add(startOf(second), "expected one document, found a second one");
  if (document !== undefined) checkKeys(document, add);
  const data: unknown = faults.size > 0 ? undefined : (document?.toJS({ maxAliasCount: 0 }) ?? null);
  return {
    data,
    faults: [...faults].map(([offset, message]) => ({ ...placeAt(offset), message })),
    place: (path, pointing = {}) => placeAt(offsetOf(document, text, path, pointing)),
    written: (path) => writtenAt(document, path),
  };
}

/** Where each line begins. Counted here: the package's own counter misses line ends inside a quote that is never closed. */
function lineStarts(text: string): readonly number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

/** How many lines begin at or before `at`; by halving. */
function linesUpTo(starts: readonly number[], at: number): number {
  let [low, high] = [0, starts.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((starts[middle] ?? 0) <= at) low = middle;
    else high = middle;
  }
  return low + 1;
}

type Add = (offset: number, message: string) => void;

function compose(text: string, add: Add): readonly Document.Parsed[] {
  const tokens = [...new Parser().parse(text)];
  for (const token of tokens) {
    if (!checkTokens(token, add)) return [];
  }
  const composer = new Composer({
    version: "1.2",
    schema: "core",
    strict: true,
    uniqueKeys: false,
    merge: false,
    prettyErrors: false,
    logLevel: "silent",
  });
  const documents = [...composer.compose(tokens, true, text.length)];
  // After one error of syntax the next ones are mostly its consequences.
  const [broken] = documents
    .flatMap(({ errors, warnings }) => [...errors, ...warnings])
    .sort((one, other) => one.pos[0] - other.pos[0]);
  if (broken !== undefined) add(broken.pos[0], `this is not YAML: ${broken.message}`);
  return documents.filter((one) => isParsed(one));
}

function isParsed(document: Document.Parsed | { readonly contents: unknown }): document is Document.Parsed {
  return "range" in document;
}

/** Marks what is refused; false when the nesting is too deep to go on. Keeps its own stack, so that depth cannot overflow ours. */
function checkTokens(root: CST.Token, add: Add): boolean {
  const stack: { readonly token: CST.Token | CST.SourceToken; readonly depth: number }[] = [
    { token: root, depth: 0 },
  ];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { token, depth } = next;
    const refused = REFUSED[token.type];
    if (refused !== undefined && "offset" in token) add(token.offset, refused);
    if (depth > MAX_DEPTH) {
      add(token.offset, `expected at most ${MAX_DEPTH} levels`);
      return false;
    }
    for (const child of childrenOf(token)) stack.push({ token: child, depth: depth + 1 });
  }
  return true;
}

function childrenOf(token: CST.Token | CST.SourceToken): readonly (CST.Token | CST.SourceToken)[] {
  switch (token.type) {
    case "document":
      return [...token.start, ...(token.value === undefined ? [] : [token.value]), ...(token.end ?? [])];
    case "block-map":
    case "block-seq":
    case "flow-collection":
      return token.items.flatMap((item) => [
        ...item.start,
        ...present(item.key),
        ...(item.sep ?? []),
        ...present(item.value),
      ]);
    case "block-scalar":
      return token.props;
    default:
      return [];
  }
}

function present<T>(value: T | null | undefined): readonly T[] {
  return value === null || value === undefined ? [] : [value];
}

function startOf(document: Document.Parsed): number {
  return document.contents?.range[0] ?? document.range[0];
}

/** Looks for double keys here, since the package compares each key of a mapping with every other. */
function checkKeys(document: Document.Parsed, add: Add): void {
  visit(document, {
    Map(_, map) {
      const seen = new Set<string>();
      for (const { key } of map.items) {
        const offset = rangeStart(key) ?? startOf(document);
        if (!isScalar(key)) add(offset, "expected a word as a key");
        else if (typeof key.value !== "string") add(offset, "expected a word as a key: put it in quotes");
        else if (RESERVED_KEYS.has(key.value))
          add(offset, `\`${key.value}\` is reserved and cannot be a key`);
        else if (seen.has(key.value)) add(offset, "this key is written twice");
        else seen.add(key.value);
      }
    },
  });
}

function rangeStart(node: unknown): number | undefined {
  if (typeof node !== "object" || node === null || !("range" in node) || !Array.isArray(node.range))
    return undefined;
  const start: unknown = node.range[0];
  return typeof start === "number" ? start : undefined;
}

interface Found {
  /** Where the value's key begins, or the item itself in a list. */
  readonly keyStart: number;
  readonly value: unknown;
  /** Whether the whole path was there. */
  readonly complete: boolean;
}

function find(document: Document.Parsed | undefined, path: readonly (string | number)[]): Found {
  let here: Found = {
    keyStart: document === undefined ? 0 : startOf(document),
    value: document?.contents,
    complete: true,
  };
  for (const part of path) {
    const next = step(here.value, part);
    if (next === undefined) return { ...here, complete: false };
    here = { ...next, complete: true };
  }
  return here;
}

const indexes = new WeakMap<YAMLMap, ReadonlyMap<string, Pair>>();

/** The pairs of a mapping by key; kept, so that a thousand mistakes in one mapping do not search it a thousand times. */
function pairsOf(map: YAMLMap): ReadonlyMap<string, Pair> {
  const known = indexes.get(map);
  if (known !== undefined) return known;
  const made = new Map(
    map.items.flatMap((pair): [string, Pair][] =>
      isScalar(pair.key) ? [[String(pair.key.value), pair]] : [],
    ),
  );
  indexes.set(map, made);
  return made;
}

function step(node: unknown, part: string | number): Pick<Found, "keyStart" | "value"> | undefined {
  if (isMap(node)) {
    const pair = pairsOf(node).get(String(part));
    return pair === undefined ? undefined : { keyStart: rangeStart(pair.key) ?? 0, value: pair.value };
  }
  const item = isSeq(node) ? node.items[Number(part)] : undefined;
  return item === undefined || isPair(item) ? undefined : { keyStart: rangeStart(item) ?? 0, value: item };
}

/** A scalar is pointed at itself; a mapping, a list, an empty value and what is missing by the key in front. */
function offsetOf(
  document: Document.Parsed | undefined,
  text: string,
  path: readonly (string | number)[],
  pointing: Pointing,
): number {
  const { keyStart, value, complete } = find(document, path);
  if (!complete || pointing.atKey === true || !isScalar(value) || value.value === null) return keyStart;
  const start = rangeStart(value) ?? keyStart;
  if (pointing.offset === undefined || typeof value.value !== "string") return start;
  return placeInText(text, start, value.type, value.value, pointing.offset) ?? start;
}

function writtenAt(
  document: Document.Parsed | undefined,
  path: readonly (string | number)[],
): string | undefined {
  const { value, complete } = find(document, path);
  if (!complete || !isScalar(value) || typeof value.value === "string" || value.value === null)
    return undefined;
  return value.source;
}
