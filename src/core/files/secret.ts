/** Finds secrets that people wrote into URLs, so that they are refused and never repeated in a message. */

/** Names of query parameters that carry secrets. */
const SECRET_NAME =
  /token|secret|passw|credential|signature|api[_-]?key|access[_-]?key|^(?:key|sig|auth|authorization|pw|pwd|pass|jwt)$/i;

/** Whether a key of this name would hold a secret. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name) || /(?:sdk|client|server|admin)[_-]?key$/i.test(name);
}

/** Addresses that are secrets as a whole: whoever knows them may write there. */
const SECRET_PATH =
  /(hooks\.slack\.com|discord(?:app)?\.com\/api\/webhooks|\.webhook\.office\.com)\/[^\s"]+/i;
const SECRET_PATHS = new RegExp(SECRET_PATH, "gi");

/** What in a URL reads as a secret: `user` (user or password), `path` (an address that is a secret as a whole), or the name of a query parameter; undefined when nothing does, or when it is no URL. */
export function secretInUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") return "user";
  if (SECRET_PATH.test(`${url.host}${url.pathname}`)) return "path";
  return [...url.searchParams.keys()].find((key) => SECRET_NAME.test(key));
}

/** The text with user and password, the values of secret parameters, and what follows in a secret address, of any URL in it as `***`. */
export function withoutSecrets(text: string): string {
  return text
    .replace(/(:[\\/]{1,})[^\\/?#\s"]*@/g, "$1***@")
    .replace(SECRET_PATHS, "$1/***")
    .replace(/([?&;])([^=&\s"]*)=([^&#\s"]*)/g, (whole, mark: string, key: string) =>
      SECRET_NAME.test(key) ? `${mark}${key}=***` : whole,
    );
}
