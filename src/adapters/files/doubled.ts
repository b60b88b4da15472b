/** Finds names that more than one file defines: none of them is loaded, since nobody could say which is meant. */

/** From pairs of name and file to the names that stand in several, with those files. */
export function doubled(
  pairs: readonly (readonly [string, string])[],
): ReadonlyMap<string, readonly string[]> {
  const files = new Map<string, readonly string[]>();
  for (const [name, file] of pairs) files.set(name, [...(files.get(name) ?? []), file]);
  return new Map([...files].filter(([, defining]) => defining.length > 1));
}
