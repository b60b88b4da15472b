/** Everything that happened in a run, line by line, and a digest of it that shows whether two runs were the same. */
import type { Timeline } from "./timeline.ts";

export class Trace {
  readonly #timeline: Timeline;
  readonly #tell: ((line: string) => void) | undefined;
  /** FNV-1a over all lines, 32 bits. */
  #hash = 0x811c9dc5;

  /** `tell` hears every line as it is noted. */
  constructor(timeline: Timeline, tell: ((line: string) => void) | undefined) {
    this.#timeline = timeline;
    this.#tell = tell;
  }

  note(what: string): void {
    const line = `${(this.#timeline.now() / 1000).toFixed(3)} ${what}`;
    for (let i = 0; i < line.length; i++)
      this.#hash = Math.imul(this.#hash ^ line.charCodeAt(i), 0x01000193) >>> 0;
    this.#tell?.(line);
  }

  /** Eight hex digits. */
  digest(): string {
    return this.#hash.toString(16).padStart(8, "0");
  }
}
