/** Loads a folder of flags/, schedules/ and runbooks/ with all the kinds of flag systems that Belay knows. */
import { type Loaded, type LoadOptions, readHouse } from "./adapters/files/folder.ts";
import { checkProvider } from "./providers.ts";

/** Never rejects for what is in the files; a bad file leaves the others loaded. */
export function loadFolder(dir: string, options: Omit<LoadOptions, "provider"> = {}): Promise<Loaded> {
  return readHouse(dir, { ...options, provider: checkProvider });
}
