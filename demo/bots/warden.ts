/** A process that outlives the demo by a moment: when the demo dies without a goodbye, it ends what the demo had started and removes its folder. */
import { rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { startMarkOf } from "../../src/adapters/target/process-table.ts";
import { stopByPidfile } from "./managed.ts";
import { type Ward, wardSchema } from "./wards.ts";

const wards: Ward[] = [];

async function end(ward: Ward): Promise<void> {
  switch (ward.kind) {
    case "process":
      // The same id with another mark is somebody else's process.
      if (startMarkOf(ward.pid) === ward.mark) process.kill(ward.pid, "SIGKILL");
      return;
    case "pidfile":
      return stopByPidfile(ward.path);
    case "folder":
      return rm(ward.path, { recursive: true, force: true, maxRetries: 10 });
    case "goodbye":
      return;
  }
}

// A Ctrl-C in the terminal is for the demo, which then says goodbye.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {});
for await (const line of createInterface({ input: process.stdin }))
  wards.push(wardSchema.parse(JSON.parse(line)));
if (wards.at(-1)?.kind !== "goodbye") {
  // The newest first: Belay must be gone before what it would start again.
  for (const ward of wards.reverse()) {
    try {
      await end(ward);
    } catch {
      // One that cannot be ended keeps none of the others.
    }
  }
}
