/** A program that starts a workspace and a real Bolt, talks, stops both, and must then end by itself. */

import { startFakeSlack } from "./server.ts";
import { client, startSocketBot } from "./test-bot.ts";
import { SOCKET_MANIFEST } from "./test-manifest.ts";

const slack = await startFakeSlack({ manifest: SOCKET_MANIFEST });
const bot = await startSocketBot(slack, (app) => app.command("/rollout", async ({ ack }) => ack("here")));
slack.inject({ on: "auth.test", kind: "hang" });
const hanging = client(slack)
  .auth.test()
  .catch(() => undefined);
const seen = await slack.command("ana", "#ingestion-ops", "/rollout list");
await fetch(`${slack.origin}/page/events?as=ana`);
await bot.stop();
await slack.stop();
await hanging;
process.stdout.write(`${seen.outcome}: ${seen.text}\n`);
