// The pages of a document, twice: as pictures with a box for each piece, and as text. It is given pages in any order and
// fetches a picture only when its page comes near to what is seen.

import { picture } from "./api.js";
import { el, sureness } from "./dom.js";
import { shaded } from "./doubts.js";
import { rendered } from "./markdown.js";

const ASIDE = { header: "running head", footer: "running foot", hidden: "hidden text that a reader of the page does not see" };
const SHOWN = ["width", "height", "engine", "status", "reason", "blocks", "unsure"]; // what of a page is seen
const KEPT = 24; // pictures that are held at once

/** What a page's status is in words. */
export function statusOf(page) {
  if (page.status === "failed") return "could not be read" + (page.reason ? ": " + page.reason : "");
  if (page.status === "partial") return "read in part" + (page.reason ? ": " + page.reason : "");
  return "read whole";
}

const WHO = { text: "from the PDF's own text", rapid: "by RapidOCR", nano: "by nano", "nano-rapid": "by nano and RapidOCR", tesseract: "by Tesseract",
  "deepseek-ocr": "by DeepSeek-OCR", "deepseek-ocr-2": "by DeepSeek-OCR 2", "unlimited-ocr": "by Unlimited-OCR", endpoint: "by the endpoint" };

/** Who read something, in words. */
export const who = (engine) => (engine ? WHO[engine] ?? "by " + engine : "");

/** What a block is, in words. */
export function saysOf(block, page) {
  return [
    "page " + page.number,
    ASIDE[block.kind] ?? block.kind,
    block.confidence === null || block.confidence === undefined ? "" : sureness(block.confidence),
    who(block.engine || page.engine) && "read " + who(block.engine || page.engine),
  ].filter(Boolean).join(", ");
}

const doubt = ({ confidence }) => (confidence === null || confidence === undefined ? 0 : Math.min(1, (1 - confidence) * 2.2));
const middle = ([left, top, right, bottom]) => [(left + right) / 2, (top + bottom) / 2];
const holds = ([left, top, right, bottom], [x, y]) => left <= x && x <= right && top <= y && y <= bottom;

/** The unsure lines of a page that stand in a block; null where it is not known which of its lines are. */
const unsureIn = (block, page) => (page.unsure && block.box ? page.unsure.filter((line) => holds(block.box, middle(line.box))) : null);

/** The pages of one job, put into two panes. */
export class Sheets {
  constructor(job, pictures, prose) {
    this.job = "v1/jobs/" + encodeURIComponent(job);
    this.panes = [pictures, prose];
    this.pages = new Map(); // number → {page, leaves}
    this.held = new Map(); // image element → address of its picture
    this.ended = new AbortController();
    this.watch = new IntersectionObserver((seen) => {
      for (const one of seen) if (one.isIntersecting) this.fetch(one.target);
    }, { root: pictures, rootMargin: "800px" });
    this.figures = new IntersectionObserver((seen) => {
      for (const one of seen) if (one.isIntersecting) this.fetch(one.target);
    }, { root: prose, rootMargin: "800px" });
  }

  /** Shows a page; where it is there already and is another now, it is shown anew. */
  put(page) {
    const known = this.pages.get(page.number);
    if (known && SHOWN.every((key) => JSON.stringify(known.page[key]) === JSON.stringify(page[key]))) return;
    const leaves = [this.pictured(page), this.written(page)];
    if (known) known.leaves.forEach((leaf, n) => leaf.replaceWith(leaves[n]));
    else {
      const later = [...this.pages.keys()].filter((number) => number > page.number);
      const next = later.length ? this.pages.get(Math.min(...later)) : null;
      this.panes.forEach((pane, n) => pane.insertBefore(leaves[n], next ? next.leaves[n] : null));
    }
    this.pages.set(page.number, { page, leaves });
  }

  block(piece) {
    const [number, index] = piece.split("-").map(Number);
    const page = this.pages.get(number)?.page;
    return page ? [page.blocks[index], page] : null;
  }

  pictured(page) {
    const inner = el("div", { class: "picture", role: "group",
      "aria-label": "Page " + page.number + ", " + page.blocks.length + " pieces; arrow keys move between them" });
    if (!page.width || !page.height) { // a text that has no pages, or a page that cannot be opened
      inner.classList.add("missing");
      inner.append(el("p", {}, "There is no picture of this page."));
      return el("div", { class: "leaf" }, this.head(page, true), inner);
    }
    inner.style.aspectRatio = page.width + " / " + page.height;
    const image = el("img", { alt: "Picture of page " + page.number, data: { path: this.job + "/pages/" + page.number } });
    inner.append(image);
    this.watch.observe(image);
    page.blocks.forEach((block, index) => {
      if (!block.box) return;
      const [left, top, right, bottom] = block.box;
      const words = (block.text || "").replace(/\s+/g, " ").slice(0, 80);
      const box = el("button", { type: "button", tabindex: "-1", class: "box" + (block.kind in ASIDE ? " aside" : ""),
        data: { piece: page.number + "-" + index }, "aria-label": saysOf(block, page) + (words ? ": " + words : "") });
      const share = (value, of) => (100 * value) / of + "%";
      box.style.left = share(left, page.width);
      box.style.top = share(top, page.height);
      box.style.width = share(right - left, page.width);
      box.style.height = share(bottom - top, page.height);
      box.style.setProperty("--unsure", page.unsure ? 0 : doubt(block));
      inner.append(box);
    });
    inner.append(...(page.unsure ?? []).map((line) => this.doubted(line, page)));
    return el("div", { class: "leaf" }, this.head(page, true), inner);
  }

  /** The shade of a line on the picture. */
  doubted(line, page) {
    const [left, top, right, bottom] = line.box;
    const made = el("div", { class: "doubt", "aria-hidden": "true" });
    made.style.left = (100 * left) / page.width + "%";
    made.style.top = (100 * top) / page.height + "%";
    made.style.width = (100 * (right - left)) / page.width + "%";
    made.style.height = (100 * (bottom - top)) / page.height + "%";
    made.style.setProperty("--unsure", doubt(line));
    return made;
  }

  written(page) {
    const leaf = el("div", { class: "leaf" }, this.head(page, false));
    page.blocks.forEach((block, index) => {
      if (!block.text && !block.figure) return;
      const aside = block.kind in ASIDE;
      const made = el("div", { class: "block" + (aside ? " aside" : ""), tabindex: "-1", role: "group",
        "aria-label": saysOf(block, page), data: { piece: page.number + "-" + index } });
      if (aside) made.append(el("p", {}, ASIDE[block.kind] + ": " + block.text));
      else {
        if (block.figure) {
          const file = block.figure.split("/").pop();
          const image = el("img", { alt: block.kind + " of page " + page.number + (block.text ? ": " + block.text : ""),
            data: { path: this.job + "/figures/" + encodeURIComponent(decoded(file)) } });
          this.figures.observe(image);
          made.append(image);
        }
        if (block.text) made.append(rendered(block));
        else if (!block.figure) return;
      }
      const lines = unsureIn(block, page);
      const missed = lines ? shaded(made, lines, doubt) : [block];
      made.style.setProperty("--unsure", Math.max(0, ...missed.map(doubt)));
      leaf.append(made);
    });
    if (!page.blocks.length) leaf.append(el("p", { class: "fine" }, page.status === "ok" ? "There is no text on this page." : ""));
    return leaf;
  }

  head(page, brief) {
    const state = el("span", { class: "state-" + page.status }, statusOf(page));
    return el("p", { class: "leaf-head", "aria-hidden": brief ? "true" : undefined }, el("b", {}, "Page " + page.number),
      brief ? "" : state, brief ? "" : who(page.engine));
  }

  async fetch(image) {
    if (image.src || image.dataset.asked) return;
    image.dataset.asked = "yes";
    try {
      const address = await picture(image.dataset.path, this.ended.signal);
      image.src = address;
      this.held.set(image, address);
      this.thin();
    } catch (error) {
      if (error.name === "AbortError") return;
      image.alt = "The picture is not there: " + error.message;
      image.parentElement.classList.add("missing");
      if (!error.status) delete image.dataset.asked;
    }
  }

  /** Lets go of the pictures that were fetched first and are out of sight, beyond as many as are kept. */
  thin() {
    const around = this.panes[0].getBoundingClientRect();
    for (const [image, address] of this.held) {
      if (this.held.size <= KEPT) return;
      const where = image.getBoundingClientRect();
      if (image.isConnected && where.bottom > around.top - 1200 && where.top < around.bottom + 1200) continue;
      this.drop(image, address);
      if (!image.isConnected) continue;
      const watch = this.panes[0].contains(image) ? this.watch : this.figures;
      watch.unobserve(image);
      watch.observe(image);
    }
  }

  drop(image, address) {
    URL.revokeObjectURL(address);
    image.removeAttribute("src");
    delete image.dataset.asked;
    this.held.delete(image);
  }

  /** Takes everything out of the panes. */
  end() {
    this.ended.abort();
    this.watch.disconnect();
    this.figures.disconnect();
    for (const [image, address] of this.held) this.drop(image, address);
    for (const pane of this.panes) pane.replaceChildren();
  }
}

function decoded(name) {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
