// The admin's dashboard: its part that changes is asked for again and again, and put in place of the old.

import { refresh } from "./refresh.js";

const place = document.getElementById("dashboard");
const words = document.getElementById("freshness");
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

async function load(signal) {
  const response = await fetch(place.dataset.source, { signal, headers: { Accept: "text/html" } });
  if (response.redirected || response.status === 403) return false;
  if (!response.ok) throw new Error(response.status);
  const text = await response.text();
  if (text !== shown) {
    const had = focused();
    const fragment = document.createElement("template");
    fragment.innerHTML = text;
    place.replaceChildren(fragment.content);
    shown = text;
    if (had) focus(had);
  }
  return true;
}

refresh({
  seconds: Number(place.dataset.every),
  load,
  tell(state, text) {
    place.dataset.state = state;
    words.textContent = text;
  },
});
