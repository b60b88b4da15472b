/** A parser for the subset of SQL in the service's files: INSERT INTO ... SELECT ... FROM ... JOIN ... WHERE ...; */
import { IngestError, type Mapping } from "./mapping.ts";

const TOKEN = /\s+|--[^\n]*|'(?:[^']|'')*'|[A-Za-z_][A-Za-z0-9_]*|\d+(?:\.\d+)?|<>|<=|>=|[(),.;=<>]/y;
const NAME = /^[A-Za-z_]/;
const COMPARISONS: ReadonlySet<string> = new Set(["=", "<>", "<", ">", "<=", ">="]);

/** A column as written: the alias of its table, and its name. */
interface ColumnRef {
  readonly alias: string;
  readonly column: string;
}

interface Cursor {
  readonly tokens: readonly string[];
  at: number;
}

/** Parses all statements of a file into column mappings. Throws IngestError at the first thing that is not SQL of this subset. */
export function parseSql(text: string): readonly Mapping[] {
  const cursor: Cursor = { tokens: tokensOf(text), at: 0 };
  const mappings: Mapping[] = [];
  do mappings.push(...statement(cursor));
  while (cursor.at < cursor.tokens.length);
  return mappings;
}

function tokensOf(text: string): readonly string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const start = TOKEN.lastIndex;
    const token = TOKEN.exec(text)?.[0];
    if (token === undefined) throw new IngestError(`unexpected text at offset ${start}`);
    if (!/^(\s|--)/.test(token)) tokens.push(token);
  }
  return tokens;
}

function statement(cursor: Cursor): readonly Mapping[] {
  expect(cursor, "INSERT");
  expect(cursor, "INTO");
  const target = name(cursor);
  expect(cursor, "(");
  const columns = list(cursor, name);
  expect(cursor, ")");
  expect(cursor, "SELECT");
  const expressions = list(cursor, expression);
  if (expressions.length !== columns.length)
    throw new IngestError(`${columns.length} columns, but ${expressions.length} expressions`);
  const tables = from(cursor);
  if (accept(cursor, "WHERE")) {
    do comparison(cursor);
    while (accept(cursor, "AND"));
  }
  expect(cursor, ";");
  return columns.flatMap((targetColumn, at) =>
    (expressions[at] ?? []).map((ref) => ({
      targetTable: target,
      targetColumn,
      sourceTable: tableOf(tables, ref),
      sourceColumn: ref.column,
    })),
  );
}

function from(cursor: Cursor): ReadonlyMap<string, string> {
  const tables = new Map<string, string>();
  const table = (): void => {
    const tableName = name(cursor);
    expect(cursor, "AS");
    tables.set(name(cursor), tableName);
  };
  expect(cursor, "FROM");
  table();
  while (accept(cursor, "JOIN")) {
    table();
    expect(cursor, "ON");
    comparison(cursor);
  }
  return tables;
}

function comparison(cursor: Cursor): void {
  expression(cursor);
  const operator = next(cursor);
  if (!COMPARISONS.has(operator)) throw new IngestError(`expected a comparison, found ${operator}`);
  expression(cursor);
}

/** Parses one expression and returns the columns it reads. */
function expression(cursor: Cursor): readonly ColumnRef[] {
  const token = next(cursor);
  if (!NAME.test(token)) {
    if (/^['\d]/.test(token)) return [];
    throw new IngestError(`expected an expression, found ${token}`);
  }
  if (accept(cursor, "(")) {
    const refs = list(cursor, expression).flat();
    expect(cursor, ")");
    return refs;
  }
  expect(cursor, ".");
  return [{ alias: token, column: name(cursor) }];
}

function tableOf(tables: ReadonlyMap<string, string>, ref: ColumnRef): string {
  const table = tables.get(ref.alias);
  if (table === undefined) throw new IngestError(`unknown alias ${ref.alias}`);
  return table;
}

function list<T>(cursor: Cursor, item: (cursor: Cursor) => T): readonly T[] {
  const items = [item(cursor)];
  while (accept(cursor, ",")) items.push(item(cursor));
  return items;
}

function name(cursor: Cursor): string {
  const token = next(cursor);
  if (!NAME.test(token)) throw new IngestError(`expected a name, found ${token}`);
  return token;
}

function expect(cursor: Cursor, wanted: string): void {
  const token = next(cursor);
  if (token !== wanted) throw new IngestError(`expected ${wanted}, found ${token}`);
}

function accept(cursor: Cursor, wanted: string): boolean {
  if (cursor.tokens[cursor.at] !== wanted) return false;
  cursor.at += 1;
  return true;
}

function next(cursor: Cursor): string {
  const token = cursor.tokens[cursor.at];
  if (token === undefined) throw new IngestError("the file is cut short");
  cursor.at += 1;
  return token;
}
