/** Loads the files of flags/ into catalogues, under an overlay where there is one. */
import { type Catalogue, catalogueFrom } from "../../core/files/catalogue.ts";
import { flagsFileSchema } from "../../core/files/flags-file.ts";
import type { Overlay } from "../../core/files/overlay-file.ts";
import type { CheckProvider } from "../../core/files/provider.ts";
import type { SourceFile } from "./disk.ts";
import { withOverlay } from "./overlay.ts";
import { ofWholeFile, type Problem } from "./problem.ts";
import { isError, parsed, placed, shaped } from "./shaped.ts";

export interface FlagsEntry {
  /** There as soon as the file has the right shape, so that schedules can be checked against it. */
  readonly catalogue: Catalogue | undefined;
  readonly sound: boolean;
}

/** An entry for each file, by the stem of its name. `provider` checks the entries of providers, `intervalMs`: polls (ms) of guards that name none. */
export function cataloguesFrom(
  sources: readonly SourceFile[],
  overlay: Overlay,
  options: { readonly provider: CheckProvider; readonly intervalMs: number | undefined },
  problems: Problem[],
): ReadonlyMap<string, FlagsEntry> {
  const entries = new Map<string, FlagsEntry>();
  const everyMs = overlay.interval ?? options.intervalMs;
  for (const source of sources) {
    const twin = sources.find((other) => other.stem === source.stem && other.file !== source.file);
    if (twin !== undefined)
      problems.push(
        ofWholeFile(source.file, `${twin.file} has the same name: expected one file of each name`),
      );
    const yaml = parsed(source, problems);
    const file = yaml === undefined ? undefined : shaped(yaml, flagsFileSchema, problems);
    if (file === undefined) {
      entries.set(source.stem, { catalogue: undefined, sound: false });
      continue;
    }
    const overlaid = withOverlay(file.data, overlay);
    const { catalogue, mistakes } = catalogueFrom(source.stem, overlaid.file, {
      inspect: overlaid.inspect,
      provider: options.provider,
      ...(everyMs === undefined ? {} : { intervalMs: everyMs }),
    });
    problems.push(...mistakes.map((one) => placed(one, source, file.yaml)));
    entries.set(source.stem, { catalogue, sound: twin === undefined && !mistakes.some(isError) });
  }
  return entries;
}
