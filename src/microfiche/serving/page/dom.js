// Small helpers: elements, numbers in words, announcements. Strings become text nodes and never markup.

export const at = (id) => document.getElementById(id);

/** An element with properties: `class`, `on` (listeners by event), `data` (data-*), any attribute; then its children. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "on") for (const [event, hear] of Object.entries(value)) made.addEventListener(event, hear);
    else if (name === "data") Object.assign(made.dataset, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

const whole = new Intl.NumberFormat("en");
export const count = (value) => whole.format(value);
export const some = (value, one, many = one + "s") => count(value) + " " + (value === 1 ? one : many);

/** A share as a percentage that never rounds up to 100 %. */
export function percent(share, digits = 2) {
  if (share >= 1) return "100 %";
  const power = 10 ** digits;
  return Math.floor(share * 100 * power) / power + " %";
}

/** A probability in words: "sure" from 99.5 %, otherwise the whole percentage. */
export const sureness = (confidence) => (confidence >= 0.995 ? "sure" : Math.floor(confidence * 100) + " % sure");

export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  const power = Math.min(3, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const value = bytes / 1000 ** power;
  return (value < 10 ? Math.round(value * 10) / 10 : Math.round(value)) + " " + units[power];
}

/** How long something still takes, roughly, as a person would say it. */
export function duration(seconds) {
  if (!(seconds >= 0)) return "";
  if (seconds < 2) return "a moment";
  if (seconds < 90) return "about " + Math.ceil(seconds) + " s";
  if (seconds < 5400) return "about " + Math.round(seconds / 60) + " min";
  return "about " + Math.round(seconds / 3600) + " h";
}

/** Says something to those who listen instead of look. */
export function say(words) {
  at("said").textContent = words;
}

/** Shows one line of trouble in a view, or hides it. */
export function trouble(view, error) {
  const line = at(view + "-trouble");
  line.hidden = !error;
  line.textContent = error ? String(error.message || error) : "";
}

export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Scrolls a pane, and nothing else, until an element in it can be seen. */
export function reveal(pane, element) {
  const around = pane.getBoundingClientRect();
  const inner = element.getBoundingClientRect();
  if (inner.top >= around.top && inner.bottom <= around.bottom) return;
  const above = Math.max(16, (around.height - inner.height) / 3);
  pane.scrollBy({ top: inner.top - around.top - above, behavior: still() ? "auto" : "smooth" });
}

/** Offers a Blob as a file. */
export function download(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Copies a text, also where the page did not come over HTTPS and browsers lend no clipboard. */
export async function copy(text) {
  if (navigator.clipboard && isSecureContext) {
    try {
      return void (await navigator.clipboard.writeText(text));
    } catch {
      // The browser refuses; the older way may still be open.
    }
  }
  const beside = el("textarea", { class: "unseen", "aria-hidden": "true", tabindex: "-1" });
  beside.value = text;
  const before = document.activeElement;
  document.body.append(beside);
  beside.select();
  const copied = document.execCommand("copy");
  beside.remove();
  before?.focus({ preventScroll: true });
  if (!copied) throw new Error("The browser does not let this page copy. Download the file instead.");
}
