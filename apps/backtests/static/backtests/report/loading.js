// Getting the document: at once, or when the run has ended; and what is shown until then.

import { whole } from "./format.js";

/** Milliseconds between two questions how far a run is: more and more. */
const EVERY = [300, 500, 800, 1200, 2000];

const WORDS = {
  scheduled: "Waiting for its turn…",
  queued: "Waiting for a worker…",
  running: "Running…",
};

/** The document at an address; `waiting(state)` is called for as long as there is none. Throws an Error for people. */
export async function load(address, waiting) {
  for (let asked = 0; ; asked++) {
    let response;
    try {
      response = await fetch(address, { headers: { Accept: "application/json" } });
    } catch {
      throw new Error("The server cannot be reached.");
    }
    if (response.status !== 200 && response.status !== 202) {
      const problem = await response.json().catch(() => ({}));
      throw new Error(problem.detail ?? `The server answered ${response.status}.`);
    }
    const answer = await response.json();
    if (response.status === 200) return answer;
    waiting(answer);
    if (answer.ended)
      throw new Error(
        answer.error ? `${answer.error.type}: ${answer.error.message}` : `The run is ${answer.state}.`,
      );
    await new Promise((resolve) => setTimeout(resolve, EVERY[Math.min(asked, EVERY.length - 1)]));
  }
}

/** Says how far a run is, in an element that holds a `progress` and a `p`. */
export function progress(root, { state, progress: how }) {
  const bar = root.querySelector("progress");
  const words = root.querySelector("p");
  const known = state === "running" && how?.total;
  bar.hidden = false;
  if (known) [bar.max, bar.value] = [how.total, how.done];
  else bar.removeAttribute("value");
  words.textContent = known ? `${whole(how.done)} of ${whole(how.total)} bars` : (WORDS[state] ?? state);
}
