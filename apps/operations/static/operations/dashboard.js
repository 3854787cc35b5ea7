// The admin's dashboard: its part that changes is asked for again and again, and put in place of the old.

import { refresh } from "./refresh.js";

const place = document.getElementById("dashboard");
const news = document.getElementById("news");
let shown = "";

/** What tells an element with the keyboard's focus again in the next rendering. */
function focused() {
  const at = document.activeElement;
  return at && place.contains(at) ? [at.tagName, at.getAttribute("href"), at.getAttribute("aria-label")] : null;
}

function focus([tag, href, label]) {
  const same = [...place.querySelectorAll(tag)].find(
    (one) => one.getAttribute("href") === href && one.getAttribute("aria-label") === label,
  );
  same?.focus({ preventScroll: true });
}

/** How many things need a person. */
function needs() {
  return place.querySelectorAll(".needs li").length;
}

/** Says so where their number is another than before: all the rest changes too often to be read out. */
function announce(before) {
  const count = needs();
  if (count === before) return;
  news.textContent = count === 1 ? "1 thing needs you" : `${count || "No"} things need you`;
}

async function load(signal) {
  const response = await fetch(place.dataset.source, { signal, headers: { Accept: "text/html" } });
  if (response.redirected || response.status === 403) return false;
  if (!response.ok) throw new Error(response.status);
  const text = await response.text();
  if (text !== shown) {
    const had = focused();
    const before = needs();
    const fragment = document.createElement("template");
    fragment.innerHTML = text;
    place.replaceChildren(fragment.content);
    shown = text;
    if (had) focus(had);
    announce(before);
  }
  return true;
}

refresh({ seconds: Number(place.dataset.every), load, place, words: document.getElementById("freshness") });
