/** HTTP to Unleash: one deadline for all calls of an operation, sockets of its own for each lane, faults in sentences. */
import type { z } from "zod";
import { OutsideFault } from "../../../engine/ports.ts";
import {
  createHttpClient,
  type HttpClient,
  HttpFault,
  type HttpReply,
  type HttpRequest,
} from "../../http-client.ts";
import { type Asked, jsonOf, refusalOf } from "./faults.ts";

/** A feature has every environment, strategy and segment in it, and an event the strategy before and after. */
const MOST_BYTES = 8 * 1024 * 1024;

/** How an operation names itself and how long it may still take: one deadline for all of its calls. */
export interface Deadline {
  /** ms until then, at least 1. */
  left(): number;
}

export function deadlineOf(timeoutMs: number): Deadline {
  const until = performance.now() + timeoutMs;
  return { left: () => Math.max(1, Math.round(until - performance.now())) };
}

/** Own sockets for each, so that no forward traffic and no slow read can hold a rollback up. */
export type Lane = "read" | "forward" | "backward";

export interface ApiOptions {
  /** Base address, with or without `/api` at its end. */
  readonly url: string;
  readonly project: string;
  readonly environment: string;
  /** The name of the setting that holds the token, for messages. */
  readonly setting: string;
  /** The token. Throws an `OutsideFault` when there is none. */
  readonly token: () => string;
}

/** What is asked about, for the words of a fault. */
export type About = Pick<Asked, "doing" | "key">;
export type Wanted = Pick<HttpRequest, "method" | "url" | "body" | "repeatable">;

export interface Transport {
  readonly url: string;
  /** Any answer; rejects with an `OutsideFault` when there is none. */
  ask(
    lane: Lane,
    about: About,
    wanted: Wanted,
    deadline: Deadline,
  ): Promise<{ readonly reply: HttpReply; readonly asked: Asked }>;
  /** A 200 of this shape; rejects with an `OutsideFault` for anything else. */
  get<T>(about: About, address: string, shape: z.ZodType<T>, deadline: Deadline, lane: Lane): Promise<T>;
  close(): void;
}

/** `https://host/base` from what people paste. */
export function baseOf(url: string): string {
  return url.replace(/\/+$/, "").replace(/\/api$/, "");
}

export function createTransport(options: ApiOptions): Transport {
  const { project, environment, setting } = options;
  const url = baseOf(options.url);
  const host = URL.parse(url)?.host ?? "Unleash";
  const clients: Readonly<Record<Lane, HttpClient>> = {
    read: createHttpClient(),
    forward: createHttpClient(),
    // As many sockets as there are flags: no OFF waits for one that hangs.
    backward: createHttpClient({ maxSockets: Number.POSITIVE_INFINITY }),
  };

  async function ask(
    lane: Lane,
    about: About,
    wanted: Wanted,
    deadline: Deadline,
  ): Promise<{ readonly reply: HttpReply; readonly asked: Asked }> {
    const token = options.token();
    const asked: Asked = { host, url, project, environment, setting, token, ...about };
    const body = wanted.body === undefined ? {} : { "content-type": "application/json" };
    const headers = { accept: "application/json", authorization: token, ...body };
    try {
      const reply = await clients[lane].request({
        ...wanted,
        headers,
        timeoutMs: deadline.left(),
        maxBytes: MOST_BYTES,
      });
      return { reply, asked };
    } catch (error) {
      if (!(error instanceof HttpFault)) throw error;
      throw new OutsideFault(`cannot ${about.doing}: ${error.detail}`, { recoverable: true, cause: error });
    }
  }

  async function get<T>(
    about: About,
    address: string,
    shape: z.ZodType<T>,
    deadline: Deadline,
    lane: Lane,
  ): Promise<T> {
    const { reply, asked } = await ask(lane, about, { method: "GET", url: address }, deadline);
    if (reply.status !== 200) throw refusalOf(reply, asked);
    return parsed(reply, shape, asked);
  }

  return {
    url,
    ask,
    get,
    close() {
      for (const client of Object.values(clients)) client.close();
    },
  };
}

/** The answer in this shape. Throws an `OutsideFault` when it is something else. */
export function parsed<T>(reply: HttpReply, shape: z.ZodType<T>, { doing, host }: Asked): T {
  const result = shape.safeParse(jsonOf(reply.text));
  if (result.success) return result.data;
  throw new OutsideFault(`cannot ${doing}: ${host} answered something that is not Unleash's`, {
    recoverable: true,
  });
}
