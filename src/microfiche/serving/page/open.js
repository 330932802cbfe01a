// The third view: what was kept, a .fiche from disk or a memory of the server's folder; its pages, what they say, search.

import { follow, forget, json, picture, upload } from "./api.js";
import { at, count, el, percent, say, some, trouble } from "./dom.js";
import { Plate } from "./plate.js";
import { unfit } from "./read.js";
import { statusOf } from "./sheets.js";

const AT_ONCE = 200; // entries of a list that are put in at once

let shelf = null; // what is open: a Fiche or a Memory below
let running = null;
let address = null; // of the picture that is shown
let listed = null; // whether memories were asked for; null before the server has said what there is
let shown = 0; // counts what was asked to be shown, so that only the last is

/** Takes from /v1/about whether there may be memories; a server with a token names them only by it. */
export function offer(about) {
  listed = !about.memories?.length && !about.token_needed;
  if (!at("view-open").hidden) enter();
}

/** Called when the view is shown; the first time it lists the memories of the server's folder. */
export async function enter() {
  if (listed !== false) return;
  listed = true;
  try {
    const memories = (await json("v1/memories")).memories;
    at("memories-none").hidden = memories.length > 0;
    at("memories").replaceChildren(...memories.map((one) => el("li", {},
      el("button", { type: "button", on: { click: () => openMemory(one.name) } }, el("b", {}, one.name),
        el("span", {}, [one.pages === undefined ? "" : some(one.pages, "page"), one.sources === undefined ? "" : some(one.sources, "text")].filter(Boolean).join(", "))))));
  } catch (error) {
    at("memories-none").textContent = error.message;
  }
}

class Fiche {
  constructor(job, document) {
    this.job = job;
    this.document = document;
    this.name = document.name;
    const pages = document.pages;
    const wrong = pages.filter((page) => page.right === false).length;
    const known = pages.some((page) => typeof page.right === "boolean");
    this.sum = [
      some(pages.length, "page") + ", " + some(document.vision_tokens, "vision token"),
      document.text_tokens ? "for " + some(document.text_tokens, "token") + " of text, " + document.ratio.toFixed(1) + " times as many" : "",
      !known ? "" : wrong ? some(wrong, "page is", "pages are") + " read with errors" : "every page is read back right",
      document.density ? "set at " + document.density.replace("x", " × ") : "",
    ].filter(Boolean).join("; ");
  }

  contents() {
    const lists = [];
    let next = 0;
    const sources = this.document.sources?.length ? this.document.sources : [{ name: "", pages: this.document.pages.length }];
    for (const source of sources) {
      const pages = this.document.pages.slice(next, (next += source.pages));
      lists.push({ title: source.name, items: pages.map((page) => this.item(page)) });
    }
    return lists;
  }

  item(page) {
    return { key: page.number, title: "Page " + page.number, note: page.read.slice(0, 160), state: this.state(page) };
  }

  state(page) {
    if (page.right === false) return page.errors?.length ? some(page.errors.length, "error") : "read with errors";
    return !page.status || page.status === "ok" ? "" : statusOf(page);
  }

  async page(key) {
    const page = this.document.pages.find((one) => one.number === key);
    const tokens = page.vision_tokens ? some(page.vision_tokens, "vision token") : "";
    const state = this.state(page) || (page.right === true ? "read back exactly" : "the text is not known, so errors are not either");
    return { title: "Page " + key, path: "v1/jobs/" + this.job + "/pages/" + key, text: page.read, errors: page.errors ?? [], grid: page,
      sum: [some(page.characters ?? [...page.read].length, "character"), tokens, state].filter(Boolean).join(", ") };
  }

  async search(query) {
    const wanted = query.toLocaleLowerCase();
    const hits = [];
    for (const page of this.document.pages) {
      const where = page.read.toLocaleLowerCase().indexOf(wanted);
      if (where < 0) continue;
      hits.push({ ...this.item(page), note: page.read.slice(Math.max(0, where - 60), where + wanted.length + 100) });
    }
    return hits;
  }

  end() {
    forget(this.job);
  }
}

class Memory {
  constructor(name, listing) {
    this.name = name;
    this.path = "v1/memories/" + encodeURIComponent(name);
    this.listing = listing;
    const pages = listing.sources.reduce((sum, source) => sum + source.pages.length, 0);
    this.sum = some(listing.sources.length, "text") + " on " + some(pages, "page") + "; it is only looked at, nothing in it changes";
  }

  contents() {
    return this.listing.sources.map((source) => ({
      title: source.source,
      folded: this.listing.sources.length > 1,
      items: source.pages.map((page) => ({ key: page.key, title: "Page " + page.number + " of " + page.of, note: "", state: this.faded(page), of: source.source })),
    }));
  }

  faded(page) {
    if (page.level === 0) return "faded away; the text is kept";
    return page.level && page.width && page.level < page.width ? "faded to " + page.level + " of " + page.width + " pixels" : "";
  }

  async page(key) {
    for (const source of this.listing.sources) {
      const page = source.pages.find((one) => one.key === key);
      if (!page) continue;
      const { text } = await json(this.path + "/pages/" + encodeURIComponent(key) + "/text");
      return { title: source.source + ", page " + page.number, path: page.level === 0 ? null : this.path + "/pages/" + encodeURIComponent(key),
        text, errors: [], sum: [some([...text].length, "character"), this.faded(page)].filter(Boolean).join(", ") };
    }
    throw new Error("There is no such page.");
  }

  async search(query) {
    const { hits } = await json(this.path + "/search?limit=50&q=" + encodeURIComponent(query));
    return hits.map((hit) => ({ key: hit.key, title: hit.source + ", page " + hit.page + (hit.line ? ", line " + hit.line : ""), note: hit.text, state: "", passage: hit.text }));
  }

  end() {}
}

/** Sends a .fiche file, which the server reads back, and opens it. */
export async function openFiche(file) {
  trouble("open", unfit(file));
  if (unfit(file)) return;
  close();
  const mine = (running = new AbortController());
  begin(file.name);
  let job = null;
  try {
    const form = new FormData();
    form.append("do", "open");
    form.append("file", file, file.name);
    const sent = await upload("v1/jobs", form, (share) => state("Sending, " + percent(share, 0), share), mine.signal);
    job = sent.id;
    state("Reading its tokens");
    const ended = await follow(job, (kind, value) => kind === "progress" && value.pages &&
      state("Page " + count(value.pages_done) + " of " + count(value.pages), value.pages_done / value.pages), mine.signal);
    if (ended.status !== "done") throw new Error(ended.error?.message || ended.error || "The file could not be opened.");
    show(new Fiche(job, await json("v1/jobs/" + encodeURIComponent(job) + "/document", { signal: mine.signal })));
  } catch (error) {
    if (job) forget(job);
    if (error.name === "AbortError") return;
    start();
    trouble("open", error);
    at("open-choose").focus();
  }
}

async function openMemory(name) {
  trouble("open", null);
  close();
  begin(name);
  state("Opening");
  try {
    show(new Memory(name, await json("v1/memories/" + encodeURIComponent(name))));
  } catch (error) {
    start();
    trouble("open", error);
  }
}

function begin(name) {
  at("open-start").hidden = true;
  at("open-work").hidden = false;
  at("open-running").hidden = false;
  at("browse").hidden = at("seek").hidden = true;
  at("open-name").textContent = name;
  at("open-sum").textContent = "";
  at("query").value = "";
  state("Sending");
  say("Opening " + name);
  at("open-name").focus({ preventScroll: true });
}

function state(words, share) {
  at("open-state").textContent = words;
  if (share === undefined) at("open-progress").removeAttribute("value");
  else at("open-progress").value = share;
}

function show(opened) {
  running = null;
  shelf = opened;
  at("open-name").textContent = opened.name;
  at("open-sum").textContent = opened.sum;
  at("open-running").hidden = true;
  at("browse").hidden = at("seek").hidden = false;
  say(opened.name + ": " + opened.sum);
  list(opened.contents());
}

/** Fills the list of pages. Long lists grow by a button; lists that are folded are filled when they are unfolded. */
function list(groups, empty = "There are no pages.") {
  const parts = groups.map(({ title, items, folded }) => {
    const inner = el("ul");
    if (!folded) grow(inner, items, 0);
    if (!title) return inner;
    if (!folded) return el("section", {}, el("h2", {}, title), inner);
    const fold = el("details", {}, el("summary", {}, title, el("small", {}, some(items.length, "page"))), inner);
    fold.addEventListener("toggle", () => fold.open && !inner.childElementCount && grow(inner, items, 0));
    return fold;
  });
  at("contents").replaceChildren(...(parts.length ? parts : [el("p", { class: "fine" }, empty)]));
  at("one").replaceChildren();
  const first = groups.find(({ items, folded }) => items.length && !folded);
  if (first) look(first.items[0]);
  else if (groups.length) at("one").replaceChildren(el("p", { class: "fine" }, "Choose a text and a page of it, or search."));
}

function grow(inner, items, from) {
  inner.append(...items.slice(from, from + AT_ONCE).map((item) => {
    const button = el("button", { type: "button", data: { key: item.key }, on: { click: () => look(item, true) } },
      el("b", {}, item.title), item.state ? el("small", { class: "state-partial" }, item.state) : "", item.note ? el("small", {}, item.note) : "");
    return el("li", {}, button);
  }));
  const left = items.length - from - AT_ONCE;
  if (left <= 0) return;
  const more = el("li", {}, el("button", { type: "button", on: { click: () => {
    more.remove();
    grow(inner, items, from + AT_ONCE);
    inner.querySelectorAll("button")[from + AT_ONCE]?.focus();
  } } }, "Show more; " + count(left) + " are left"));
  inner.append(more);
}

/** Shows a page: its picture, and beside it what it says. */
async function look(item, chosen = false) {
  const turn = ++shown;
  for (const button of at("contents").querySelectorAll("[data-key]")) {
    if (button.dataset.key === String(item.key)) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
  const one = at("one");
  try {
    const page = await shelf.page(item.key);
    if (turn !== shown) return;
    const image = page.path && el("img", { class: "negative", alt: "Picture of " + page.title });
    const query = at("query").value.trim();
    one.replaceChildren(el("header", {}, el("h2", {}, page.title), el("p", { class: "sum" }, page.sum)),
      image ? pictured(image, page.grid) : el("p", { class: "fine" }, "Its picture has faded away."), el("div", { class: "says" }, ...marked(page, query)));
    one.scrollTo({ top: 0 });
    one.querySelector("mark")?.scrollIntoView({ block: "nearest" });
    if (chosen) say(page.title + ": " + page.sum);
    if (!image) return;
    const found = await picture(page.path);
    if (turn !== shown) return URL.revokeObjectURL(found);
    if (address) URL.revokeObjectURL(address);
    image.src = address = found;
  } catch (error) {
    if (turn === shown) trouble("open", error);
  }
}

/** A page's picture, under the grid of its tokens where their places are known. */
function pictured(image, page) {
  if (!page?.places?.length) return image;
  const says = el("p", { class: "fine" });
  const host = el("div", { class: "plate", role: "group", "aria-label": "The page under the grid of its tokens; arrow keys move over it" });
  const grid = new Plate(host, (n) => {
    const [left, top, side] = grid.place(n);
    says.textContent = "Token " + count(n + 1) + " of " + count(page.places.length) + ": " + side + " × " + side +
      " pixels of the page, " + count(left) + " from the left and " + count(top) + " from the top.";
  });
  grid.show(page, image);
  return el("div", {}, host, says);
}

/** A page's text with errors marked, or else with what is searched for marked. */
function marked(page, query) {
  const letters = [...page.text];
  const nodes = [];
  let done = 0;
  const put = (start, end, properties, ...more) => {
    nodes.push(letters.slice(done, start).join(""), el("mark", properties, letters.slice(start, end).join("") || "‸", ...more));
    done = end;
  };
  for (const [start, end, truth] of page.errors) {
    const should = truth ? "should be “" + truth + "”" : "should not be there";
    if (start >= done) put(start, end, { title: should }, el("span", { class: "unseen" }, " (" + should + ") "));
  }
  if (query && !page.errors.length) {
    const lower = letters.map((letter) => letter.toLocaleLowerCase().slice(0, 1) || letter).join("");
    const words = [query, ...query.split(/\s+/)].map((word) => word.toLocaleLowerCase()).find((word) => word && lower.includes(word));
    const aligned = lower.length === letters.length; // not where characters take two UTF-16 units
    for (let i = words && aligned ? lower.indexOf(words) : -1; i >= 0; i = lower.indexOf(words, i + words.length)) {
      put(i, i + words.length, { class: "found" });
    }
  }
  nodes.push(letters.slice(done).join(""));
  return nodes;
}

async function search(query) {
  const asked = shelf;
  trouble("open", null);
  if (!query) return list(shelf.contents());
  try {
    const hits = await shelf.search(query);
    if (shelf !== asked) return;
    list([{ title: hits.length ? some(hits.length, "place") + " with “" + query + "”" : "", items: hits }].filter(({ items }) => items.length),
      "Nothing says “" + query + "”.");
    say(hits.length ? some(hits.length, "place") + " found" : "Nothing was found");
  } catch (error) {
    trouble("open", error);
  }
}

/** Ends what is open. */
export function close() {
  running?.abort();
  running = null;
  shelf?.end();
  shelf = null;
  shown++;
  if (address) URL.revokeObjectURL(address);
  address = null;
  at("contents").replaceChildren();
  at("one").replaceChildren();
}

function start() {
  close();
  at("open-work").hidden = true;
  at("open-start").hidden = false;
}

at("seek").addEventListener("submit", (event) => {
  event.preventDefault();
  search(at("query").value.trim());
});
at("query").addEventListener("search", () => !at("query").value && shelf && search("")); // the field's own cross
for (const id of ["open-close", "open-cancel"]) {
  at(id).addEventListener("click", () => {
    start();
    trouble("open", null);
    at("open-choose").focus();
  });
}
