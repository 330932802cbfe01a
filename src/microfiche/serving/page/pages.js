// The second view: a text, its picture under the grid of its tokens, and what is read back from those tokens.

import { ask, follow, forget, post, upload } from "./api.js";
import { at, count, download, el, percent, reveal, say, some, trouble } from "./dom.js";
import { Plate } from "./plate.js";

const WAIT = 350; // ms after the last key before the text is set
const DOT = 6; // px from one token to the next in the fields at the top
const MOST_DOTS = 6000;
const WIDE = /[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]/;

let densities = [];
let shown = null; // the answer that is shown
let page = 0; // which of its pages
let flaw = -1; // which error was gone to
let asked = null;
let timer = 0;
let begun = false;
const grid = new Plate(at("plate"), enlarge);

/** Takes the densities from /v1/about. The slider goes from large letters to tiny ones, a step for each size. */
export function offer(about) {
  const sizes = new Map();
  for (const one of about.densities ?? []) {
    const size = one.width * 1000 + one.height;
    sizes.set(size, [...(sizes.get(size) ?? []), one]);
  }
  densities = [...sizes.values()].sort(([a], [b]) => b.width * b.height - a.width * a.height);
  const slider = at("density");
  slider.max = Math.max(0, densities.length - 1);
  slider.disabled = densities.length < 2;
  slider.value = Math.max(0, densities.findIndex((same) => same.some((one) => one.name === about.default_density)));
  named();
  if (begun) set();
}

/** Called when the view is shown; the first time it shows the example. */
export async function enter() {
  if (begun) return;
  begun = true;
  if (!at("text").value) await example();
  else set();
}

/** Shows a text that came from elsewhere, as from a file that was dropped. */
export function put(text) {
  begun = true;
  at("text").value = text;
  set();
}

async function example() {
  const before = at("text").value;
  try {
    const text = await (await ask("page/example.txt")).text();
    if (at("text").value === before) put(text); // unless something was typed meanwhile
  } catch (error) {
    trouble("pages", error);
  }
}

/** The density that is chosen; of two of one size, that for Chinese, Japanese and Korean where the text has such. */
function density() {
  const same = densities[at("density").value] ?? [];
  const square = (one) => one.name !== one.width + "x" + one.height;
  return same.find((one) => square(one) === WIDE.test(at("text").value)) ?? same[0];
}

function named() {
  const one = density();
  if (!one) return;
  const words = one.width + " × " + one.height + " pixels";
  at("density-says").textContent = words;
  at("density").setAttribute("aria-valuetext", words + " for a letter");
}

function later() {
  clearTimeout(timer);
  timer = setTimeout(set, WAIT);
}

/** Has the text set and read back by the server. What was asked before is not waited for. */
async function set() {
  clearTimeout(timer);
  asked?.abort();
  const text = at("text").value;
  if (!text.trim()) return empty();
  if (!densities.length) return;
  const mine = (asked = new AbortController());
  at("steps").setAttribute("aria-busy", "true");
  try {
    const made = await post("v1/typeset", { text, density: density().name }, mine.signal);
    show(made);
  } catch (error) {
    if (error.name === "AbortError") return;
    trouble("pages", error);
  } finally {
    if (asked === mine) at("steps").setAttribute("aria-busy", "false");
  }
}

function empty() {
  shown = null;
  at("steps").setAttribute("aria-busy", "false");
  grid.clear();
  at("readback").replaceChildren();
  for (const id of ["text-sum", "sheet-sum", "back-sum", "loupe-says"]) at(id).textContent = "";
  at("pager").hidden = at("walk").hidden = true;
  at("fields").hidden = true;
  blank();
}

function blank() {
  const canvas = at("loupe");
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

function show(made) {
  shown = made;
  page = Math.min(page, made.pages.length - 1);
  page = Math.max(0, page);
  const times = made.ratio >= 10 ? made.ratio.toFixed(0) : made.ratio.toFixed(1);
  at("claim-line").replaceChildren(count(made.text_tokens) + " tokens of text fit into ",
    el("strong", {}, count(made.vision_tokens) + " tokens of picture"), ".");
  const wrong = made.errors ?? made.pages.reduce((sum, one) => sum + one.errors.length, 0);
  const letters = made.characters;
  const back = wrong ? "all but " + count(wrong) + " of its " + count(letters) + " characters are read back right" : "every character is read back right";
  at("claim-more").textContent = made.ratio > 1.05
    ? "Counted in tokens, the picture is " + times + " times shorter than the text, and " + back + " from it."
    : "So short a text takes " + (made.ratio < 0.95 ? "more tokens as a picture than" : "as many tokens as a picture as it does") + " as text; " + back + " from it.";
  at("fields").hidden = false;
  fields();
  const left = made.undrawn?.length ?? 0;
  trouble("pages", left ? "Not on the page, as they cannot be drawn: " + made.undrawn.slice(0, 20).join(" ") + (left > 20 ? " …" : "") : null);
  at("text-sum").textContent = some(letters, "character") + ", " + some(made.text_tokens, "text token");
  say(at("claim-line").textContent + " " + at("claim-more").textContent);
  turn(page);
}

/** Draws what is shown as two fields of squares, one a token; the words come first, as the fields get the room they leave. */
function fields() {
  const { text_tokens: text, vision_tokens: vision } = shown;
  const per = 10 ** Math.max(0, Math.ceil(Math.log10(Math.max(text, vision) / MOST_DOTS)));
  const each = per > 1 ? "; a square stands for " + count(per) : "";
  at("dots-text-says").textContent = "as text: " + some(text, "token") + each;
  at("dots-vision-says").textContent = "as a picture: " + some(vision, "token") + each;
  at("dots-text").replaceChildren();
  dots(at("dots-vision"), Math.ceil(vision / per), 10);
  dots(at("dots-text"), Math.ceil(text / per), Math.floor((at("dots-text").clientWidth || 600) / DOT));
}

/** Draws a field of squares by CSS: whole rows, and a last one that is begun. */
function dots(field, squares, most) {
  const row = Math.max(1, Math.min(squares, most));
  const part = (across, down) => {
    const made = el("div");
    made.style.setProperty("--wide", across * DOT + "px");
    made.style.setProperty("--high", down * DOT + "px");
    return made;
  };
  field.replaceChildren(part(row, Math.floor(squares / row)), part(squares % row, squares % row ? 1 : 0));
}

/** Shows one page of those that were set. */
function turn(to) {
  page = to;
  const one = shown.pages[page];
  if (!one) return empty();
  const all = shown.pages_in_all ?? shown.pages.length;
  at("sheet-sum").textContent = one.width + " × " + one.height + " pixels, " + some(one.vision_tokens ?? one.places.length, "vision token");
  at("pager").hidden = all < 2;
  const beyond = all > shown.pages.length ? "; the first " + shown.pages.length + " are shown" : "";
  at("page-at").textContent = "Page " + (page + 1) + " of " + count(all) + beyond;
  at("page-before").disabled = page === 0;
  at("page-after").disabled = page >= shown.pages.length - 1;
  plate(one);
  readback(one);
}

function plate(one) {
  const image = el("img", { alt: "The text as a picture of " + one.width + " by " + one.height + " pixels" });
  grid.show(one, image);
  image.src = one.png;
}

/** Puts a token under the loupe. */
function enlarge(n) {
  const one = grid.page;
  const [left, top, side] = grid.place(n);
  const canvas = at("loupe");
  const pen = canvas.getContext("2d");
  pen.imageSmoothingEnabled = false;
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (grid.image.complete && grid.image.naturalWidth) pen.drawImage(grid.image, left, top, side, side, 0, 0, canvas.width, canvas.height);
  const words = one.squares?.[n];
  const letters = words === undefined ? null : [...words].length;
  at("loupe-says").replaceChildren(el("b", {}, "One token, enlarged"),
    (letters === null ? "" : some(letters, "character") + " are in this one: number " + (n + 1) + " of " + count(one.places.length) + ". ") +
    "It is " + side + " × " + side + " pixels of the page. Point at another.");
}

/** What was read back, each error marked and the truth said with it. Places count characters, not UTF-16 units. */
function readback(one) {
  const letters = [...one.read];
  const nodes = [];
  let done = 0;
  for (const [start, end, truth] of one.errors) {
    if (start < done) continue;
    nodes.push(letters.slice(done, start).join(""));
    const should = truth ? "should be “" + truth + "”" : "should not be there";
    nodes.push(el("mark", { title: should, tabindex: "-1" }, letters.slice(start, end).join("") || "‸", el("span", { class: "unseen" }, " (" + should + ") ")));
    done = end;
  }
  nodes.push(letters.slice(done).join(""));
  at("readback").replaceChildren(...nodes);
  const wrong = one.errors.length;
  at("back-sum").textContent = wrong
    ? some(wrong, "error") + " in " + some(one.characters ?? letters.length, "character") + ", marked; " + percent(one.precision) + " right"
    : "Every character right";
  at("walk").hidden = !wrong;
  flaw = -1;
  at("error-at").textContent = wrong ? some(wrong, "error") : "";
}

function walk(by) {
  const marks = [...at("readback").querySelectorAll("mark")];
  if (!marks.length) return;
  marks[flaw]?.classList.remove("on");
  flaw = (flaw + by + marks.length + (flaw < 0 && by < 0 ? 1 : 0)) % marks.length;
  marks[flaw].classList.add("on");
  reveal(at("readback"), marks[flaw]);
  const words = "Error " + (flaw + 1) + " of " + marks.length + ": “" + marks[flaw].firstChild.textContent + "” " + marks[flaw].title;
  at("error-at").textContent = (flaw + 1) + " of " + marks.length;
  say(words);
}

at("text").addEventListener("input", later);
at("density").addEventListener("input", () => {
  named();
  later();
});
at("text-example").addEventListener("click", example);
at("text-clear").addEventListener("click", () => {
  at("text").value = "";
  at("text").focus();
  set();
});
at("text-pack").addEventListener("click", async () => {
  const button = at("text-pack");
  button.disabled = true;
  let job = null;
  try {
    const form = new FormData();
    form.append("do", "pack");
    form.append("density", density().name);
    form.append("file", new File([at("text").value], "text.txt", { type: "text/plain" }));
    job = (await upload("v1/jobs", form, () => null)).id;
    const ended = await follow(job, () => null);
    if (ended.status !== "done") throw new Error(ended.error?.message ?? "The text could not be packed.");
    download("text.fiche", await (await ask("v1/jobs/" + encodeURIComponent(job) + "/fiche")).blob());
    trouble("pages", null);
    say("text.fiche is there; the view Open shows it.");
  } catch (error) {
    trouble("pages", error);
  } finally {
    if (job) forget(job);
    button.disabled = false;
  }
});
at("page-before").addEventListener("click", () => turn(page - 1));
at("page-after").addEventListener("click", () => turn(page + 1));
at("error-before").addEventListener("click", () => walk(-1));
at("error-after").addEventListener("click", () => walk(1));
addEventListener("resize", () => shown && fields());
