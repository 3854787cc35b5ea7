// The page of a sweep: gets its document again and again while it runs, and shows what there is.

import { element, fill } from "../report/dom.js";
import { groups } from "../report/tables.js";
import { notes, progress, swept } from "./about.js";
import { combinations } from "./combinations.js";
import { Explorer } from "./explorer.js";
import { overfit } from "./overfit.js";
import { Walk } from "./walk.js";

/** Milliseconds between two questions how far it is: more and more, until something has changed. */
const EVERY = [500, 800, 1200, 2000, 3000];

/** Failures in a row after which it is given up. */
const PATIENCE = 5;

const root = document.getElementById("report");
const part = (name) => root.querySelector(`[data-part="${name}"]`);

let explorer = null;
let walk = null;

function show(sweep) {
  document.title = `${sweep.title} · Chandlery`;
  notes(part("notes"), sweep);
  progress(part("progress"), sweep);
  swept(part("swept"), part("facts"), sweep);
  combinations(part("best"), sweep, sweep.best, { ranked: true });
  groups(part("settings"), sweep.settings);
  overfit(part("overfit"), sweep);
  // Drawings measure their places, which are there only now.
  root.dataset.state = "ready";
  root.dataset.sweep = sweep.state;
  root.dataset.ended = sweep.ended;
  explorer ??= new Explorer(part, sweep, {
    heatmap: root.dataset.heatmap,
    combinations: root.dataset.combinations,
  });
  explorer.refresh(sweep);
  if (sweep.walk && !walk) walk = new Walk(part, sweep);
}

/** The document and its tag. Throws an Error for people; one of a server that may do better has `again`. */
async function ask() {
  let response;
  try {
    response = await fetch(root.dataset.source, { headers: { Accept: "application/json" } });
  } catch {
    throw Object.assign(new Error("The server cannot be reached."), { again: true });
  }
  const failed = new Error(`The server answered ${response.status}.`);
  if (!response.ok) throw Object.assign(failed, { again: response.status >= 500 });
  return { tag: response.headers.get("ETag"), sweep: await response.json() };
}

async function begin() {
  let [asked, failed, known] = [0, 0, null];
  for (;;) {
    try {
      const { tag, sweep } = await ask();
      failed = 0;
      if (tag === null || tag !== known) {
        show(sweep);
        [known, asked] = [tag, 0];
      }
      if (sweep.ended) return;
    } catch (error) {
      if (known && error.again && ++failed <= PATIENCE) console.info(error.message);
      else return broken(error, known);
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY[Math.min(asked++, EVERY.length - 1)]));
  }
}

/** What was shown stays, with a word above it. */
function broken(error, known) {
  console.info(error);
  const said = element("p", { role: "alert" }, error.message);
  if (known) return part("notes").append(said);
  root.dataset.state = "error";
  return fill(document.getElementById("waiting"), said);
}

begin();
