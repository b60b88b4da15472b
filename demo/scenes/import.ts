/** The scene of the bulk import: a limit raised from value to value inside a window, taken back to the value before, and an import that goes on; people watch it in the stand-in Slack. */
import { playImport } from "./import-story.ts";
import { CHANNEL, startImportScene } from "./import-world.ts";
import { inWords, type Scene, type SceneOptions } from "./scene.ts";

/** Rejects when a part cannot be started, or when the signal says so. */
export async function startImport({ speed, port, signal }: SceneOptions): Promise<Scene> {
  const scene = await startImportScene({ speed, slackPort: port, signal });
  return {
    play: (tell) => playImport(scene, tell),
    async show(say) {
      say(
        `\nOpen  ${scene.slack.origin}/?as=ana&channel=${CHANNEL}\n\nThe story plays there by itself, and here line by line:\n`,
      );
      const ending = await playImport(scene, (line) => say(inWords(line)));
      say(
        `${ending.inWords}\n\nEverything still runs. Type in the page, for example /rollout history or /rollout plan bulk-import.\nCtrl-C here ends everything.\n`,
      );
    },
    stop: scene.stop,
  };
}
