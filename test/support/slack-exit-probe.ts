/** A program that runs the adapter through an outage of Slack, stops it in the middle of another one, and must then end by itself. */
import { OPS, socketBot, socketWorkspace, stopAll } from "./slack-bot.ts";

process.on("unhandledRejection", (reason) => {
  process.stdout.write(`unhandled: ${String(reason)}\n`);
  process.exitCode = 3;
});
const fake = await socketWorkspace();
const { slack } = socketBot(fake);
await slack.start();
await fake.waitForSockets(2);
await fake.down();
await new Promise((resolve) => setTimeout(resolve, 1_500));
await fake.up();
await fake.waitForSockets(2);
const seen = await fake.command("ana", OPS, "/rollout list");
await fake.down();
await new Promise((resolve) => setTimeout(resolve, 300));
await stopAll();
process.stdout.write(`${seen.outcome}\n`);
