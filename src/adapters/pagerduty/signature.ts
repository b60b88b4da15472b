/** Whether a webhook was sent by PagerDuty: its signature over the raw body, or the token that an action's custom header carries. */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";

const SIGNATURES_MOST = 20;
const V1 = /^v1=([0-9a-f]{64})$/i;
const BEARER = /^Bearer (\S{1,500})$/i;

/**
 * True when one of the comma-separated `v1` signatures is the HMAC-SHA256 of the body under one of the secrets. All are compared, in constant
 * time, so that the time taken tells nothing.
 */
export function isSigned(header: string | undefined, body: Uint8Array, secrets: readonly string[]): boolean {
  const given = (header ?? "")
    .split(",", SIGNATURES_MOST)
    .map((part) => V1.exec(part.trim())?.[1])
    .filter((hex) => hex !== undefined)
    .map((hex) => Buffer.from(hex, "hex"));
  const expected = secrets
    .filter((secret) => secret !== "")
    .map((secret) => createHmac("sha256", secret).update(body).digest());
  const matches = expected.flatMap((right) => given.map((each) => timingSafeEqual(each, right)));
  return matches.includes(true);
}

/** True when the header is `Bearer` with one of the tokens; compared in constant time. */
export function isToken(header: string | undefined, tokens: readonly string[]): boolean {
  const given = BEARER.exec(header ?? "")?.[1];
  if (given === undefined) return false;
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  const matches = tokens
    .filter((token) => token !== "")
    .map((token) => timingSafeEqual(digest(given), digest(token)));
  return matches.includes(true);
}
