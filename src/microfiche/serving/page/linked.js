// Two panes that show the same pieces, a picture with boxes and text: what the cursor or the keyboard is at in one is
// marked in the other and brought into sight. In each pane one piece is a tab stop, and the arrow keys lead on.

import { reveal } from "./dom.js";

const STEPS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

/** Links elements with the same data-piece in the panes; `told` is called with the piece that is marked, or null. */
export function linked(panes, told) {
  let marked = null;
  let heldBy = null; // the piece that has the focus, to which the mark returns

  const pieces = (pane) => [...pane.querySelectorAll("[data-piece]")];
  const same = (pane, piece) => pane.querySelector(`[data-piece="${CSS.escape(piece)}"]`);
  const pieceOf = (target) => target.closest?.("[data-piece]")?.dataset.piece ?? null;

  function mark(piece, from) {
    if (piece === marked) return;
    for (const pane of panes) {
      if (marked !== null) same(pane, marked)?.classList.remove("on");
      const found = piece === null ? null : same(pane, piece);
      found?.classList.add("on");
      if (found && pane !== from && !pane.hidden) reveal(pane, found);
    }
    marked = piece;
    told(piece);
  }

  function enter(pane, element) {
    for (const other of pieces(pane)) if (other.tabIndex === 0) other.tabIndex = -1;
    element.tabIndex = 0;
    element.focus({ preventScroll: true });
    reveal(pane, element);
  }

  for (const pane of panes) {
    pane.addEventListener("pointerover", (event) => {
      if (event.pointerType === "touch") return;
      const piece = pieceOf(event.target);
      if (piece !== null) mark(piece, pane);
    });
    pane.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && mark(heldBy, pane));
    pane.addEventListener("focusin", (event) => {
      heldBy = pieceOf(event.target);
      if (heldBy === null) return;
      for (const other of pieces(pane)) other.tabIndex = other.dataset.piece === heldBy ? 0 : -1;
      mark(heldBy, pane);
    });
    pane.addEventListener("focusout", () => (heldBy = null));
    pane.addEventListener("click", (event) => {
      const piece = event.target.closest("[data-piece]");
      if (piece && !event.target.closest("a") && getSelection().isCollapsed) enter(pane, piece);
    });
    pane.addEventListener("keydown", (event) => {
      const piece = event.target.closest("[data-piece]");
      if (!piece || event.target !== piece || event.altKey || event.ctrlKey || event.metaKey) return;
      const every = pieces(pane);
      const now = every.indexOf(piece);
      let next = null;
      if (event.key in STEPS) next = every[now + STEPS[event.key]];
      else if (event.key === "Home") next = every[0];
      else if (event.key === "End") next = every.at(-1);
      else if (event.key === "Enter" || event.key === " ") {
        const other = panes.find((one) => one !== pane && !one.hidden && same(one, piece.dataset.piece));
        event.preventDefault();
        if (other) enter(other, same(other, piece.dataset.piece));
        return;
      } else return;
      event.preventDefault();
      if (next) enter(pane, next);
    });
  }

  return {
    /** Makes the first piece of each pane its tab stop, after pieces were put in or taken out. */
    settle() {
      for (const pane of panes) {
        const every = pieces(pane);
        if (every.length && !every.some((one) => one.tabIndex === 0)) every[0].tabIndex = 0;
      }
    },
    /** Forgets what is marked. */
    clear() {
      marked = heldBy = null;
      told(null);
    },
  };
}
