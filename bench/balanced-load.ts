/** Load on several hosts as a load balancer gives it: each request goes to the next host that takes it; what nobody takes, or what is cut off, is counted. */
import { Agent, request } from "node:http";

const EVERY_MS = 20;
const WORK_MS = 40;

export interface Counted {
  readonly offered: number;
  /** No host took it. */
  refused: number;
  /** A host had taken it and did not finish it. */
  cut: number;
}

export interface BalancedLoad {
  /** Requests that began since the last call, counted when all of them have ended. */
  count(): Promise<Counted>;
  /** Gives every host one request that takes so long, ms; it counts as cut when it is not finished. */
  long(ms: number): void;
  stop(): Promise<void>;
}

type Outcome = "served" | "refused" | "cut";

/** Begins at once: 50 requests a second of 40 ms of work each. */
export function startLoad(ports: readonly number[]): BalancedLoad {
  const agent = new Agent({ keepAlive: false });
  let turn = 0;
  let begun: Promise<Outcome>[] = [];
  const offer = (): void => {
    const first = turn++;
    const order = ports.map((_, index) => ports[(first + index) % ports.length] ?? 0);
    begun.push(firstTaken(agent, order));
  };
  const timer = setInterval(offer, EVERY_MS);
  return {
    async count() {
      const mine = begun;
      begun = [];
      const outcomes = await Promise.all(mine);
      const of = (wanted: Outcome): number => outcomes.filter((one) => one === wanted).length;
      return { offered: outcomes.length, refused: of("refused"), cut: of("cut") };
    },
    long(ms) {
      for (const port of ports) begun.push(send(agent, port, ms));
    },
    async stop() {
      clearInterval(timer);
      await Promise.all(begun);
      agent.destroy();
    },
  };
}

async function firstTaken(agent: Agent, order: readonly number[]): Promise<Outcome> {
  for (const port of order) {
    const outcome = await send(agent, port, WORK_MS);
    if (outcome !== "refused") return outcome;
  }
  return "refused";
}

/** `refused`: no connection came about, so another host may be asked. */
function send(agent: Agent, port: number, workMs: number): Promise<Outcome> {
  return new Promise((resolve) => {
    let connected = false;
    const sent = request({ host: "127.0.0.1", port, path: `/?ms=${workMs}`, agent }, (response) => {
      response.resume();
      response.on("end", () => resolve("served"));
      response.on("error", () => resolve("cut"));
    });
    sent.on("socket", (socket) =>
      socket.on("connect", () => {
        connected = true;
      }),
    );
    sent.on("error", () => resolve(connected ? "cut" : "refused"));
    sent.end();
  });
}
