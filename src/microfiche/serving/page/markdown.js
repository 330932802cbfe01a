// Markdown as elements. It knows what Microfiche writes: blocks whose kind is known, with inline marks, lists, tables and
// fenced code. It makes elements from a short list and text nodes, loads nothing, and of HTML
// knows what such tables are made of.

import { el } from "./dom.js";

const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", shy: "\u00ad" };
const DEEPEST = 12; // marks within marks
const LONGEST = 20_000; // characters of one piece that are looked through for marks
const PUNCTUATION = /[!-/:-@[-`{-~]/;

function entity(name) {
  if (name in ENTITIES) return ENTITIES[name];
  const code = /^#x/i.test(name) ? parseInt(name.slice(2), 16) : /^#\d/.test(name) ? parseInt(name.slice(1), 10) : NaN;
  return code > 0 && code < 0x110000 && !(code >= 0xd800 && code < 0xe000) ? String.fromCodePoint(code) : null;
}

/** A link's address, if it leads to the web or to mail and nowhere else. */
function address(given) {
  try {
    const url = new URL(given);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

const SPANS = [
  [/\*\*(?=\S)([\s\S]*?\S)\*\*/y, "strong"],
  [/\*(?=[^\s*])([^*]*?[^\s*])\*(?!\*)/y, "em"],
  [/~~(?=\S)([\s\S]*?\S)~~/y, "del"],
  [/<(sup|sub|u|del)>([\s\S]*?)<\/\1>/iy, null],
];
const ANCHOR = /<a href="([^"<>]*)">([\s\S]*?)<\/a>/iy;
const CODE = /(`+)([\s\S]*?[^`])\1(?!`)/y;
const LINK = /(!?)\[((?:[^[\]\\]|\\.)*)\]\(\s*<?((?:[^\s()<>\\]|\\.)*)>?(?:\s+"[^"]*")?\s*\)/y;
const BREAK = /<br\s*\/?>/iy;
const ENTITIES_OF = /&(#x[0-9a-f]{1,6}|#\d{1,7}|[a-z]{2,5});/gi;
const ENTITY = /&(#x[0-9a-f]{1,6}|#\d{1,7}|[a-z]{2,5});/iy;

function matched(pattern, text, from) {
  pattern.lastIndex = from;
  return pattern.exec(text);
}

const link = (href, inside) =>
  href ? el("a", { href, rel: "noopener noreferrer nofollow", target: "_blank" }, ...inside) : el("span", {}, ...inside);

/** Inline Markdown as a list of nodes and strings. */
export function inline(text, depth = 0) {
  if (text.length > LONGEST) return [text];
  const nodes = [];
  let plain = "";
  const put = (node) => {
    if (plain) nodes.push(plain);
    plain = "";
    nodes.push(node);
  };
  let i = 0;
  scan: while (i < text.length) {
    const c = text[i];
    if (c === "\\" && i + 1 < text.length && PUNCTUATION.test(text[i + 1])) {
      plain += text[i + 1];
      i += 2;
      continue;
    }
    if (c === "&") {
      const found = matched(ENTITY, text, i);
      const character = found && entity(found[1]);
      if (character) {
        plain += character;
        i += found[0].length;
        continue;
      }
    }
    if (c === "`") {
      const found = matched(CODE, text, i);
      if (found) {
        put(el("code", {}, found[2]));
        i += found[0].length;
        continue;
      }
      const run = /`+/y;
      plain += matched(run, text, i)[0];
      i = run.lastIndex;
      continue;
    }
    if (c === "[" || c === "!") {
      const found = matched(LINK, text, i);
      if (found) {
        const [all, picture, words, to] = found;
        const href = picture ? null : address(to.replace(/\\(.)/g, "$1"));
        const inside = depth < DEEPEST ? inline(words, depth + 1) : [words];
        if (picture) put(el("span", { class: "fine" }, "[picture" + (words ? ": " : ""), ...inside, "]"));
        else put(link(href, inside));
        i += all.length;
        continue;
      }
    }
    if (c === "<") {
      const found = matched(BREAK, text, i);
      if (found) {
        put(el("br"));
        i += found[0].length;
        continue;
      }
      const anchor = depth < DEEPEST && matched(ANCHOR, text, i);
      if (anchor) {
        put(link(address(anchor[1].replace(ENTITIES_OF, (all, name) => entity(name) ?? all)), inline(anchor[2], depth + 1)));
        i += anchor[0].length;
        continue;
      }
    }
    if ("*~<".includes(c) && depth < DEEPEST) {
      for (const [pattern, tag] of SPANS) {
        const found = matched(pattern, text, i);
        if (!found) continue;
        const [name, words] = tag ? [tag, found[1]] : [found[1].toLowerCase(), found[2]];
        put(el(name, {}, ...inline(words, depth + 1)));
        i += found[0].length;
        continue scan;
      }
    }
    plain += c;
    i += 1;
  }
  if (plain) nodes.push(plain);
  return nodes;
}

const paragraph = (text) => el("p", {}, ...text.split("\n").flatMap((line, n) => (n ? [el("br"), ...inline(line)] : inline(line))));

/** A title; the page has headings of its own above, so that level 1 becomes h3. */
const title = (text, level) => el("h" + Math.min(6, Math.max(1, level || 2) + 2), {}, ...inline(text));

function list(text) {
  const root = el("div");
  const open = []; // [indent, list, last item]
  for (const line of text.split("\n")) {
    const found = /^(\s*)([-*+]|\d{1,9}[.)])[ \t]+(?:\[([ x])\][ \t]+)?(.*)$/.exec(line);
    if (!found) {
      const last = open.at(-1);
      if (last && line.trim()) last[2].append(" ", ...inline(line.trim()));
      else if (line.trim()) root.append(paragraph(line));
      continue;
    }
    const indent = found[1].length;
    while (open.length && indent < open.at(-1)[0]) open.pop();
    const numbered = /\d/.test(found[2]);
    if (!open.length || (indent > open.at(-1)[0] && open.length < DEEPEST)) {
      const made = el(numbered ? "ol" : "ul", numbered ? { start: parseInt(found[2], 10) } : {});
      (open.length ? open.at(-1)[2] : root).append(made);
      open.push([indent, made, null]);
    }
    const box = found[3] === undefined ? "" : found[3] === "x" ? "☑ " : "☐ ";
    open.at(-1)[2] = el("li", {}, box, ...inline(found[4]));
    open.at(-1)[1].append(open.at(-1)[2]);
  }
  return root.childElementCount === 1 ? root.firstElementChild : root;
}

const RULE = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const cells = (line) => line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/\\\|/g, "|"));

function piped(text) {
  const lines = text.split("\n").filter((line) => line.trim());
  const table = el("table");
  const headed = lines.length > 1 && RULE.test(lines[1].slice(0, 2000).trim());
  const head = headed && cells(lines[0]).some(Boolean) ? el("thead", {}, row(cells(lines[0]), "th")) : null;
  table.append(...(head ? [head] : []), el("tbody", {}, ...lines.slice(headed ? 2 : 0).map((line) => row(cells(line), "td"))));
  return table;
}

const row = (words, tag) => el("tr", {}, ...words.map((cell) => el(tag, tag === "th" && cell ? { scope: "col" } : {}, ...inline(cell))));

const TAG = /<(\/?)(table|thead|tbody|tfoot|tr|td|th)\b([^<>]*)>/gi;

/** A table in HTML, as it is written where cells span. Its rows and cells are rebuilt; of all else in it, the words stay. */
function html(text) {
  const table = el("table");
  let line = null;
  let cell = null;
  let words = "";
  let done = 0;
  const close = () => {
    if (cell) cell.append(...inline(words.trim()));
    else if (words.trim()) line = table.appendChild(el("tr", {}, el("td", {}, ...inline(words.trim())))); // none's words
    cell = null;
    words = "";
  };
  for (const { 0: all, 1: end, 2: name, 3: rest, index } of text.matchAll(TAG)) {
    words += text.slice(done, index);
    done = index + all.length;
    close();
    const tag = name.toLowerCase();
    if (end || tag === "tr") line = null;
    if (end || !["td", "th"].includes(tag)) {
      if (end && ["td", "th"].includes(tag)) line = table.lastElementChild;
      continue;
    }
    line ??= table.appendChild(el("tr"));
    const span = (side) => Math.min(1000, parseInt(new RegExp(side + "\\s*=\\s*[\"']?(\\d{1,6})", "i").exec(rest)?.[1] ?? 1, 10));
    const [across, down] = [span("colspan"), span("rowspan")];
    cell = line.appendChild(el(tag, { colspan: across > 1 && across, rowspan: down > 1 && down }));
  }
  words += text.slice(done);
  close();
  return table;
}

function table(text) {
  const grid = /^\s*<table/i.test(text) ? html(text) : piped(text);
  return el("div", { class: "wide" }, grid);
}

function fenced(text) {
  const lines = text.split("\n");
  const fence = /^\s{0,3}(`{3,}|~{3,})/.exec(lines[0])?.[1];
  if (fence) {
    lines.shift();
    while (lines.length && !lines.at(-1).trim()) lines.pop();
    if (lines.length && lines.at(-1).trim().startsWith(fence)) lines.pop();
  }
  return el("pre", {}, el("code", {}, lines.join("\n")));
}

/** What a block shows, by its kind. Pictures of figures are put in by the caller, who knows where they are. */
export function rendered(block) {
  const text = (block.text || "").replace(/\u00ad/g, "");
  switch (block.kind) {
    case "title": return title(text.replace(/\s+/g, " "), block.level);
    case "list": return list(text);
    case "table": return table(text);
    case "code": return fenced(text);
    case "caption": return el("p", { class: "caption" }, ...inline(text));
    case "formula": return el("p", { class: "formula" }, text);
    case "figure": return text ? el("p", { class: "caption" }, ...inline(text)) : el("span");
    default: return paragraph(text);
  }
}
