/** What the SDKs of an environment read: a stream of changes, all flags at once, and somewhere to send their events. */
import type { ServerResponse } from "node:http";
import type { Change, Flags } from "./flags.ts";
import type { Answer, Heard } from "./model.ts";
import { sdkFlagJson } from "./shapes.ts";

export interface SdkOptions {
  readonly flags: Flags;
  /** By environment. */
  readonly sdkKeys: Readonly<Record<string, string>>;
  readonly violate: (rule: string, detail: string) => void;
}

export class SdkApi {
  readonly #options: SdkOptions;
  readonly #streams = new Map<ServerResponse, string>();
  #held: Change[] | undefined;

  constructor(options: SdkOptions) {
    this.#options = options;
  }

  /** Open streams. */
  get streams(): number {
    return this.#streams.size;
  }

  /** Changes are kept back from SDKs until `release`. */
  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const change of held) this.tell(change);
  }

  /** Tells the streams of a change. */
  tell(change: Change): void {
    if (this.#held !== undefined) {
      this.#held.push(change);
      return;
    }
    for (const [response, environment] of this.#streams)
      if (environment === change.environment) send(response, ...eventOf(change));
  }

  /** Cuts all streams, as a restart of the service does. */
  cut(): void {
    for (const response of this.#streams.keys()) response.destroy();
  }

  /** Answers at once, or takes the response over for a stream. */
  answer(heard: Heard, response: ServerResponse): Answer | undefined {
    const { sdkKeys, violate } = this.#options;
    const environment = Object.keys(sdkKeys).find((name) => sdkKeys[name] === heard.headers.authorization);
    if (environment === undefined) {
      violate("sdk_key", `${heard.path} with an unknown SDK key`);
      return { status: 401, body: { message: "Invalid key" } };
    }
    const { method, path } = heard;
    if (method === "POST" && (path === "/bulk" || path === "/diagnostic")) return { status: 202 };
    if (method === "GET" && path === "/sdk/latest-all") return { status: 200, body: this.#all(environment) };
    if (method !== "GET" || path !== "/all") {
      violate("sdk_path", `${method} ${path}`);
      return { status: 404, body: { message: "Not found" } };
    }
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
    send(response, "put", { path: "/", data: this.#all(environment) });
    this.#streams.set(response, environment);
    // The request is over as soon as it was read: only the response tells when the client has gone.
    response.on("close", () => this.#streams.delete(response));
    return undefined;
  }

  #all(environment: string): object {
    const flags = this.#options.flags.all().flatMap((flag) => {
      const shown = sdkFlagJson(flag, environment);
      return shown === undefined ? [] : [[flag.key, shown] as const];
    });
    return { flags: Object.fromEntries(flags), segments: {} };
  }
}

function eventOf(change: Change): [name: string, data: object] {
  if (change.kind === "gone") return ["delete", { path: `/flags/${change.key}`, version: change.version }];
  const { flag, environment } = change;
  return ["patch", { path: `/flags/${flag.key}`, data: sdkFlagJson(flag, environment) }];
}

function send(response: ServerResponse, name: string, data: object): void {
  response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
}
