/** Bearer tokens, compared so that neither the time nor the length of the comparison tells anything. */
import { createHash, timingSafeEqual } from "node:crypto";

/** Whether the header is `Bearer TOKEN`. Headers that were sent twice arrive joined and are none. */
export function isBearer(header: string | undefined, token: string | undefined): boolean {
  if (token === undefined || header === undefined || !header.startsWith("Bearer ")) return false;
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(header.slice("Bearer ".length)), digest(token));
}
