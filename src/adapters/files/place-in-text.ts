/** Finds where in a file a character of a YAML text stands, across quotes, escapes and folded lines. */

/**
 * The offset in `source` of character `offset` of a scalar that starts at `start`; undefined where the two cannot be laid beside each other
 * (a longer escape, a blank line that was folded away).
 */
export function placeInText(
  source: string,
  start: number,
  type: string | undefined,
  value: string,
  offset: number,
): number | undefined {
  let at = contentStart(source, start, type);
  for (let index = 0; at !== undefined && index < Math.min(offset, value.length); index++) {
    at = afterCharacter(source, at, type, value[index] ?? "");
  }
  if (at === undefined) return undefined;
  // The character after a folded line break stands on the next line, behind its indentation.
  return value[offset] === undefined || source[at] === value[offset] || source[at] === "\\"
    ? at
    : afterBreak(source, at);
}

function contentStart(source: string, start: number, type: string | undefined): number | undefined {
  switch (type) {
    case "QUOTE_SINGLE":
    case "QUOTE_DOUBLE":
      return start + 1;
    case "BLOCK_FOLDED":
    case "BLOCK_LITERAL":
      return afterBreak(
        source,
        start + (/^[^\r\n]*/.exec(source.slice(start, start + 200))?.[0].length ?? 0),
      );
    default:
      return start;
  }
}

function afterCharacter(
  source: string,
  at: number,
  type: string | undefined,
  char: string,
): number | undefined {
  const here = source[at];
  if (type === "QUOTE_SINGLE" && char === "'") return source.startsWith("''", at) ? at + 2 : undefined;
  if (type === "QUOTE_DOUBLE" && here === "\\") {
    const simple = (char === '"' || char === "\\") && source[at + 1] === char;
    const named = (char === "\n" && source[at + 1] === "n") || (char === "\t" && source[at + 1] === "t");
    return simple || named ? at + 2 : undefined;
  }
  if (here === char && char !== "\n") {
    // A blank of the text that is only the end of a line in the file belongs to the fold.
    return char === " " && /^[ \t]*\r?\n/.test(source.slice(at, at + 200)) && type !== "BLOCK_LITERAL"
      ? afterBreak(source, at)
      : at + 1;
  }
  return char === " " || char === "\n" ? afterBreak(source, at) : undefined;
}

/** Behind one line break and the indentation after it; undefined when there is no line break here or a blank line follows. */
function afterBreak(source: string, at: number): number | undefined {
  const skipped = /^[ \t]*\r?\n[ \t]*(?![\s])/.exec(source.slice(at, at + 400));
  return skipped === null ? undefined : at + skipped[0].length;
}
