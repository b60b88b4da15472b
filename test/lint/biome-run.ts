/** Runs Biome with this repository's own rules on a small tree of files, outside the repository. */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";

/** The root of the repository, an absolute path. */
export const ROOT: string = dirname(dirname(import.meta.dirname));

const Report = z.object({
  diagnostics: z.array(
    z.object({
      category: z.string(),
      severity: z.string(),
      message: z.string(),
      location: z.object({ path: z.string() }),
    }),
  ),
});

/** One finding: the rule (`plugin` for those under lint/), what it says, and the file relative to the tree. */
export interface Finding {
  readonly rule: string;
  readonly message: string;
  readonly path: string;
  readonly severity: string;
}

/**
 * Writes `files` (path -> text) into a new folder together with the repository's biome.json, lint/, package.json and tsconfig.json,
 * lints it, removes it, and returns what Biome found. Throws when Biome itself fails (bad configuration, no report).
 */
export async function lintTree(files: ReadonlyMap<string, string>): Promise<readonly Finding[]> {
  const tree = mkdtempSync(join(tmpdir(), "belay-lint-"));
  try {
    for (const name of ["biome.json", "lint", "package.json", "tsconfig.json", ".gitignore"]) {
      cpSync(join(ROOT, name), join(tree, name), { recursive: true });
    }
    symlinkSync(join(ROOT, "node_modules"), join(tree, "node_modules"));
    for (const [path, text] of files) {
      mkdirSync(dirname(join(tree, path)), { recursive: true });
      writeFileSync(join(tree, path), text);
    }
    const report = Report.parse(JSON.parse(await runBiome(tree)));
    return report.diagnostics.map((d) => ({
      rule: d.category.split("/").at(-1) ?? d.category,
      message: d.message,
      path: d.location.path,
      severity: d.severity,
    }));
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

function runBiome(tree: string): Promise<string> {
  const biome = join(ROOT, "node_modules", ".bin", "biome");
  const args = ["lint", "--reporter=json", "--max-diagnostics=none", "."];
  return new Promise((resolve, reject) => {
    execFile(biome, args, { cwd: tree, maxBuffer: 16 << 20, timeout: 60_000 }, (error, stdout, stderr) => {
      if (stdout.startsWith("{")) resolve(stdout);
      else reject(new Error(`biome gave no report: ${stderr || error?.message || "no output"}`));
    });
  });
}
