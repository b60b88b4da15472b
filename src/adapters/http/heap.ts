/** Keeps the process small while a flood of webhooks makes garbage. */
import { setFlagsFromString } from "node:v8";

/** The heap may grow by so much beyond what is alive before old garbage is looked for, percent. */
const MOST_GARBAGE_PERCENT = 25;

/**
 * By default V8 lets old garbage grow to several times what is alive before it collects it: with 10,000 webhooks a minute that is 200 MB, on
 * machines where Belay runs beside what it watches. V8 asks for this setting at every collection, so it may be changed while it runs; without a
 * flood it changes little.
 */
export function keepHeapTight(): void {
  setFlagsFromString(`--heap-growing-percent=${MOST_GARBAGE_PERCENT}`);
}
