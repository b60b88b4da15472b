/** Maps and lists of limited size. */

/** Puts a value into a map of limited size: the oldest entry makes room. */
export function remember<T>(map: Map<string, T>, key: string, value: T, max: number): void {
  map.set(key, value);
  const oldest = map.keys().next();
  if (map.size > max && oldest.done !== true) map.delete(oldest.value);
}
