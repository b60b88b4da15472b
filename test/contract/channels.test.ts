/** Nothing is announced nowhere without a word: without Slack all is told in the log, with Slack a rollout without a channel is warned of. */
import { describe, expect, it } from "vitest";
import { createLog } from "../../src/adapters/log.ts";
