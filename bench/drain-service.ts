/** A small HTTP service that reads its flags from the environment and drains: after SIGTERM it takes nothing new, finishes what it has, and ends. */
import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

const port = Number(process.argv[2]);
const MOST_WORK_MS = 60_000;

const server = createServer((request, response) => {
  const url = new URL(request.url ?? "/", "http://127.0.0.1");
  const ms = Math.min(MOST_WORK_MS, Number(url.searchParams.get("ms") ?? "0"));
  const flags = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => name.startsWith("FEATURE_")),
  );
  void delay(ms).then(() => {
    // A connection that is kept would hold up the end for nothing.
    response.writeHead(200, { "content-type": "application/json", connection: "close" });
    response.end(JSON.stringify({ flags }));
  });
});
server.listen(port, "127.0.0.1");
process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
