// Marks in a text what was not read surely: lines are looked for by their letters and digits alone, since a text has been
// put together from its lines, with marks, hyphens and spaces of its own.

import { el, sureness } from "./dom.js";

const SIGN = /[\p{L}\p{N}]/u;

/** Marks lines ({text, confidence}) within an element; returns those that were not found in it. */
export function shaded(element, lines, doubt) {
  const doubtful = lines.filter((line) => doubt(line) > 0);
  if (!doubtful.length) return [];
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  const signs = []; // [letter or digit, text node, offset in it]
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    let offset = 0;
    for (const sign of node.data) {
      if (SIGN.test(sign)) signs.push([sign, node, offset, sign.length]);
      offset += sign.length;
    }
  }
  const letters = signs.map(([sign]) => sign);
  const found = [];
  let from = 0;
  const missed = doubtful.filter((line) => {
    const wanted = [...(line.text ?? "")].filter((sign) => SIGN.test(sign));
    if (!wanted.length) return true;
    let start = placeOf(letters, wanted, from);
    if (start < 0) start = placeOf(letters, wanted, 0);
    if (start < 0) return true;
    from = start + wanted.length;
    found.push([start, from, line]);
    return false;
  });
  const pieces = new Map(); // text node → [start, end, line]
  for (const [start, end, line] of found) {
    for (const [, node, offset, length] of signs.slice(start, end)) {
      const its = pieces.get(node) ?? pieces.set(node, []).get(node);
      const last = its.at(-1);
      if (last?.[2] === line) last[1] = offset + length;
      else its.push([offset, offset + length, line]);
    }
  }
  for (const [node, its] of pieces) wrap(node, its.sort((a, b) => a[0] - b[0]), doubt);
  return missed;
}

function placeOf(letters, wanted, from) {
  for (let at = from; at + wanted.length <= letters.length; at++) {
    let same = 0;
    while (same < wanted.length && letters[at + same] === wanted[same]) same++;
    if (same === wanted.length) return at;
  }
  return -1;
}

/** Puts stretches of a text node, which do not overlap, into marked elements. */
function wrap(node, stretches, doubt) {
  let done = 0;
  const parts = [];
  for (const [start, end, line] of stretches) {
    if (start < done) continue;
    const made = el("span", { class: "doubt", title: sureness(line.confidence) }, node.data.slice(start, end));
    made.style.setProperty("--unsure", doubt(line));
    parts.push(node.data.slice(done, start), made);
    done = end;
  }
  node.replaceWith(...parts, node.data.slice(done));
}
