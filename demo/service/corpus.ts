/** The input of the service: small SQL and mapping files, each a pure function of a seed and its number. */

/** The tables that files refer to, each with its column names. */
export type Catalogue = ReadonlyMap<string, readonly string[]>;

export interface CorpusFile {
  /** The file's name: its identity, and its targeting key for percentages. */
  readonly name: string;
  readonly text: string;
}

const DOMAINS = ["sales", "billing", "ledger", "risk", "stock", "crm", "payroll", "treasury"];
const ENTITIES = [
  "orders",
  "invoices",
  "customers",
  "accounts",
  "payments",
  "positions",
  "contracts",
  "events",
];
const COLUMNS = [
  "id",
  "code",
  "amount",
  "currency",
  "status",
  "region",
  "booked_at",
  "owner",
  "quantity",
  "note",
];
const FUNCTIONS = ["UPPER", "TRIM", "ABS", "COALESCE"];

/** The share of files whose content came before: what a parse cache can find. */
const REPEAT_SHARE = 0.35;
/** How many files ago: far enough that the first is parsed by then, near enough that a new cache is soon warm. */
const NEAREST_REPEAT = 40;
const FARTHEST_REPEAT = 80;
/** One file in a thousand is cut short (inside its first statement), never near the next one, so that a short window is not misled by chance. */
const MALFORMED_EVERY = 1000;
const TABLES_MIN = 5;
const TABLES_MAX = 9;

type Random = () => number;

/** The catalogue of all tables; the same for every seed. */
export function buildCatalogue(): Catalogue {
  const tables = new Map<string, readonly string[]>();
  for (const domain of DOMAINS) {
    for (const entity of ENTITIES) {
      tables.set(
        `${domain}_${entity}`,
        COLUMNS.map((column) => `${entity.slice(0, 3)}_${column}`),
      );
    }
  }
  return tables;
}

/** The file with this number (0, 1, 2, ...) in the sequence of this seed. */
export function corpusFile(catalogue: Catalogue, seed: number, index: number): CorpusFile {
  const original = originalOf(seed, index);
  const random = randomFrom(seed, original, 1);
  const sql = random() < 0.7;
  const text = sql ? sqlText(catalogue, random) : mappingText(catalogue, random);
  const name = `lineage-${String(index).padStart(6, "0")}.${sql ? "sql" : "csv"}`;
  return { name, text: isMalformed(seed, index) ? text.slice(0, Math.floor(text.length * 0.3)) : text };
}

/** Whether the file with this number is one of the malformed ones. */
export function isMalformed(seed: number, index: number): boolean {
  const block = Math.floor(index / MALFORMED_EVERY);
  const place = 300 + Math.floor(randomFrom(seed, block, 2)() * 400);
  return index % MALFORMED_EVERY === place;
}

/** The number of the file whose content this one repeats, or its own. */
function originalOf(seed: number, index: number): number {
  let original = index;
  for (;;) {
    const random = randomFrom(seed, original, 3);
    const room = Math.min(original, FARTHEST_REPEAT) - NEAREST_REPEAT;
    if (room <= 0 || random() >= REPEAT_SHARE) return original;
    original -= NEAREST_REPEAT + Math.floor(random() * room);
  }
}

function sqlText(catalogue: Catalogue, random: Random): string {
  const tables = pickTables(catalogue, random);
  const half = Math.ceil(tables.length / 2);
  const statements = [tables.slice(0, half), tables.slice(half)].map((part) =>
    sqlStatement(catalogue, part, random),
  );
  return `-- nightly load, batch ${Math.floor(random() * 1e6)}\n${statements.join("\n\n")}\n`;
}

function sqlStatement(catalogue: Catalogue, tables: readonly string[], random: Random): string {
  const [target = "", ...sources] = tables;
  const targetColumns = columnsOf(catalogue, target);
  const refs = (at: number): string => {
    const source = at % sources.length;
    return `s${source}.${pick(columnsOf(catalogue, sources[source] ?? ""), random)}`;
  };
  const expressions = targetColumns.map((_, at) => {
    if (random() < 0.4) return refs(at);
    const call = pick(FUNCTIONS, random);
    return call === "COALESCE" ? `COALESCE(${refs(at)}, ${refs(at + 1)})` : `${call}(${refs(at)})`;
  });
  const joins = sources
    .slice(1)
    .map((table, at) => `  JOIN ${table} AS s${at + 1} ON ${refs(0)} = ${refs(at + 1)}`);
  return [
    `INSERT INTO ${target} (${targetColumns.join(", ")})`,
    `SELECT\n  ${expressions.join(",\n  ")}`,
    `FROM ${sources[0]} AS s0`,
    ...joins,
    `WHERE ${refs(0)} > ${Math.floor(random() * 1000)} AND ${refs(0)} <> 'closed';`,
  ].join("\n");
}

function mappingText(catalogue: Catalogue, random: Random): string {
  const [target = "", ...sources] = pickTables(catalogue, random);
  const lines = sources.flatMap((source) =>
    columnsOf(catalogue, source).map(
      (column) => `${target},${pick(columnsOf(catalogue, target), random)},${source},${column}`,
    ),
  );
  return [
    "target_table,target_column,source_table,source_column",
    ...lines,
    `# rows=${lines.length}`,
    "",
  ].join("\n");
}

function pickTables(catalogue: Catalogue, random: Random): readonly string[] {
  const left = [...catalogue.keys()];
  const count = TABLES_MIN + Math.floor(random() * (TABLES_MAX - TABLES_MIN + 1));
  return Array.from({ length: count }, () => left.splice(Math.floor(random() * left.length), 1)[0] ?? "");
}

function columnsOf(catalogue: Catalogue, table: string): readonly string[] {
  return catalogue.get(table) ?? [];
}

function pick(from: readonly string[], random: Random): string {
  return from[Math.floor(random() * from.length)] ?? "";
}

/** A small reproducible generator (mulberry32) for one seed, number and purpose; its values are in 0..1. */
function randomFrom(seed: number, index: number, purpose: number): Random {
  let state =
    (Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b) ^ Math.imul(purpose, 0xc2b2ae35)) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
