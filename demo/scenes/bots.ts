/** The scene of the bot platform: health, on-call, an alert that takes a flag back, and the daily post; people watch it in the stand-in Slack. */
import { playBots } from "./bots-story.ts";
import { OPS, startBotsScene } from "./bots-world.ts";
import { inWords, type Scene, type SceneOptions } from "./scene.ts";

/** Rejects when a part cannot be started, or when the signal says so. */
export async function startBots({ speed, port, signal }: SceneOptions): Promise<Scene> {
  const scene = await startBotsScene({ speed, slackPort: port, signal });
  return {
    play: (tell) => playBots(scene, tell),
    async show(say) {
      say(
        `\nOpen  ${scene.slack.origin}/?as=ana&channel=${OPS}\n\nThe story plays there by itself, and here line by line:\n`,
      );
      const ending = await playBots(scene, (line) => say(inWords(line)));
      say(
        `${ending.inWords}\n\nEverything still runs. Type in the page, for example /belay health, /belay schedule list or /rollout status.\nCtrl-C here ends everything.\n`,
      );
    },
    stop: scene.stop,
  };
}
