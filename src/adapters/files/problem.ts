/** A mistake with its place in a file, as `belay check` prints it. */

/** `line` and `column` count from 1, columns in characters; a problem of a whole file is at 1:1. */
export interface Problem {
  /** Below the folder that was loaded, with `/` between the parts; another file as it was named. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly level: "error" | "warning";
}

/** `flags/ingestion.yaml:12:9: error: expected ..., found "..."`, always one line, whatever the file held. */
export function formatProblem(problem: Problem): string {
  const { file, line, column, level, message } = problem;
  return printable(`${file}:${line}:${column}: ${level}: ${message}`);
}

/** Control characters could hide or forge lines on a terminal, so they are shown as escapes. */
function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** By file, then line, then column. */
export function inOrder(problems: readonly Problem[]): readonly Problem[] {
  const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return [...problems].sort((a, b) => compare(a.file, b.file) || a.line - b.line || a.column - b.column);
}

export function ofWholeFile(file: string, message: string): Problem {
  return { file, line: 1, column: 1, message, level: "error" };
}
