// Keeps a page up to date: asks every few seconds while somebody can see it, and says how old it is.

const time = (moment) => `${moment.toISOString().slice(11, 19)} UTC`;

/**
 * Calls `load` every `seconds`, and at once when the page is seen again. `place` is marked as "live" or "late",
 * and `words` say since when; they are read out where it is late, and not every few seconds.
 * `load` returns false where asking again is of no use.
 */
export function refresh({ seconds, load, place, words }) {
  let timer = 0;
  let asking = false;
  let fresh = new Date();

  function tell(state, text) {
    place.dataset.state = state;
    words.ariaLive = state === "late" ? "polite" : "off";
    if (words.textContent !== text) words.textContent = text;
  }

  async function look() {
    clearTimeout(timer);
    if (document.hidden || asking) return;
    asking = true;
    let go = true;
    try {
      go = (await load(AbortSignal.timeout(1000 * Math.max(10, 2 * seconds)))) !== false;
      if (go) {
        fresh = new Date();
        tell("live", `as of ${time(fresh)}`);
      } else tell("late", `as of ${time(fresh)}: sign in again`);
    } catch {
      const why = navigator.onLine ? "the server does not answer" : "you are offline";
      tell("late", `out of date since ${time(fresh)}: ${why}`);
    }
    asking = false;
    if (go) timer = setTimeout(look, 1000 * seconds);
  }

  document.addEventListener("visibilitychange", look);
  addEventListener("online", look);
  timer = setTimeout(look, 1000 * seconds);
}
