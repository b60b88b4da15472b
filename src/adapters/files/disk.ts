/** Reads the files of a folder with bounds: only regular files inside it, of a bounded size, in UTF-8. */
import { constants } from "node:fs";
import { open, readdir, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { ofWholeFile, type Problem } from "./problem.ts";

const MAX_FILE_BYTES = 256 * 1024;
const MAX_FILES = 500;

/** `file` is the path below the folder; `stem` its name without the ending. */
export interface SourceFile {
  readonly file: string;
  readonly stem: string;
  readonly text: string;
}

export interface FolderRead {
  readonly files: readonly SourceFile[];
  readonly problems: readonly Problem[];
}

/** Every file of `dir/folder` whose name has one of the endings; hidden ones are left out. A folder that is missing is a problem. */
export async function readFiles(
  dir: string,
  folder: string,
  endings: readonly string[],
): Promise<FolderRead> {
  const names = await namesIn(dir, folder, endings);
  if (names === undefined)
    return { files: [], problems: [ofWholeFile(folder, `there is no folder ${folder}/`)] };
  if (names.length > MAX_FILES)
    return {
      files: [],
      problems: [ofWholeFile(folder, `expected at most ${MAX_FILES} files, found ${names.length}`)],
    };
  const files: SourceFile[] = [];
  const problems: Problem[] = [];
  const root = await realpath(dir);
  for (const name of names) {
    const file = `${folder}/${name}`;
    const text = await readText(join(dir, folder, name), file, root);
    if (typeof text === "string") files.push({ file, stem: name.slice(0, name.lastIndexOf(".")), text });
    else problems.push(text);
  }
  return { files, problems };
}

/** The names, in order; undefined when there is no such folder. */
export async function namesIn(
  dir: string,
  folder: string,
  endings: readonly string[],
): Promise<readonly string[] | undefined> {
  try {
    const names = await readdir(join(dir, folder));
    return names
      .filter((name) => !name.startsWith(".") && endings.some((ending) => name.endsWith(ending)))
      .sort();
  } catch {
    return undefined;
  }
}

/** Whether a path is a regular file whose real place is inside `dir`. */
export async function isFileInside(dir: string, path: string): Promise<boolean> {
  try {
    return isInside(await realpath(path), await realpath(dir)) && (await stat(path)).isFile();
  } catch {
    return false;
  }
}

function isInside(path: string, root: string): boolean {
  return path.startsWith(root.endsWith(sep) ? root : root + sep);
}

/** The text of a file, or why it is not read. `file` is the name used in the problem; with `root`, links may not lead out of it. */
export async function readText(path: string, file: string, root?: string): Promise<string | Problem> {
  try {
    if (root !== undefined && !isInside(await realpath(path), root))
      return ofWholeFile(file, "this link leads out of the folder: expected a file inside it");
    if (!(await stat(path)).isFile()) return ofWholeFile(file, "expected a regular file");
    const bytes = await readBounded(path);
    if (bytes === undefined) return ofWholeFile(file, `the file is longer than ${MAX_FILE_BYTES / 1024} KiB`);
    return decode(bytes, file);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    return ofWholeFile(
      file,
      code === "ENOENT" ? "there is no such file" : `the file cannot be read (${code})`,
    );
  }
}

/** Undefined when the file is over the limit, also when it grows while it is read. */
async function readBounded(path: string): Promise<Buffer | undefined> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const buffer = Buffer.alloc(MAX_FILE_BYTES + 1);
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length);
      if (bytesRead === 0) return buffer.subarray(0, length);
      length += bytesRead;
    }
    return undefined;
  } finally {
    await handle.close();
  }
}

function decode(bytes: Buffer, file: string): string | Problem {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    return decoder.decode(bytes);
  } catch {
    return { ...ofWholeFile(file, "expected text in UTF-8"), line: brokenLine(bytes) };
  }
}

/** No byte of a longer UTF-8 character equals a line break, so lines can be tried one by one. */
function brokenLine(bytes: Buffer): number {
  let line = 1;
  for (let from = 0; from <= bytes.length; line++) {
    const next = bytes.indexOf(0x0a, from);
    const to = next === -1 ? bytes.length : next;
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(from, to));
    } catch {
      return line;
    }
    from = to + 1;
  }
  return 1;
}
