// Runs side by side: their metrics, what differs in their settings, and their equity as growth of 1.

import { LineSeries } from "../../candles/vendor/lightweight-charts/lightweight-charts.standalone.production.mjs";
import { slotted } from "./axis.js";
import { drawing, ground } from "./chart.js";
import { element, fill, onScheme, styled } from "./dom.js";
import { day, metric } from "./format.js";

const PLACES = 1500;

/** Show a `comparison` document in an element that holds `.plot`, `.key`, `.metrics` and `.settings`. */
export function comparison(root, document) {
  const { runs } = document;
  curves(root, runs);
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
          { scope: "col", class: `number line-${at}` },
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
      values.map((value) => (value == null ? "–" : String(value))),
    ),
  );
  fill(
    root.querySelector(".settings"),
    settings.length
      ? element("table", {}, heads.cloneNode(true), element("tbody", {}, settings))
      : element("p", {}, "All settings are the same."),
  );
}

function line(name, cells, definition) {
  return element(
    "tr",
    {},
    element("th", { scope: "row", title: definition || null }, name),
    cells.map((value) => element("td", { class: "number" }, value)),
  );
}

function curves(root, runs) {
  const plot = root.querySelector(".plot");
  const chart = drawing(plot);
  const first = Math.min(...runs.map((run) => run.equity.ts[0]));
  const last = Math.max(...runs.map((run) => run.equity.ts.at(-1)));
  const step = Math.max(1000, Math.ceil((last - first) / PLACES / 1000) * 1000);
  const times = [];
  for (let ms = first; ms <= last + step; ms += step) times.push(Math.floor(ms / 1000));
  const made = runs.map((run) => {
    const series = chart.addSeries(LineSeries, {
      lineWidth: 2,
      priceLineVisible: false,
      priceFormat: { type: "price", precision: 4, minMove: 0.0001 },
    });
    const growth = { ts: run.equity.ts, value: run.equity.value.map((value) => value / run.cash) };
    series.setData(slotted(growth, times));
    return series;
  });
  onScheme(() => {
    chart.applyOptions(ground(plot));
    made.forEach((series, at) => series.applyOptions({ color: styled(plot, `--line-${at}`) }));
  });
  chart.timeScale().fitContent();
  fill(
    root.querySelector(".key"),
    runs.map((run, at) => element("li", { class: `line-${at}` }, run.title)),
  );
}
