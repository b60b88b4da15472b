/** Words that people wrote or that were put together, as whole sentences. */

/** With a full stop, unless it ends in one, a question or an exclamation mark. */
export function withStop(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** With a capital and a full stop. */
export function sentence(text: string): string {
  return withStop(text.charAt(0).toUpperCase() + text.slice(1));
}
