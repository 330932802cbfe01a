// Fills the page from status.json. All that comes from clients is set as text, never as markup.
"use strict";

const at = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
let shown = ""; // what the tables are filled from

function prompt(tokens) {
  return tokens ? (tokens.uncached || 0) + (tokens.written || 0) + (tokens.written_hour || 0) + (tokens.read || 0) : null;
}

function count(value) {
  return value === null || value === undefined ? "" : whole.format(value);
}

function dollars(value) {
  return value === null || value === undefined ? "" : (value < 0 ? "−$" : "$") + Math.abs(value).toFixed(4);
}

function cell(row, text, kind) {
  const made = row.insertCell();
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function costs(row, one, priced) {
  cell(row, count(prompt(one.tokens)), "n");
  cell(row, count(one.tokens && one.tokens.read), "n");
  cell(row, count(one.tokens && one.tokens.output), "n");
  cell(row, priced ? dollars(one.dollars) : "", "n");
  cell(row, priced ? dollars(one.text_dollars) : "", "n");
  const saved = priced ? one.saved : null;
  cell(row, dollars(saved), "n" + (saved < 0 ? " loss" : saved > 0 ? " gain" : ""));
}

function sessions(status) {
  const body = document.createElement("tbody");
  for (const one of status.sessions) {
    const row = body.insertRow();
    cell(row, one.session);
    cell(row, one.client);
    cell(row, one.models.join(", "));
    cell(row, count(one.requests), "n");
    costs(row, one, one.priced.length > 0);
  }
  return body;
}

function requests(status) {
  const body = document.createElement("tbody");
  for (const one of status.requests) {
    const row = body.insertRow();
    cell(row, clock.format(new Date(one.time)));
    cell(row, one.asks);
    cell(row, one.model);
    const bad = one.status >= 400 || one.broke || !one.status;
    cell(row, one.left ? "client left" : one.broke ? one.status + ", broke off" : one.status, "n" + (bad ? " loss" : ""));
    cell(row, one.first_ms === null ? "" : Math.round(one.first_ms) + " ms", "n");
    costs(row, one, one.dollars !== null);
    const tier = one.tier ? "service tier " + one.tier : "";
    const missing = one.besides.length ? "without " + one.besides.join(", ") : "";
    const least = one.dollars !== null && (one.left || one.broke) ? "cut short: at least so much" : "";
    const why = cell(row, [one.note, least, tier, missing, ...one.reasons].filter(Boolean).join("; "));
    one.pages.forEach((page, number) => {
      const link = document.createElement("a");
      link.id = one.id + "-" + number;
      link.href = "pages/" + page + ".png";
      link.textContent = "page " + (number + 1);
      why.append(" ", link);
    });
  }
  return body;
}

function box([model, draws]) {
  const label = document.createElement("label");
  const made = document.createElement("input");
  made.type = "checkbox";
  made.checked = draws;
  made.id = "model-" + model;
  made.addEventListener("change", () => set({ draws: made.checked, model }));
  label.append(made, " " + model);
  return label;
}

function show(status) {
  const total = status.total;
  const lost = total.saved < 0;
  at("sum").textContent = whole.format(total.requests) + " requests, " + count(prompt(total.tokens)) + " prompt tokens, " +
    dollars(total.dollars) + "; as text " + dollars(total.text_dollars) +
    (total.priced.length ? " (prices of " + total.priced.join(", ") + ")" : "") +
    (total.unpriced ? "; answers without a known price: " + total.unpriced : "") +
    (total.inexact ? "; answers that were cut, and may have cost more: " + total.inexact : "") +
    (total.besides.length ? "; without " + total.besides.join(", ") : "");
  at("sum").className = lost ? "loss" : "";
  at("switch").checked = status.draws;
  at("switch").disabled = status.draw === "off";
  const kinds = status.kinds.length ? status.kinds : [status.draw];
  at("draw").replaceChildren(...kinds.map((kind) => new Option(kind, kind, false, kind === status.draw)));
  at("draw").disabled = status.kinds.length === 0;
  at("models").hidden = Object.keys(status.models).length === 0;
  at("models").replaceChildren(at("models").firstElementChild, ...Object.entries(status.models).map(box));
  at("trouble").hidden = !status.trouble;
  at("trouble").textContent = status.trouble ? status.log : "";
  at("where").textContent = "Log: " + status.log + ". " +
    Object.entries(status.vendors).map(([name, host]) => name + ": " + host).join(", ");
  const focused = document.activeElement.id; // a link, perhaps, whose row is made anew
  for (const [id, made] of [["sessions", sessions(status)], ["requests", requests(status)]]) {
    made.id = id;
    at(id).replaceWith(made);
  }
  if (focused && at(focused)) at(focused).focus({ preventScroll: true });
}

async function refresh() {
  try {
    const said = await (await fetch("status.json")).text();
    if (said !== shown) show(JSON.parse(said));
    shown = said;
  } catch (error) {
    at("trouble").hidden = false;
    at("trouble").textContent = "The proxy does not answer.";
    shown = "";
  }
}

async function set(wanted) {
  const body = JSON.stringify(wanted);
  shown = ""; // so that the box says how it is, also where it could not be switched
  await fetch("switch", { method: "POST", headers: { "content-type": "application/json" }, body }).catch(() => null);
  refresh();
}

at("switch").addEventListener("change", (event) => set({ draws: event.target.checked }));
at("draw").addEventListener("change", (event) => set({ draw: event.target.value }));
refresh();
setInterval(refresh, 2000);
