/** Reads PromQL by Prometheus' own grammar: what a guard query looks back over, which series it reads, and what would make it blind. */
import type { SyntaxNode, Tree } from "@lezer/common";
import { parser } from "@prometheus-io/lezer-promql";
import type { QueryFacts } from "../../core/files/guard-entry.ts";
import { parseRange, queryFaults, seriesReader, shortened } from "./promql-faults.ts";

/** `offset` or `@` behind a selector: where the selector ends and how far back it moves it; `fixed` is a time that stands still. */
interface Suffix {
  readonly from: number;
  readonly to: number;
  readonly end: number;
  readonly offsetMs: number;
  readonly fixed: boolean;
}

const SUFFIXED: ReadonlySet<string> = new Set([
  "OffsetExpr",
  "StepInvariantExpr",
  "AnchoredExpr",
  "SmoothedExpr",
]);

interface Selector {
  readonly text: string;
  readonly lookbackMs: number;
  readonly offsetMs: number;
  readonly fixed: boolean;
}

/**
 * What the grammar says of a query. Faults are syntax errors (the first one), type errors that Prometheus would refuse, and forms that turn
 * missing data into a number or a number into nothing. `windowMs` adds the ranges of nested subqueries. A selector that looks at an earlier
 * time is left out of `selectors`, because its samples are old on purpose; when all do, all are kept and the longest offset joins the window.
 * Total: any text yields facts, in time proportional to its length.
 */
export function inspect(query: string): QueryFacts {
  const whole = parse(query);
  if (typeof whole === "number") return { faults: [syntaxFault(query, whole)], windowMs: 0, selectors: [] };
  const suffixes = suffixesOf(whole, query);
  const tree = suffixes.length === 0 ? whole : parser.parse(withoutSuffixes(query, suffixes));
  const selectors = selectorsOf(tree, query, suffixes);
  const present = selectors.filter((selector) => selector.offsetMs === 0 && !selector.fixed);
  const read = present.length > 0 ? present : selectors;
  const denominator = denominatorOf(tree, query, suffixes);
  const faults = [...queryFaults(whole, tree, query), ...fixedFaults(selectors)];
  return {
    faults: faults.sort((a, b) => a.offset - b.offset),
    windowMs:
      selectors.reduce((most, one) => Math.max(most, one.lookbackMs), 0) +
      (present.length > 0 ? 0 : longestOffset(selectors)),
    selectors: [...new Set(read.map((selector) => selector.text))],
    ...(denominator === undefined ? {} : { denominator }),
  };
}

/**
 * The query with every range, of selectors and of subqueries, set to `windowMs` (ms, more than 0). A subquery's step is cut to the window
 * where it is longer, since it would find no point otherwise. A query with a syntax error comes back as it was.
 */
export function rewriteWindows(query: string, windowMs: number): string {
  const tree = parse(query);
  if (typeof tree === "number") return query;
  const wholeMs = Math.max(1, Math.round(windowMs));
  const range = wholeMs % 1000 === 0 ? `${wholeMs / 1000}s` : `${wholeMs}ms`;
  const edits: { readonly from: number; readonly to: number }[] = [];
  tree.iterate({
    enter(ref) {
      if (ref.name !== "MatrixSelector" && ref.name !== "SubqueryExpr") return;
      const [length, step] = ref.node.getChildren("DurationExpr");
      if (length !== undefined) edits.push(length);
      const stepMs = step === undefined ? undefined : parseRange(step, query);
      if (step !== undefined && stepMs !== undefined && stepMs > windowMs) edits.push(step);
    },
  });
  return edits
    .sort((a, b) => b.from - a.from)
    .reduce((text, { from, to }) => text.slice(0, from) + range + text.slice(to), query);
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  '"': '\\"',
  "\n": "\\n",
  "\uFFFD": "\\uFFFD",
};

/** A text as a PromQL string, quotes included, that means exactly this text and can never end early. */
export function literal(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what has to be escaped.
  const escaped = text.toWellFormed().replace(/[\\"\uFFFD\u0000-\u001F\u007F]/g, (char) => {
    return ESCAPES[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  return `"${escaped}"`;
}

/** Without recovery: after the first error the rest says little, and recovering from many costs much. */
const strict = parser.configure({ strict: true });

/** The tree of a query, or the place (in characters) where it stops being PromQL. */
function parse(query: string): Tree | number {
  const parsing = strict.startParse(query);
  try {
    for (;;) {
      const tree = parsing.advance();
      if (tree !== null) return tree;
    }
  } catch (error) {
    if (error instanceof SyntaxError) return Math.min(parsing.parsedPos, query.length);
    throw error;
  }
}

function syntaxFault(query: string, offset: number): { readonly message: string; readonly offset: number } {
  if (query.trim() === "") return { message: "expected a PromQL query, found nothing", offset: 0 };
  const rest = query.slice(offset);
  const at = offset + (rest.length - rest.trimStart().length);
  const found = rest.trim() === "" ? "the end of the query" : JSON.stringify(shortened(rest.trim(), 20));
  return { message: `this is not PromQL: did not expect ${found} here`, offset: at };
}

/**
 * The grammar lets `offset` and `@` take the whole expression before them (`a / b offset 5m` as `(a / b) offset 5m`), Prometheus only the
 * selector. So they are noted by where their operand ends, and the query is read again without them.
 */
function suffixesOf(tree: Tree, query: string): readonly Suffix[] {
  const suffixes: Suffix[] = [];
  tree.iterate({
    enter(ref) {
      if (!SUFFIXED.has(ref.name)) return;
      const { node } = ref;
      const operand = node.firstChild;
      const word = operand?.nextSibling;
      if (operand === null || word === null || word === undefined) return;
      const duration = node.getChild("OffsetDurationExpr");
      suffixes.push({
        from: word.from,
        to: node.to,
        end: endOf(operand),
        offsetMs: duration === null ? 0 : (parseRange(duration, query) ?? 0),
        fixed: ref.name === "StepInvariantExpr",
      });
    },
  });
  return suffixes;
}

function endOf(operand: SyntaxNode): number {
  let here = operand;
  while (SUFFIXED.has(here.name) && here.firstChild !== null) here = here.firstChild;
  return here.to;
}

/** Blanks keep every other character at its place. */
function withoutSuffixes(query: string, suffixes: readonly Suffix[]): string {
  return suffixes.reduce(
    (text, { from, to }) => text.slice(0, from) + " ".repeat(to - from) + text.slice(to),
    query,
  );
}

function selectorsOf(tree: Tree, query: string, suffixes: readonly Suffix[]): readonly Selector[] {
  const found: Selector[] = [];
  const around: { readonly rangeMs: number; readonly offsetMs: number; readonly fixed: boolean }[] = [];
  tree.iterate({
    enter(ref) {
      if (ref.name !== "MatrixSelector" && ref.name !== "SubqueryExpr" && ref.name !== "VectorSelector")
        return;
      const own = suffixes.filter((suffix) => suffix.end === ref.to);
      const length = ref.node.getChild("DurationExpr");
      around.push({
        rangeMs: length === null ? 0 : (parseRange(length, query) ?? 0),
        offsetMs: own.reduce((sum, suffix) => sum + suffix.offsetMs, 0),
        fixed: own.some((suffix) => suffix.fixed),
      });
      if (ref.name !== "VectorSelector") return;
      found.push({
        text: query.slice(ref.from, ref.to),
        lookbackMs: around.reduce((sum, one) => sum + one.rangeMs, 0),
        offsetMs: around.reduce((sum, one) => sum + one.offsetMs, 0),
        fixed: around.some((one) => one.fixed),
      });
    },
    leave(ref) {
      if (ref.name === "MatrixSelector" || ref.name === "SubqueryExpr" || ref.name === "VectorSelector")
        around.pop();
    },
  });
  return found;
}

function longestOffset(selectors: readonly Selector[]): number {
  return selectors.reduce((most, selector) => Math.max(most, selector.offsetMs), 0);
}

function fixedFaults(selectors: readonly Selector[]): QueryFacts["faults"] {
  if (selectors.length === 0 || !selectors.every((selector) => selector.fixed)) return [];
  return [{ message: "the query reads only a fixed time, so it would never change", offset: 0 }];
}

/** The right side of a division at the top, through parentheses; a constant there says nothing about traffic and is left out. */
function denominatorOf(tree: Tree, query: string, suffixes: readonly Suffix[]): string | undefined {
  let node = tree.topNode.firstChild;
  while (node !== null && node.name === "ParenExpr") node = node.firstChild;
  if (node === null || node.name !== "BinaryExpr" || node.getChild("Div") === null) return undefined;
  const right = node.lastChild;
  if (right === null || !seriesReader(tree)(right)) return undefined;
  const to = suffixes
    .filter((suffix) => suffix.end === right.to)
    .reduce((end, suffix) => Math.max(end, suffix.to), right.to);
  return query.slice(right.from, to);
}
