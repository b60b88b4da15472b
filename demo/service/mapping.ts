/** Column mappings, what every kind of file is parsed into, and the parser of the files that list them line by line. */

/** One column fed by another. */
export interface Mapping {
  readonly targetTable: string;
  readonly targetColumn: string;
  readonly sourceTable: string;
  readonly sourceColumn: string;
}

/** A file that cannot be ingested: it fails alone, the service goes on. */
export class IngestError extends Error {
  override readonly name = "IngestError";
}

/** Parses a mapping file: a header, lines of four names, and a last line that counts them. Throws IngestError. */
export function parseMappings(text: string): readonly Mapping[] {
  const lines = text.split("\n").filter((line) => line !== "");
  const [header, ...rest] = lines;
  const trailer = rest.pop();
  if (header !== "target_table,target_column,source_table,source_column")
    throw new IngestError("unknown header");
  if (trailer !== `# rows=${rest.length}`) throw new IngestError("the file is cut short");
  return rest.map((line, at) => {
    const [targetTable, targetColumn, sourceTable, sourceColumn, ...more] = line.split(",");
    if (!targetTable || !targetColumn || !sourceTable || !sourceColumn || more.length > 0)
      throw new IngestError(`line ${at + 2}: expected four names`);
    return { targetTable, targetColumn, sourceTable, sourceColumn };
  });
}
