/** The provider `file`: Belay's own flag store, one `flags.json`, which services read over OFREP or as a file. */
import { join, normalize } from "node:path";
import { z } from "zod";
import { SECOND } from "../../../core/time.ts";
import { createFileStore, type FileStore, seedFileStore } from "../file.ts";
import { closing, defineProvider, type OpenContext, shared } from "../provider.ts";

const schema = z.strictObject({ kind: z.literal("file"), path: z.string().min(1).optional() });

/** Where the embedded store keeps its flags when the file names no path. */
function pathOf({ path }: z.output<typeof schema>, { stateDir }: Pick<OpenContext, "stateDir">): string {
  return path ?? join(stateDir, "flags.json");
}

const stores = shared<FileStore>();

function opened(path: string, { scope }: Pick<OpenContext, "scope">): FileStore {
  return stores(scope, path, () => closing(scope, createFileStore({ path })));
}

/** The store that OFREP serves: the one without a path of its own. */
export function embeddedStore(context: Pick<OpenContext, "scope" | "stateDir">): FileStore {
  return opened(pathOf({ kind: "file" }, context), context);
}

export const provider = defineProvider({
  kind: "file",
  schema,
  facts: ({ path = "flags.json in BELAY_STATE" }) => ({
    percent: true,
    variables: false,
    restarts: false,
    sdk: false,
    // Written and read back within two seconds.
    limits: { flipMs: 2 * SECOND, restartMs: 0 },
    files: [normalize(path)],
  }),
  open: (entry, context) => opened(pathOf(entry, context), context),
  async seed(entry, flags, context) {
    await seedFileStore(pathOf(entry, context), flags);
  },
});
