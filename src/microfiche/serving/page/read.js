// The first view: a file goes up, its pages come back as they are read, and then it can be copied and downloaded.

import { ask, follow, forget, json, upload } from "./api.js";
import { at, copy, count, download, duration, percent, say, size, some, trouble } from "./dom.js";
import { linked } from "./linked.js";
import { Sheets, saysOf, who } from "./sheets.js";

const touched = matchMedia("(hover: none)").matches;
const panes = [at("read-pictures"), at("read-prose")];
const links = linked(panes, (piece) => {
  const found = piece === null ? null : sheets?.block(piece);
  at("read-inspector").textContent = found ? capital(saysOf(...found)) : touched ? "Touch a piece of the picture or of the text."
    : "Point at a piece, or go to it with Tab and the arrow keys.";
});

let sheets = null; // what is shown now
let running = null; // the AbortController of what is being read
let job = null;
let whole = null; // the document, once it is there
let bytes = Infinity; // the largest file that the server takes
let heard = { at: 0, done: 0 };

const capital = (words) => words.charAt(0).toUpperCase() + words.slice(1);

/** Takes from /v1/about what this view can offer. */
export function offer(about) {
  bytes = about.limits?.upload_bytes ?? Infinity;
  const bounds = [Number.isFinite(bytes) ? "up to " + size(bytes) : "", about.limits?.pages ? count(about.limits.pages) + " pages" : ""];
  const said = bounds.filter(Boolean).join(" and ");
  at("bounds").textContent = (said ? capital(said) + ". " : "") + "You can also paste a picture with Ctrl+V.";
  for (const engine of about.engines ?? []) {
    const [name, words] = typeof engine === "string" ? [engine, ""] : [engine.name, engine.says ?? ""];
    at("engine").append(new Option(words && words !== name ? words + " (" + name + ")" : name, name));
  }
}

/** What is wrong with a file before it is sent, or "". */
export function unfit(file) {
  if (!file.size) return file.name + " is empty.";
  if (file.size > bytes) return file.name + " has " + size(file.size) + "; this server takes up to " + size(bytes) + ".";
  return "";
}

/** Sends a file, shows its pages as they come, and at last the document. */
export async function read(file) {
  trouble("read", unfit(file));
  if (unfit(file)) return;
  close();
  const mine = (running = new AbortController());
  begin(file.name);
  try {
    const form = new FormData();
    form.append("do", "read");
    if (at("engine").value) form.append("engine", at("engine").value);
    if (at("which").value.trim()) form.append("pages", at("which").value.trim());
    if (at("password").value) form.append("password", at("password").value);
    form.append("file", file, file.name);
    const sent = await upload("v1/jobs", form, (share) => state("Sending, " + percent(share, 0), share), mine.signal);
    job = sent.id;
    sheets = new Sheets(job, ...panes);
    state("Waiting");
    const ended = await follow(job, hear, mine.signal);
    if (ended.status === "cancelled") return void start();
    if (ended.status === "failed") throw new Error(ended.error?.message || ended.error || "The file could not be read.");
    await show(await json("v1/jobs/" + encodeURIComponent(job) + "/document", { signal: mine.signal }), mine.signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (sheets?.pages.size) at("read-running").hidden = true;
    else {
      start();
      at("choose").focus();
    }
    trouble("read", error);
  } finally {
    if (running === mine) running = null;
  }
}

function begin(name) {
  at("read-start").hidden = true;
  at("read-work").hidden = false;
  at("read-running").hidden = false;
  at("read-name").textContent = name;
  at("read-sum").textContent = "";
  at("read-cancel").hidden = false;
  enable(false);
  picked("rendered");
  state("Sending");
  heard = { at: performance.now(), done: 0 };
  say("Reading " + name);
  at("read-name").focus({ preventScroll: true });
}

function state(words, share) {
  at("read-state").textContent = words;
  if (share === undefined) at("read-progress").removeAttribute("value");
  else at("read-progress").value = share;
}

function hear(kind, value) {
  if (kind === "page") {
    sheets.put({ number: value.page, width: 0, height: 0, engine: "", status: "ok", reason: "", blocks: [], unsure: null, ...value });
    links.settle();
  }
  if (kind !== "progress") return;
  const { status, position, pages_done: done = 0, pages, seconds_left: left } = value;
  if (status === "queued") return state(position ? "Waiting; " + count(position) + " before this one" : "Waiting");
  if (!pages) return state("Opening the file");
  const words = "Page " + count(Math.min(done + 1, pages)) + " of " + count(pages) + (duration(left) ? ", " + duration(left) + " left" : "");
  state(words, done / pages);
  if (done !== heard.done && performance.now() - heard.at > 4000) {
    heard = { at: performance.now(), done };
    say(words);
  }
}

async function show(document, signal) {
  whole = document;
  for (const page of document.pages) sheets.put({ ...page, unsure: document.unsure?.[page.number] ?? null });
  links.settle();
  const sum = summary(document);
  at("read-sum").textContent = sum;
  at("read-running").hidden = true;
  at("read-source").textContent = document.markdown ?? (await (await ask("v1/jobs/" + job + "/markdown", { signal })).text());
  enable(true);
  say(document.name + ": " + sum);
}

/** A document in a line: how many pages, how they ended, how sure they are, who read them. */
function summary(document) {
  const pages = document.pages;
  const failed = pages.filter((page) => page.status === "failed").length;
  const partial = pages.filter((page) => page.status === "partial").length;
  const sure = pages.flatMap((page) => page.blocks).filter((block) => typeof block.confidence === "number" && block.text);
  const letters = sure.reduce((sum, block) => sum + block.text.length, 0);
  const mean = letters ? sure.reduce((sum, block) => sum + block.confidence * block.text.length, 0) / letters : null;
  const whole = pages.length - failed - partial;
  const ways = [whole ? count(whole) + " read whole" : "", partial ? count(partial) + " in part" : "", failed ? count(failed) + " could not be read" : ""];
  const ended = whole === pages.length ? "read whole" : ways.filter(Boolean).join(", ");
  const by = [...new Set(pages.map((page) => who(page.engine)).filter(Boolean))].join(", ");
  return [
    some(pages.length, "page") + ", " + ended + (by ? " " + by : ""),
    mean === null || mean > 0.9995 ? "" : "on average " + percent(mean, 1) + " sure",
    ...(document.notes ?? []),
  ].filter(Boolean).join("; ");
}

function enable(ready) {
  for (const id of ["read-copy", "read-md", "read-json"]) at(id).disabled = !ready;
  for (const choice of document.querySelectorAll('[name="as"]')) choice.disabled = !ready;
}

function picked(as) {
  document.querySelector(`[name="as"][value="${as}"]`).checked = true;
  at("read-prose").hidden = as === "source";
  at("read-source").hidden = as !== "source";
}

function shade() {
  at("read-panes").classList.toggle("shaded", at("read-shade").checked);
}

/** Ends what is being read or shown, here and on the server. */
export function close() {
  running?.abort();
  running = null;
  if (job) forget(job);
  job = whole = null;
  sheets?.end();
  sheets = null;
  links.clear();
  at("read-source").textContent = "";
}

function start() {
  close();
  at("read-work").hidden = true;
  at("read-start").hidden = false;
}

const stem = () => (whole.name.split(/[/\\]/).pop().replace(/\.[^.]{1,5}$/, "") || "document").slice(0, 100);

async function done(button, work, words) {
  const before = button.textContent;
  try {
    await work();
    say(words);
    button.textContent = words;
    setTimeout(() => (button.textContent = before), 1600);
  } catch (error) {
    trouble("read", error);
  }
}

at("read-copy").addEventListener("click", (event) => done(event.target, () => copy(at("read-source").textContent), "Copied"));
at("read-md").addEventListener("click", () => download(stem() + ".md", new Blob([at("read-source").textContent], { type: "text/markdown" })));
at("read-json").addEventListener("click", () => {
  const { markdown, unsure, ...rest } = whole;
  download(stem() + ".json", new Blob([JSON.stringify(rest, null, 1) + "\n"], { type: "application/json" }));
});
at("read-cancel").addEventListener("click", () => {
  start();
  say("Cancelled");
  at("choose").focus();
});
at("read-close").addEventListener("click", () => {
  start();
  trouble("read", null);
  at("choose").focus();
});
at("read-shade").addEventListener("change", shade);
for (const choice of document.querySelectorAll('[name="as"]')) choice.addEventListener("change", () => picked(choice.value));
shade();
links.clear();
