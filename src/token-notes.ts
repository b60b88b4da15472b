/** What `belay check` notes of tokens: which of those that the files call for are not set where it runs. */
import type { Catalogue } from "./core/files/catalogue.ts";
import { secretsOfKind, settingNames } from "./providers.ts";

/** A line for each setting that no name of it is set for; `isSet` tells of a name whether the environment, or a file that it names, holds it. */
export function tokenNotes(
  catalogues: readonly Catalogue[],
  isSet: (name: string) => boolean,
): readonly string[] {
  const missing = new Map<string, { readonly files: string[]; readonly use: string }>();
  for (const { source, file } of catalogues) {
    const [own, ...others] = secretsOfKind(file.provider.kind);
    const needed = [
      ...(own === undefined ? [] : [{ name: own, use: "read or flip the flags" }]),
      ...(file.view !== undefined && "sdk" in file.view
        ? others.map((name) => ({ name, use: "see what SDKs see of the flags" }))
        : []),
    ];
    for (const { name, use } of needed) {
      if (settingNames(name, file.environment).some(isSet)) continue;
      const known = missing.get(name) ?? { files: [], use };
      missing.set(name, known);
      known.files.push(`flags/${source}`);
    }
  }
  return [...missing].map(
    ([name, { files, use }]) =>
      `note: ${name} is not set here: where Belay runs it is needed to ${use} in ${files.join(", ")}`,
  );
}
