// What a sweep tries, and how far it is.

import { element, fill } from "../report/dom.js";
import { NONE, whole } from "../report/format.js";

const STATES = {
  scheduled: "Waiting for its turn",
  queued: "Waiting for a worker",
  running: "Running",
  succeeded: "Finished",
  cancelled: "Cancelled",
  dead: "Failed",
};

export function notes(root, { notes: sentences, error }) {
  const why = error ? [`It came to nothing: ${error.type}: ${error.message}`] : [];
  fill(
    root,
    [...why, ...sentences].map((sentence) => element("p", {}, sentence)),
  );
}

/** How far it is: a bar while it goes on, and a sentence. */
export function progress(root, { state, ended, progress: how }) {
  const bar = root.querySelector("progress");
  [bar.max, bar.value] = [how.total || 1, how.done];
  bar.hidden = state === "succeeded";
  const failed = how.chunks_failed ? `, ${whole(how.chunks_failed)} failed` : "";
  const rest = state === "succeeded" && !ended ? " The best are being run in full." : "";
  const words =
    `${STATES[state] ?? state}: ${whole(how.done)} of ${whole(how.total)} combinations computed, ` +
    `${whole(how.chunks_done)} of ${whole(how.chunks)} chunks${failed}.${rest}`;
  const said = root.querySelector("p");
  if (said.textContent !== words) said.textContent = words;
}

/** The parameters with their values, and the facts. */
export function swept(root, facts, { swept: tried, fixed, facts: known }) {
  const row = (name, values, count) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, name),
      element("td", {}, values),
      element("td", { class: "number" }, count),
    );
  const heads = ["Parameter", "Values", "Count"].map((name, at) =>
    element("th", { scope: "col", class: at === 2 ? "number" : null }, name),
  );
  fill(
    root,
    element(
      "table",
      { class: "tried" },
      element("thead", {}, element("tr", {}, heads)),
      element(
        "tbody",
        {},
        tried.map(({ name, values, count }) => row(name, values, count === null ? "any" : whole(count))),
        Object.entries(fixed).map(([name, value]) => row(name, String(value), "fixed")),
      ),
    ),
  );
  fill(
    facts,
    element(
      "table",
      {},
      element(
        "tbody",
        {},
        known.map(({ name, value }) =>
          element(
            "tr",
            {},
            element("th", { scope: "row" }, name),
            element("td", {}, typeof value === "number" ? whole(value) : String(value ?? NONE)),
          ),
        ),
      ),
    ),
  );
}
