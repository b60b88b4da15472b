/** What a guard query must not do: what Prometheus would refuse, and what would make missing data look like health. */
import type { SyntaxNode, SyntaxNodeRef, Tree } from "@lezer/common";
import type { QueryFacts } from "../../core/files/guard-entry.ts";

type Fault = QueryFacts["faults"][number];

const COMPARISONS: ReadonlySet<string> = new Set(["Eql", "Neq", "Gte", "Gtr", "Lte", "Lss"]);
const SET_OPERATORS: ReadonlySet<string> = new Set(["And", "Or", "Unless"]);
const ABSENT: ReadonlySet<string> = new Set(["Absent", "AbsentOverTime"]);
/** Parts of the grammar that need a feature flag or Prometheus 3. */
const EXPERIMENTAL: ReadonlySet<string> = new Set([
  "FillModifier",
  "TrimUpper",
  "TrimLower",
  "Anchored",
  "Smoothed",
]);
const OF_RANGES: ReadonlySet<string> = new Set([
  "Changes",
  "Delta",
  "Deriv",
  "DoubleExponentialSmoothing",
  "Idelta",
  "Increase",
  "Irate",
  "PredictLinear",
  "Rate",
  "Resets",
]);
const RANGED: ReadonlySet<string> = new Set(["MatrixSelector", "SubqueryExpr"]);

/** Every fault of a query that has no syntax error. `whole` is its tree, `tree` that of the query without `offset` and `@`. */
export function queryFaults(whole: Tree, tree: Tree, query: string): readonly Fault[] {
  const faults: Fault[] = [];
  const add = (node: { readonly from: number }, message: string): void =>
    void faults.push({ message, offset: node.from });
  const targets = selectorEnds(tree);
  const reads = seriesReader(tree);
  whole.iterate({
    enter(ref) {
      suffixFault(ref, query, targets, add);
      stringFault(ref, query, add);
      if (EXPERIMENTAL.has(ref.name))
        add(
          ref,
          `\`${query.slice(ref.from, ref.to)}\` is not understood by every Prometheus that Belay supports`,
        );
    },
  });
  tree.iterate({
    enter(ref) {
      if (ref.name === "BinaryExpr") operatorFault(ref.node, query, reads, add);
      if (ref.name === "FunctionCall") functionFault(ref.node, query, add);
      if (RANGED.has(ref.name)) rangeFault(ref.node, query, add);
    },
  });
  if (tree.topNode.firstChild?.name === "StringLiteral")
    add(tree.topNode.firstChild, "a text is not a number that could be judged");
  return faults;
}

type Add = (node: { readonly from: number }, message: string) => void;

function operatorFault(node: SyntaxNode, query: string, reads: ReadsSeries, add: Add): void {
  for (let child = node.firstChild; child !== null; child = child.nextSibling) {
    const word = query.slice(child.from, child.to);
    if (COMPARISONS.has(child.name)) {
      add(
        child,
        `the comparison \`${word}\` hides series, so that blind looks healthy: write the limit as max or min`,
      );
    }
    if (!SET_OPERATORS.has(child.name)) continue;
    for (const side of [node.firstChild, node.lastChild]) {
      if (side !== null && !reads(side)) {
        const constant = query.slice(side.from, side.to);
        add(
          side,
          `\`${shortened(constant)}\` beside \`${word}\` reads no series: it puts a number where data are missing`,
        );
      }
    }
  }
}

function functionFault(call: SyntaxNode, query: string, add: Add): void {
  const kind = call.getChild("FunctionIdentifier")?.firstChild;
  if (kind === null || kind === undefined) return;
  const word = query.slice(kind.from, kind.to);
  if (ABSENT.has(kind.name))
    add(
      kind,
      `\`${word}\` turns missing data into a number and data into nothing: a guard of kind alive judges absence`,
    );
  if (!takesRange(kind.name) || ABSENT.has(kind.name)) return;
  const body = call.getChild("FunctionCallBody");
  const ranges = body === null ? [] : childrenOf(body).map(unwrapped);
  if (!ranges.some((one) => RANGED.has(one.name)))
    add(kind, `\`${word}\` needs a range, such as ${word}(requests_total[1m])`);
}

function takesRange(kind: string): boolean {
  return OF_RANGES.has(kind) || kind.endsWith("OverTime");
}

function rangeFault(node: SyntaxNode, query: string, add: Add): void {
  const inner = node.firstChild;
  if (
    inner !== null &&
    (node.name === "MatrixSelector" ? inner.name !== "VectorSelector" : isOperation(inner))
  ) {
    add(
      node,
      node.name === "MatrixSelector"
        ? "a range such as [1m] can follow only a selector"
        : "put the expression before the subquery's range in parentheses",
    );
  }
  for (const length of node.getChildren("DurationExpr")) {
    const ms = parseRange(length, query);
    if (ms === undefined || ms <= 0)
      add(
        length,
        `expected a duration such as 90s or 1h30m, found ${JSON.stringify(shortened(query.slice(length.from, length.to)))}`,
      );
  }
  if (!readByFunction(node)) add(node, "a range is not one number: a function such as rate() must read it");
}

function isOperation(node: SyntaxNode): boolean {
  return node.name === "BinaryExpr" || node.name === "UnaryExpr";
}

/** Whether the nearest thing around it, parentheses aside, is a function that reads ranges. */
function readByFunction(node: SyntaxNode): boolean {
  let around = node.parent;
  while (around?.name === "ParenExpr") around = around.parent;
  const kind =
    around?.name === "FunctionCallBody"
      ? around.parent?.getChild("FunctionIdentifier")?.firstChild
      : undefined;
  return kind !== null && kind !== undefined && takesRange(kind.name);
}

function selectorEnds(tree: Tree): ReadonlySet<number> {
  const ends = new Set<number>();
  tree.iterate({
    enter(ref) {
      if (RANGED.has(ref.name) || ref.name === "VectorSelector") ends.add(ref.to);
    },
  });
  return ends;
}

/** `offset` and `@` move only selectors; what they move must be there now and at every step of a later look back. */
function suffixFault(ref: SyntaxNodeRef, query: string, targets: ReadonlySet<number>, add: Add): void {
  if (ref.name !== "OffsetExpr" && ref.name !== "StepInvariantExpr") return;
  const operand = ref.node.firstChild;
  const word = operand?.nextSibling;
  if (operand === null || word === null || word === undefined) return;
  let inner = operand;
  while ((inner.name === "OffsetExpr" || inner.name === "StepInvariantExpr") && inner.firstChild !== null)
    inner = inner.firstChild;
  if (!targets.has(inner.to))
    add(word, `\`${query.slice(word.from, word.to)}\` can follow only a selector, a range or a subquery`);
  if (ref.node.getChild("AtModifierPreprocessors") !== null) {
    add(word, "`@ start()` and `@ end()` mean another time when the past is looked through: leave them out");
  }
  const duration = ref.node.getChild("OffsetDurationExpr");
  if (duration === null) return;
  const ms = parseRange(duration, query);
  if (ms === undefined)
    add(
      duration,
      `expected a duration such as 5m, found ${JSON.stringify(shortened(query.slice(duration.from, duration.to)))}`,
    );
  else if (ms < 0) add(duration, "a negative offset looks ahead of the present, where there are no data yet");
}

/** Group 1 is a quote, which may be escaped only inside quotes of its own kind. */
const KNOWN_ESCAPE =
  /^\\(?:[abfnrtv\\]|(['"])|[0-3][0-7]{2}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})/;
const LONGEST_ESCAPE = 10;

/** The grammar takes any character after a backslash and a text without its end; Prometheus does not. */
function stringFault(ref: SyntaxNodeRef, query: string, add: Add): void {
  if (ref.name !== "StringLiteral") return;
  const text = query.slice(ref.from, ref.to);
  const quote = text.slice(0, 1);
  if (quote === "`") return;
  let at = 1;
  while (at < text.length && text[at] !== quote) {
    if (text[at] !== "\\") {
      at += 1;
      continue;
    }
    const known = KNOWN_ESCAPE.exec(text.slice(at, at + LONGEST_ESCAPE));
    if (known === null || (known[1] !== undefined && known[1] !== quote)) {
      add(
        { from: ref.from + at },
        `\`${text.slice(at, at + 2)}\` is no escape in PromQL: write \`\\\\\` for a backslash`,
      );
      return;
    }
    at += known[0].length;
  }
  if (at !== text.length - 1) add(ref, "this text has no end: a quote is missing");
}

/** Whether a selector is somewhere in an expression. */
export type ReadsSeries = (node: SyntaxNode) => boolean;

/** Answers for any expression of this tree. */
export function seriesReader(tree: Tree): ReadsSeries {
  const starts: number[] = [];
  tree.iterate({
    enter(ref) {
      if (ref.name === "VectorSelector") starts.push(ref.from);
    },
  });
  return (node) => starts.some((from) => from >= node.from && from < node.to);
}

const PART_MS: Readonly<Record<string, number>> = {
  y: 365 * 86_400_000,
  w: 7 * 86_400_000,
  d: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
  ms: 1,
};

/** A duration node (with or without a sign) in ms; undefined when it is not written as a duration with units. */
export function parseRange(duration: SyntaxNode, query: string): number | undefined {
  const negative = duration.getChild("UnaryOp") !== null && query[duration.from] === "-";
  const text = query.slice(duration.from, duration.to).replace(/^[-+]\s*/, "");
  if (!/^(?:\d+(?:y|w|d|h|ms|m|s))+$/.test(text)) return undefined;
  let ms = 0;
  for (const part of text.matchAll(/(\d+)(y|w|d|h|ms|m|s)/g))
    ms += Number(part[1]) * (PART_MS[part[2] ?? ""] ?? Number.NaN);
  if (!Number.isSafeInteger(ms)) return undefined;
  return negative ? -ms : ms;
}

function unwrapped(node: SyntaxNode): SyntaxNode {
  let here = node;
  while (here.name === "ParenExpr" && here.firstChild !== null) here = here.firstChild;
  return here;
}

function childrenOf(node: SyntaxNode): readonly SyntaxNode[] {
  const children: SyntaxNode[] = [];
  for (let child = node.firstChild; child !== null; child = child.nextSibling) children.push(child);
  return children;
}

/** A piece of a query on one line, cut to `most` characters. */
export function shortened(text: string, most = 40): string {
  const flat = text.replace(/\s+/g, " ");
  return flat.length <= most ? flat : `${flat.slice(0, most - 3)}...`;
}
