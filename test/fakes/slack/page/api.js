/** Talks to the workspace's server: state, live events, and what the person does. */

/** Everything that `as` sees. */
export async function loadState(as) {
  const response = await fetch(`/page/state?as=${encodeURIComponent(as)}`);
  if (!response.ok) throw new Error(`the workspace answered ${response.status}`);
  return response.json();
}

/** Follows what `as` sees. `handlers` has one function per event name, and `open` and `lost`. Returns what ends it. */
export function follow(as, handlers) {
  const source = new EventSource(`/page/events?as=${encodeURIComponent(as)}`);
  for (const name of ["message", "delete", "views", "reachable"]) {
    source.addEventListener(name, (event) => handlers[name](JSON.parse(event.data)));
  }
  source.addEventListener("open", handlers.open);
  source.addEventListener("error", handlers.lost);
  return () => source.close();
}

/** Does something as a person: `type`, `click`, `view/submit`, `view/click` or `view/close`. Never throws. */
export async function act(what, body) {
  try {
    const response = await fetch(`/page/${what}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    return response.ok
      ? answer
      : { outcome: "failed", text: answer.error ?? "That did not work.", errors: {} };
  } catch {
    return { outcome: "failed", text: "The workspace cannot be reached.", errors: {} };
  }
}
