/** Turns the text of a file into lineage: which table feeds which other table, column by column. */
import { IngestError, type Mapping, parseMappings } from "./mapping.ts";
import { parseSql } from "./sql.ts";

/** One edge of the graph: `source` feeds `target`; `columns` lists the pairs, sorted, as "target<-source". */
export interface Edge {
  readonly target: string;
  readonly source: string;
  readonly columns: readonly string[];
}

/** Asks the catalogue for a table's columns; undefined when there is no such table. */
export type DescribeTable = (table: string) => Promise<readonly string[] | undefined>;

/**
 * Parses a file and checks every table and column in it against the catalogue, one look-up for each table.
 * Throws IngestError when the text is malformed or names something that does not exist.
 */
export async function lineageOf(
  fileName: string,
  text: string,
  describe: DescribeTable,
): Promise<readonly Edge[]> {
  const mappings = fileName.endsWith(".csv") ? parseMappings(text) : parseSql(text);
  const columns = new Map<string, ReadonlySet<string>>();
  for (const table of tablesIn(mappings)) {
    const found = await describe(table);
    if (found === undefined) throw new IngestError(`unknown table ${table}`);
    columns.set(table, new Set(found));
  }
  for (const mapping of mappings) {
    check(columns, mapping.targetTable, mapping.targetColumn);
    check(columns, mapping.sourceTable, mapping.sourceColumn);
  }
  return edgesFrom(mappings);
}

function tablesIn(mappings: readonly Mapping[]): ReadonlySet<string> {
  return new Set(mappings.flatMap((mapping) => [mapping.targetTable, mapping.sourceTable]));
}

function check(columns: ReadonlyMap<string, ReadonlySet<string>>, table: string, column: string): void {
  if (columns.get(table)?.has(column) !== true) throw new IngestError(`unknown column ${table}.${column}`);
}

function edgesFrom(mappings: readonly Mapping[]): readonly Edge[] {
  const edges = new Map<string, { target: string; source: string; columns: Set<string> }>();
  for (const { targetTable: target, sourceTable: source, targetColumn, sourceColumn } of mappings) {
    const key = `${target}<-${source}`;
    const edge = edges.get(key) ?? { target, source, columns: new Set<string>() };
    edge.columns.add(`${targetColumn}<-${sourceColumn}`);
    edges.set(key, edge);
  }
  return [...edges.values()].map((edge) => ({ ...edge, columns: [...edge.columns].sort() }));
}
