/** What a call fails with, and everything that a careless log could make of it. */
import { expect } from "vitest";
import { type Log, OutsideFault } from "../../src/engine/ports.ts";

/** The fault that a promise rejects with; fails when it does not, or with something else. */
export async function faultOf(promise: Promise<unknown>): Promise<OutsideFault> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(outcome).toBeInstanceOf(OutsideFault);
  if (!(outcome instanceof OutsideFault)) throw new Error("unreachable");
  return outcome;
}

/** Everything a careless log could make of an error. */
export function shapesOf(fault: Error): string {
  return [
    JSON.stringify(fault),
    String(fault),
    fault.stack,
    JSON.stringify(Object.getOwnPropertyDescriptors(fault)),
    String(fault.cause),
  ].join("\n");
}

/** A log that keeps every record as one line. */
export function logInto(lines: string[]): Log {
  const note = (message: string, fields?: object): void =>
    void lines.push(`${message} ${JSON.stringify(fields)}`);
  return { info: note, warn: note, error: note };
}
