/** A small typed event emitter: listeners run at once, in the order in which they came. */

/** Emits events whose names and payloads are the properties of `Events`. */
export interface Emitter<Events> {
  /** Starts listening. Returns a function that stops it. */
  on<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): () => void;
  emit<Name extends keyof Events>(name: Name, payload: Events[Name]): void;
}

/** Makes an emitter without listeners. */
export function createEmitter<Events>(): Emitter<Events> {
  const listeners: { [Name in keyof Events]?: Set<(payload: Events[Name]) => void> } = {};
  return {
    on(name, listener) {
      const set = listeners[name] ?? new Set();
      listeners[name] = set;
      set.add(listener);
      return () => {
        set.delete(listener);
      };
    },
    emit(name, payload) {
      for (const listener of [...(listeners[name] ?? [])]) listener(payload);
    },
  };
}
