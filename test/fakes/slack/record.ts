/** What the workspace remembers of the bot's behaviour: calls, acknowledgements and breaches of the rules. */

import type { Clock } from "./clock.ts";
import type { Emitter } from "./emitter.ts";
import type { JsonObject } from "./json.ts";
import type { AckRecord, CallRecord, FakeSlackEvents, Violation } from "./model.ts";

/** The record itself; each list keeps its newest 20,000 entries. */
export interface Recorder {
  violate(rule: string, detail: string): void;
  call(method: string, args: JsonObject, outcome: string): void;
  ack(ack: Omit<AckRecord, "at">): void;
  violations(): readonly Violation[];
  calls(): readonly CallRecord[];
  acks(): readonly AckRecord[];
  /** Takes the violations of one rule out of the record and returns them: for tests that break a rule on purpose. */
  forgive(rule: string): readonly Violation[];
}

const KEPT = 20_000;

/** Makes an empty record. */
export function createRecorder(clock: Clock, events: Emitter<FakeSlackEvents>): Recorder {
  let violations: Violation[] = [];
  const calls: CallRecord[] = [];
  const acks: AckRecord[] = [];

  function keep<T>(list: T[], item: T): void {
    list.push(item);
    if (list.length > KEPT) list.shift();
  }

  return {
    violate(rule, detail) {
      const violation: Violation = { rule, detail, at: clock.now() };
      keep(violations, violation);
      events.emit("violation", violation);
    },
    call(method, args, outcome) {
      const call: CallRecord = { method, args, at: clock.now(), outcome };
      keep(calls, call);
      events.emit("call", call);
    },
    ack(ack) {
      const record: AckRecord = { ...ack, at: clock.now() };
      keep(acks, record);
      events.emit("ack", record);
    },
    violations: () => [...violations],
    calls: () => [...calls],
    acks: () => [...acks],
    forgive(rule) {
      const forgiven = violations.filter((violation) => violation.rule === rule);
      violations = violations.filter((violation) => violation.rule !== rule);
      return forgiven;
    },
  };
}
