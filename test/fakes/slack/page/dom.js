/** Making and finding elements. Text always goes in as text, never as HTML. */

/**
 * Makes an element. Properties beginning with `on` are listeners, `class` and `data-…` and `aria-…` are attributes.
 * Children that are null, undefined or false are left out.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(
    ...children.flat().filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/** The element with this id. */
export function byId(id) {
  return document.getElementById(id);
}

let toastTimer;

/** Shows a short notice at the bottom for some seconds. */
export function toast(text) {
  const box = byId("toast");
  box.textContent = text;
  box.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => {
    box.hidden = true;
  }, 6000);
}
