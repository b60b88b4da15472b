/** The way back of one flag, tried without any effect: what it reads, and whether the calls of a rollback would be let through. */
import type { FlagDef } from "../../../core/plan.ts";
import { OFF, ON } from "../../../core/setting.ts";
import { type FlagRehearsal, messageOfFault } from "../../../engine/ports.ts";
import type { UnleashApi } from "./api.ts";
import { gone, placeOf } from "./place.ts";
import { isOnOff, type Place } from "./served.ts";
import { type Call, callsFor } from "./target.ts";
import { type Deadline, deadlineOf } from "./transport.ts";
import { look } from "./write.ts";

export interface Rehearsed {
  readonly api: UnleashApi;
  readonly flag: FlagDef;
  readonly project: string;
  readonly environment: string;
  readonly stickiness: string;
  /** Total deadline, ms. */
  readonly timeoutMs: number;
}

const OFF_CALL: Call = { kind: "off" };
const ON_CALL: Call = { kind: "on" };
const BODY = {
  name: "flexibleRollout",
  title: null,
  disabled: false,
  constraints: [],
  segments: [],
  parameters: {},
  variants: [],
} as const;
const CREATE_CALL: Call = { kind: "create", body: BODY };
const UPDATE_CALL: Call = { kind: "update", id: "none", body: BODY };

/** Never rejects: what fails is a problem. */
export async function rehearseFlag(options: Rehearsed): Promise<FlagRehearsal> {
  const { api, flag, project, environment, timeoutMs } = options;
  const deadline = deadlineOf(timeoutMs);
  const began = performance.now();
  try {
    const { feature } = await look(api, flag, environment, deadline, "read");
    const readMs = performance.now() - began;
    if (feature === undefined) return failed(readMs, gone(flag, project).message);
    const place = placeOf(feature, environment, project);
    const [back, forward] = await Promise.all([
      tryBack(options, place, deadline),
      tryForward(options, place, deadline),
    ]);
    return { readMs, ...back, warnings: [...back.warnings, ...forward] };
  } catch (error) {
    return failed(performance.now() - began, messageOfFault(error));
  }
}

function failed(readMs: number, problem: string): FlagRehearsal {
  return { readMs, writeMs: undefined, problems: [problem], warnings: [] };
}

async function tryBack(
  { api, flag, environment, stickiness }: Rehearsed,
  place: Place,
  deadline: Deadline,
): Promise<Omit<FlagRehearsal, "readMs">> {
  const wish = { flag, setting: flag.safe ?? OFF, direction: "backward", stickiness } as const;
  const calls = callsFor(wish, place);
  if ("kind" in calls) return { writeMs: undefined, problems: [`${flag.key} ${calls.why}`], warnings: [] };
  const isOff = calls.every((call) => call.kind === "off") && calls.length > 0;
  // Turning off what is off is no event in Unleash, and changes nothing whoever comes in between.
  if (isOff && !place.environment.enabled) {
    const began = performance.now();
    const problems = await problemsOf(() => api.call(flag.key, OFF_CALL, { deadline, lane: "backward" }));
    const ms = performance.now() - began;
    return { writeMs: problems.length === 0 ? ms : undefined, problems, warnings: [] };
  }
  const probes = isOff ? [OFF_CALL] : [UPDATE_CALL, CREATE_CALL, ON_CALL];
  const found = await Promise.all(
    probes.map((call) => problemsOf(() => api.probe(flag.key, call, deadline))),
  );
  const problems = [...new Set(found.flat())];
  const why = isOff
    ? `${flag.key} is on in ${environment} of Unleash`
    : `the way back of ${flag.key} in ${environment} of Unleash is to set a strategy`;
  const warnings = [
    `${why}, so no write was tried on it: the same call for a flag that does not exist was let through`,
  ];
  return { writeMs: undefined, problems, warnings: problems.length === 0 ? warnings : [] };
}

/** What would keep Belay from going forward, which stops no rollback. */
async function tryForward(
  { api, flag, stickiness }: Rehearsed,
  place: Place,
  deadline: Deadline,
): Promise<readonly string[]> {
  const calls = callsFor({ flag, setting: ON, direction: "forward", stickiness }, place);
  if ("kind" in calls) return [`Belay could not turn ${flag.key} on: it ${calls.why}`];
  if (!isOnOff(flag)) return [];
  const probes = [UPDATE_CALL, CREATE_CALL];
  const found = await Promise.all(
    probes.map((call) => problemsOf(() => api.probe(flag.key, call, deadline))),
  );
  const [first] = found.flat();
  return first === undefined ? [] : [`percentages of ${flag.key} would be refused: ${first}`];
}

async function problemsOf(job: () => Promise<void>): Promise<readonly string[]> {
  try {
    await job();
    return [];
  } catch (error) {
    return [messageOfFault(error)];
  }
}
