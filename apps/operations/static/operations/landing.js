// The landing page: states, figures and prices are asked for again and again, and written where they stand.

import { refresh } from "./refresh.js";

const status = document.getElementById("status");
const TONES = { operational: "good", degraded: "late", down: "bad", up: "good" };

/** The element of which an attribute has exactly this value, if the page has it. */
function found(attribute, value) {
  return document.querySelector(`[${attribute}="${CSS.escape(value)}"]`);
}

function part(of, name) {
  return of.querySelector(`[data-part="${name}"]`);
}

function badge(element, word) {
  element.className = `badge now ${TONES[word] ?? ""}`;
  element.textContent = word;
}

function write(seen) {
  badge(document.querySelector("[data-overall]"), seen.status);
  for (const one of seen.states ?? []) {
    const item = found("data-state-of", one.name);
    if (!item) continue;
    badge(part(item, "state"), one.state);
    part(item, "detail").textContent = one.detail;
  }
  for (const [name, value] of Object.entries(seen.figures)) {
    const figure = found("data-figure", name);
    if (figure) figure.textContent = value || "–";
  }
  for (const one of seen.prices) {
    const card = found("data-quote", one.instrument);
    if (!card) continue;
    part(card, "price").textContent = one.price || "–";
    const change = part(card, "change");
    change.textContent = one.change;
    change.className = one.direction;
    const age = part(card, "age");
    age.textContent = one.age ? `${one.age} ago` : "no candles yet";
    age.className = one.stale ? "stale" : "";
  }
}

async function load(signal) {
  const response = await fetch(status.dataset.source, { signal, headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(response.status);
  write(await response.json());
  return true;
}

const words = document.getElementById("freshness");
refresh({ seconds: Number(status.dataset.every), load, place: status, words });
