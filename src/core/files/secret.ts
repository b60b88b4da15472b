/** Finds secrets that people wrote into URLs, so that they are refused and never repeated in a message. */

/** Names of query parameters that carry secrets. */
const SECRET_NAME =
  /token|secret|passw|credential|signature|api[_-]?key|access[_-]?key|^(?:key|sig|auth|authorization|pwd|jwt)$/i;

/** What in a URL reads as a secret: `user` (user or password) or the name of a query parameter; undefined when nothing does, or when it is no URL. */
export function secretInUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") return "user";
  return [...url.searchParams.keys()].find((key) => SECRET_NAME.test(key));
}

/** The text with user and password, and the values of secret parameters, of any URL in it as `***`. */
export function withoutSecrets(text: string): string {
  return text
    .replace(/(:[\\/]{1,})[^\\/?#\s"]*@/g, "$1***@")
    .replace(/([?&;])([^=&\s"]*)=([^&#\s"]*)/g, (whole, mark: string, key: string) =>
      SECRET_NAME.test(key) ? `${mark}${key}=***` : whole,
    );
}
