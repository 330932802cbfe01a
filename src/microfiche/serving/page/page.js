// Joins the views: tabs, scheme, what is dropped, chosen or pasted, the token. Each view is a module of its own.

import { ask, askBy, json } from "./api.js";
import { at, say, trouble } from "./dom.js";
import * as open from "./open.js";
import * as pages from "./pages.js";
import * as read from "./read.js";

const VIEWS = ["read", "pages", "open"];
const TEXTS = /\.(txt|text|md|markdown|rst|csv|tsv|json|jsonl|xml|html?|css|js|ts|py|rs|go|c|h|cpp|java|sh|toml|ya?ml|tex|log|srt)$/i;
const MOST_TEXT = 4 << 20; // bytes of a text file

/** Shows a view. The address names it, so that it can be linked and the way back leads where one was. */
function show(name, focus = false) {
  for (const view of VIEWS) {
    const chosen = view === name;
    at("view-" + view).hidden = !chosen;
    at("tab-" + view).setAttribute("aria-selected", String(chosen));
    at("tab-" + view).tabIndex = chosen ? 0 : -1;
  }
  if (focus) at("tab-" + name).focus();
  if (location.hash !== "#" + name && (location.hash || name !== "read")) history.pushState(null, "", "#" + name);
  document.title = at("tab-" + name).textContent + ", Microfiche";
  if (name === "pages") pages.enter();
  if (name === "open") open.enter();
}

const named = () => (VIEWS.includes(location.hash.slice(1)) ? location.hash.slice(1) : "read");
const now = () => VIEWS.find((view) => !at("view-" + view).hidden);

for (const view of VIEWS) at("tab-" + view).addEventListener("click", () => show(view));
document.querySelector('[role="tablist"]').addEventListener("keydown", (event) => {
  const here = VIEWS.indexOf(now());
  const to = { ArrowRight: (here + 1) % 3, ArrowLeft: (here + 2) % 3, Home: 0, End: 2 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  show(VIEWS[to], true);
});
addEventListener("hashchange", () => VIEWS.includes(location.hash.slice(1)) && show(named()));
addEventListener("popstate", () => show(named()));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the view
  at("main").focus();
});

// The scheme: the system's, until the switch chooses.
const system = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
const pressed = () => at("theme").setAttribute("aria-pressed", String(isDark()));
at("theme").addEventListener("click", () => {
  const chosen = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = chosen;
  try {
    localStorage.setItem("microfiche-theme", chosen);
  } catch {
    // It holds until the page is left.
  }
  pressed();
});
system.addEventListener("change", pressed);
pressed();

/** Sends a file where it belongs: a .fiche to Open, text to Pages, all else to Read. */
async function take(file) {
  if (/\.fiche$/i.test(file.name)) {
    show("open");
    return open.openFiche(file);
  }
  const text = await textOf(file);
  if (text !== null) {
    say(file.name + " is text; it is shown as pages.");
    return shownAsPages(text);
  }
  show("read");
  return read.read(file);
}

function shownAsPages(text) {
  pages.put(text); // before the view is shown, which would begin with the example
  show("pages");
}

/** A file's text, if it is one; null for PDFs, pictures and all that is not UTF-8. */
async function textOf(file) {
  if (!file.size || file.size > MOST_TEXT || !(file.type.startsWith("text/") || TEXTS.test(file.name))) return null;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    return text.includes("\0") || text.startsWith("%PDF-") ? null : text;
  } catch {
    return null;
  }
}

function takeFirst(files) {
  const first = files[0];
  if (!first) return;
  take(first);
  if (files.length > 1) trouble(now(), "One file at a time: " + first.name + " was taken of the " + files.length + ".");
}

function choosing(button, input) {
  at(button).addEventListener("click", () => at(input).click());
  at(input).addEventListener("change", () => {
    const files = [...at(input).files];
    at(input).value = "";
    takeFirst(files);
  });
}
choosing("choose", "file");
choosing("open-choose", "open-file");

at("example").addEventListener("click", async () => {
  try {
    const bytes = await (await ask("page/example.pdf")).blob();
    take(new File([bytes], "example.pdf", { type: "application/pdf" }));
  } catch (error) {
    trouble("read", error);
  }
});
at("paste").addEventListener("click", () => {
  at("paste-box").showModal();
  at("pasted").focus();
});
at("paste-cancel").addEventListener("click", () => at("paste-box").close());
at("paste-form").addEventListener("submit", () => {
  const text = at("pasted").value;
  at("pasted").value = "";
  shownAsPages(text);
});

// Whatever is dropped anywhere on the page is taken.
let within = 0;
const over = (is) => {
  at("veil").hidden = !is;
  document.body.classList.toggle("over", is);
};
const carries = (event) => [...(event.dataTransfer?.types ?? [])].some((kind) => kind === "Files" || kind === "text/plain");
addEventListener("dragenter", (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  within++;
  over(true);
});
addEventListener("dragover", (event) => carries(event) && event.preventDefault());
addEventListener("dragleave", () => {
  within = Math.max(0, within - 1);
  if (!within) over(false);
});
addEventListener("drop", (event) => {
  within = 0;
  over(false);
  if (!carries(event)) return;
  const files = [...event.dataTransfer.files];
  if (!files.length && event.target.closest?.("textarea, input")) return; // the field takes it
  event.preventDefault();
  if (files.length) return takeFirst(files);
  const text = event.dataTransfer.getData("text/plain");
  if (text) shownAsPages(text);
});
addEventListener("paste", (event) => {
  if (event.target.closest?.("textarea, input, select, dialog")) return;
  const files = [...event.clipboardData.files];
  const text = event.clipboardData.getData("text/plain");
  if (files.length) takeFirst(files);
  else if (text) shownAsPages(text);
  else return;
  event.preventDefault();
});

/** Asks a person for the token; null where they close the question. */
function question(wrong) {
  const box = at("ask");
  at("ask-says").textContent = wrong
    ? "The token was not the right one. It was set when the server was started."
    : "It was set when the server was started. It is kept until this tab is closed.";
  box.returnValue = "";
  box.showModal();
  return new Promise((answered) => {
    box.addEventListener("close", () => {
      const token = at("token").value.trim();
      at("token").value = "";
      answered(box.returnValue === "given" && token ? token : null);
    }, { once: true });
  });
}
askBy(question);

show(named());
try {
  const about = await json("v1/about");
  for (const view of [read, pages, open]) view.offer(about);
} catch (error) {
  trouble(now(), error);
}
