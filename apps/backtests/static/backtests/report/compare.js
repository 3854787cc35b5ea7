// Runs side by side: their metrics, what differs in their settings, and their equity as growth of 1.

import { LineSeries } from "../../candles/vendor/lightweight-charts/lightweight-charts.standalone.production.mjs";
import { slotted } from "./axis.js";
import { drawing, ground } from "./chart.js";
import { element, fill, onScheme, styled } from "./dom.js";
import { NONE, day, metric, ratio } from "./format.js";

const PLACES = 1500;

/** How many colours there are for runs. */
const COLOURS = 10;

/**
 * Show a `comparison` document in an element that holds `.plot`, `.key`, `.words`, `.metrics`, `.settings` and
 * `.correlation`.
 */
export function comparison(root, document) {
  const { runs } = document;
  curves(root, document);
  const heads = element(
    "thead",
    {},
    element(
      "tr",
      {},
      element("td"),
      runs.map((run, at) =>
        element(
          "th",
          { scope: "col", class: `number ${colour(at)}` },
          run.url ? element("a", { href: run.url }, run.title) : run.title,
        ),
      ),
    ),
  );
  const about = [
    ["Instruments", (run) => run.instruments.join(", ")],
    ["Timeframe", (run) => run.timeframe],
    ["From", (run) => day(run.start)],
    ["To", (run) => day(run.end)],
  ].map(([name, value]) =>
    line(
      name,
      runs.map((run) => value(run)),
    ),
  );
  const rows = document.metrics.map(({ name, label, unit, definition, values }) =>
    line(
      label,
      values.map((value) => metric(value, unit, name)),
      definition,
    ),
  );
  fill(root.querySelector(".metrics"), element("table", {}, heads, element("tbody", {}, about, rows)));
  const settings = document.settings.map(({ name, values }) =>
    line(
      name,
      values.map(written),
    ),
  );
  fill(
    root.querySelector(".settings"),
    settings.length
      ? element("table", {}, heads.cloneNode(true), element("tbody", {}, settings))
      : element("p", {}, "All settings are the same."),
  );
  const together = runs.map(({ title }, at) => line(title, document.correlation[at].map(correlated)));
  fill(
    root.querySelector(".correlation"),
    element("table", {}, heads.cloneNode(true), element("tbody", {}, together)),
  );
}

function colour(at) {
  return `line-${at % COLOURS}`;
}

function written(value) {
  if (value == null) return NONE;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function correlated(value) {
  return value == null ? NONE : ratio(value);
}

function line(name, cells, definition) {
  return element(
    "tr",
    {},
    element("th", { scope: "row", title: definition || null }, name),
    cells.map((value) => element("td", { class: "number" }, value)),
  );
}

function curves(root, { runs, equity }) {
  const plot = root.querySelector(".plot");
  fill(
    root.querySelector(".key"),
    runs.map((run, at) => element("li", { class: colour(at) }, run.title)),
  );
  const { ts, growth } = equity;
  root.querySelector(".words").textContent = ts.length
    ? `The time that all of them cover: ${day(ts[0])} to ${day(ts.at(-1))}.`
    : "There is no time that all of them cover.";
  if (!ts.length) {
    plot.hidden = true;
    return;
  }
  const chart = drawing(plot);
  const [first, last] = [ts[0], ts.at(-1)];
  const step = Math.max(1000, Math.ceil((last - first) / PLACES / 1000) * 1000);
  const times = [];
  for (let ms = first; ms <= last + step; ms += step) times.push(Math.floor(ms / 1000));
  const made = growth.map((value) => {
    const series = chart.addSeries(LineSeries, {
      lineWidth: 2,
      priceLineVisible: false,
      priceFormat: { type: "price", precision: 4, minMove: 0.0001 },
    });
    series.setData(slotted({ ts, value }, times));
    return series;
  });
  onScheme(() => {
    chart.applyOptions(ground(plot));
    made.forEach((series, at) => series.applyOptions({ color: styled(plot, `--${colour(at)}`) }));
  });
  chart.timeScale().fitContent();
}
