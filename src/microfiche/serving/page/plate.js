// A page under the grid of its tokens. One token is picked, by the cursor, by touch or by the arrow keys.

import { el } from "./dom.js";

const STEPS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };

/** A grid in an element; `told` is called with the number of the token that is picked, from 0. */
export class Plate {
  constructor(host, told) {
    this.host = host;
    this.told = told;
    this.page = null;
    this.image = null;
    this.at = 0;
    host.addEventListener("keydown", (event) => this.step(event));
  }

  /** Shows a page with the places of its tokens, and its picture as soon as `image` has come. */
  show(page, image) {
    this.page = page;
    this.image = image;
    const squares = page.places.map((place, n) => this.square(place, n));
    this.at = Math.min(this.at, Math.max(0, squares.length - 1));
    this.host.replaceChildren(image, ...squares);
    image.addEventListener("load", () => this.pick(this.at, false));
  }

  square([row, column], n) {
    const { width, height, squares: words } = this.page;
    const [left, top, side] = this.place(n);
    const made = el("button", { type: "button", class: "square", tabindex: "-1", "aria-pressed": "false", data: { row, column },
      "aria-label": "Token " + (n + 1) + ", row " + (row + 1) + ", column " + (column + 1) + (words?.[n] ? ": " + words[n].slice(0, 120) : "") });
    const share = (value, of) => (100 * value) / of + "%";
    made.style.left = share(left, width);
    made.style.top = share(top, height);
    made.style.width = share(Math.min(side, width - left), width);
    made.style.height = share(Math.min(side, height - top), height);
    made.addEventListener("pointerenter", (event) => event.pointerType !== "touch" && this.pick(n, false));
    made.addEventListener("click", () => this.pick(n, true));
    return made;
  }

  /** Left and top of a token's square on the page, and its side, in pixels of the page. */
  place(n) {
    const side = this.page.square ?? 64;
    const [row, column] = this.page.places[n];
    const [top, left] = this.page.origin ?? [0, 0];
    return [left + column * side, top + row * side, side];
  }

  pick(n, focus) {
    const buttons = [...this.host.querySelectorAll(".square")];
    if (!buttons[n]) return;
    this.at = n;
    buttons.forEach((button, index) => {
      button.setAttribute("aria-pressed", String(index === n));
      button.tabIndex = index === n ? 0 : -1;
    });
    if (focus) buttons[n].focus();
    this.told(n);
  }

  step(event) {
    const by = STEPS[event.key];
    const places = this.page?.places;
    if (!by || !places?.length) return;
    event.preventDefault();
    const [row, column] = places[this.at];
    const ahead = places.map((place, n) => [(place[0] - row) * by[0] + (place[1] - column) * by[1],
      Math.abs((place[0] - row) * by[1]) + Math.abs((place[1] - column) * by[0]), n]).filter(([far]) => far > 0);
    const next = ahead.sort((a, b) => a[1] - b[1] || a[0] - b[0])[0];
    if (next) this.pick(next[2], true);
  }

  /** Takes the page away. */
  clear() {
    this.page = this.image = null;
    this.host.replaceChildren();
  }
}
