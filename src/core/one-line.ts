/** Text from outside as people may read it among ours: on one line, without control characters, of bounded length. */
export function inOneLine(text: string, most: number): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, " ").trim();
  return plain.length <= most ? plain : `${plain.slice(0, most - 3)}...`;
}
