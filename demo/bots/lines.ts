/** Cuts what arrives on a socket into lines of JSON. */
const MOST_CHARS = 100_000;

/** Returns a taker of chunks; each whole line is parsed and handed on. It returns false when a line is too long or is no JSON: that peer is beyond help. */
export function createLines(take: (line: unknown) => void): (chunk: Uint8Array) => boolean {
  const decoder = new TextDecoder();
  let rest = "";
  return (chunk) => {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      let value: unknown;
      try {
        value = JSON.parse(line);
      } catch {
        return false;
      }
      take(value);
    }
    return rest.length <= MOST_CHARS;
  };
}
