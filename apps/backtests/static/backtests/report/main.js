// The page: gets its document and shows it.

import { comparison } from "./compare.js";
import { fill, element } from "./dom.js";
import { day } from "./format.js";
import { load, progress } from "./loading.js";
import { band, exits, groups, histogram, identity, months, tiles } from "./tables.js";
import { TradeList } from "./trades.js";
import { View } from "./view.js";

const root = document.getElementById("report");
const part = (name) => root.querySelector(`[data-part="${name}"]`);

function show(report) {
  document.title = `${report.title} · Chandlery`;
  document.querySelector("h1").textContent = report.title;
  const range = `${day(report.start)} to ${day(report.end)}`;
  const about = `${report.instruments.join(", ")} ${report.timeframe}, ${range}`;
  document.getElementById("about").textContent = about;
  for (const note of report.notes) part("notes").append(element("p", {}, note));
  tiles(part("tiles"), report);
  groups(part("metrics"), report.metrics);
  groups(part("settings"), report.settings);
  months(part("months"), report.months);
  histogram(part("histogram"), report.histogram);
  exits(part("exits"), report.exits);
  band(part("band"), report);
  identity(part("identity"), report);
  // The drawing measures its place, which is there only now.
  root.dataset.state = "ready";
  const view = new View(part("chart"), report, {
    feed: root.dataset.feed ?? "",
    bars: Number(root.dataset.bars) || 1000,
  });
  new TradeList(part("trades"), report, {
    more: root.dataset.trades
      ? (offset) => further(offset).finally(() => setTimeout(() => view.refresh()))
      : null,
    onGo: (row) => {
      part("chart").scrollIntoView({ block: "nearest" });
      view.go(row);
    },
  });
}

async function further(offset) {
  const response = await fetch(`${root.dataset.trades}?offset=${offset}`);
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return response.json();
}

async function begin() {
  const held = document.getElementById("report-data");
  try {
    const answer = held
      ? JSON.parse(held.textContent)
      : await load(root.dataset.source, (state) => progress(document.getElementById("waiting"), state));
    if (answer.kind === "comparison") {
      // The drawing measures its place, which is there only now.
      root.dataset.state = "ready";
      comparison(root, answer);
    } else show(answer);
  } catch (error) {
    root.dataset.state = "error";
    fill(document.getElementById("waiting"), element("p", { role: "alert" }, error.message));
    console.info(error);
  }
}

begin();
