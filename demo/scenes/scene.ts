/** What the demo can show: a world that is started, plays its story by itself or is shown to people, and leaves nothing behind. */

/** One line of a story. `t`: ms since it began. */
export interface Line {
  readonly t: number;
  readonly event: string;
  readonly [more: string]: unknown;
}

/** How a story ended. */
export interface Ending {
  readonly ok: boolean;
  /** The last line of `--json`. */
  readonly summary: object;
  /** The same for people. */
  readonly inWords: string;
}

export interface SceneOptions {
  /** Real seconds per planned hour. */
  readonly speed: number;
  /** Port of what people look at; 0 takes a free one. */
  readonly port: number;
  /** Gives the start up: what was started is stopped again. */
  readonly signal: AbortSignal;
}

/** A scene whose world is up. */
export interface Scene {
  /** Plays the whole story. Expectations that do not hold are in the ending. */
  play(tell: (line: Line) => void): Promise<Ending>;
  /** Opens it for people, and says what they can do. Resolves when it is theirs; it goes on until `stop`. */
  show(say: (text: string) => void): Promise<void>;
  /** Ends every process and removes the folder. */
  stop(): Promise<void>;
}

/** A line as people read it. */
export function inWords({ t, event, rollout: _, ...more }: Line): string {
  const rest = Object.entries(more).map(
    ([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return `${(t / 1_000).toFixed(1).padStart(6)} s  ${event.padEnd(16)} ${rest.join("  ")}`;
}
