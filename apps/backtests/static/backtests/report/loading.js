// Getting the document: at once, or when the run has ended; and what is shown until then.

import { whole } from "./format.js";

/** Milliseconds between two questions how far a run is: more and more. */
const EVERY = [300, 500, 800, 1200, 2000];

/** Failures in a row after which it is given up. */
const PATIENCE = 5;

const WORDS = {
  scheduled: "Waiting for its turn…",
  queued: "Waiting for a worker…",
  running: "Running…",
};

/** What is done in each phase; those that count what people know say how far they are. */
const PHASES = {
  fetching: (done, total) => `Fetching candles: ${done} of ${total} minutes`,
  loading: () => "Loading candles…",
  signals: () => "Working out the signals…",
  simulating: (done, total) => `${done} of ${total} bars`,
  certificate: () => "Testing that no signal looks ahead…",
  storing: () => "Storing the result…",
};

/**
 * The document at an address; `waiting(state)` is called for as long as there is none. A server that answered
 * once may fail some times. Throws an Error whose message is for people.
 */
export async function load(address, waiting) {
  let [asked, failed] = [0, 0];
  for (;;) {
    try {
      const { ready, answer } = await ask(address);
      if (ready) return answer;
      failed = 0;
      waiting(answer);
      if (answer.ended) throw new Error(ending(answer));
    } catch (error) {
      if (!(error instanceof Failure) || !asked || ++failed > PATIENCE) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY[Math.min(asked++, EVERY.length - 1)]));
  }
}

/** What may be otherwise the next time. */
class Failure extends Error {}

async function ask(address) {
  let response;
  try {
    response = await fetch(address, { headers: { Accept: "application/json" } });
  } catch {
    throw new Failure("The server cannot be reached.");
  }
  if (response.status >= 500) throw new Failure(`The server answered ${response.status}.`);
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.detail ?? `The server answered ${response.status}.`);
  return { ready: response.status === 200, answer };
}

function ending({ state, error }) {
  return error ? `${error.type}: ${error.message}` : `The run is ${state}.`;
}

/** Says how far a run is, in an element that holds a `progress` and a `p`. */
export function progress(root, { state, progress: how }) {
  const bar = root.querySelector("progress");
  const words = root.querySelector("p");
  const phase = PHASES[how?.phase];
  bar.hidden = false;
  if (how?.total > 1) [bar.max, bar.value] = [how.total, how.done];
  else bar.removeAttribute("value");
  words.textContent = phase ? phase(whole(how.done), whole(how.total)) : (WORDS[state] ?? state);
}
