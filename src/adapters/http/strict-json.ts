/** JSON from strangers: bounded in size, depth and time, and without the keys that reach into an object's own workings. */

/** `why` says what is wrong, in words without any of the content. */
export type Read<T> =
  | { readonly kind: "ok"; readonly value: T }
  | { readonly kind: "bad"; readonly status: 400 | 413; readonly why: string };

const POISON: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/**
 * The body of a request as text of at most `mostBytes`; what is longer is not read to its end. `gone`: the sender went away, or was given up,
 * before the end, and nobody hears an answer.
 */
export async function readText(
  request: Request,
  mostBytes: number,
): Promise<Read<string> | { readonly kind: "gone" }> {
  const tooLong = {
    kind: "bad",
    status: 413,
    why: `the body is longer than ${mostBytes / 1024} KiB`,
  } as const;
  const announced = request.headers.get("content-length");
  if (announced !== null && Number(announced) > mostBytes) return tooLong;
  try {
    // A body with a length is never longer than that, and is read without a stream around it.
    const bytes = announced === null ? await readPieces(request, mostBytes) : await request.arrayBuffer();
    return bytes === undefined ? tooLong : decoded(bytes);
  } catch {
    return { kind: "gone" };
  }
}

/** A body without a length; undefined when it is longer than `mostBytes`. */
async function readPieces(request: Request, mostBytes: number): Promise<Uint8Array | undefined> {
  const reader = request.body?.getReader();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for (let next = await reader?.read(); next?.value !== undefined; next = await reader?.read()) {
      const chunk: Uint8Array = next.value;
      bytes += chunk.byteLength;
      if (bytes > mostBytes) return undefined;
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } finally {
    // What was not read is not wanted.
    reader?.cancel().catch(() => undefined);
  }
}

function decoded(bytes: Uint8Array | ArrayBuffer): Read<string> {
  try {
    return { kind: "ok", value: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    return { kind: "bad", status: 400, why: "the body is not UTF-8" };
  }
}

/**
 * The value of a JSON text whose lists and objects are nested at most `mostDepth` deep. Of a key that stands twice in one object the last one
 * counts, as JSON.parse has it.
 */
export function parseStrict(text: string, mostDepth: number): Read<unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: "bad", status: 400, why: "the body is not JSON" };
  }
  const why = faultIn(value, mostDepth);
  return why === undefined ? { kind: "ok", value } : { kind: "bad", status: 400, why };
}

function faultIn(value: unknown, depthLeft: number): string | undefined {
  if (!isNested(value)) return undefined;
  if (depthLeft <= 0) return "the JSON is nested too deeply";
  // Without a copy of keys or values: this looks at everything that strangers send.
  for (const key in value) {
    if (POISON.has(key)) return "the JSON has a key that is never taken";
    const why = faultIn(value[key], depthLeft - 1);
    if (why !== undefined) return why;
  }
  return undefined;
}

/** A list or an object; of a list the indexes are its keys. */
function isNested(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
