// A walk-forward: what each fold chose by its past, what came of it, and the equity of all of that in a row.

import { LineSeries } from "../../candles/vendor/lightweight-charts/lightweight-charts.standalone.production.mjs";
import { slotted } from "../report/axis.js";
import { drawing, ground } from "../report/chart.js";
import { element, fill, onScheme, styled } from "../report/dom.js";
import { NONE, direction, metric as written, moment, percent, ratio, whole } from "../report/format.js";
import { value } from "./combinations.js";

/** Places of the curve, and the minutes that may lie between two: moments that people name. */
const PLACES = 1500;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 720];

export class Walk {
  constructor(part, sweep) {
    part("walk").hidden = false;
    const { walk } = sweep;
    const metric = sweep.metrics.find(({ name }) => name === walk.metric);
    tiles(part("walked"), walk, metric);
    folds(part("folds"), sweep, metric);
    this.#curve(part("walk").querySelector(".plot"), walk.equity);
  }

  #curve(plot, { ts, value: values }) {
    const chart = drawing(plot);
    const [first, last] = [ts[0], ts.at(-1)];
    const minutes = (last - first) / PLACES / 60_000;
    const step = 60_000 * (STEPS.find((one) => one >= minutes) ?? 1440 * Math.ceil(minutes / 1440));
    const times = [];
    for (let ms = first; ms <= last + step; ms += step) times.push(Math.floor(ms / 1000));
    const series = chart.addSeries(LineSeries, { lineWidth: 2, priceLineVisible: false });
    series.setData(slotted({ ts, value: values }, times));
    onScheme(() => {
      chart.applyOptions(ground(plot));
      series.applyOptions({ color: styled(plot, "--accent") });
    });
    new ResizeObserver(() => chart.timeScale().fitContent()).observe(plot);
  }
}

function tiles(root, { decay, return_pct: gain, folds: all }, metric) {
  const mean = (found) => written(found, metric.unit, metric.name);
  const label = /^[A-Z]{2}/.test(metric.label) ? metric.label : metric.label.toLowerCase();
  const shown = [
    ["Return of all folds", percent(gain), direction(gain, "%")],
    [`Mean ${label} in sample`, mean(decay.inside)],
    [`Mean ${label} out of sample`, mean(decay.outside)],
    ["Out ÷ in sample (decay)", decay.ratio == null ? NONE : `${whole(100 * decay.ratio)} %`],
    ["Rank correlation", ratio(decay.correlation)],
    ["Folds", whole(all.length)],
  ];
  fill(
    root,
    element(
      "dl",
      { class: "tiles" },
      shown.map(([name, words, colour]) =>
        element("div", {}, element("dt", {}, name), element("dd", { class: colour ?? null }, words)),
      ),
    ),
    element(
      "p",
      { class: "words" },
      "Each fold chooses the best by its train window alone and is tested in the window after it. The means " +
        "are over folds in which both are known, and the decay is the one over the other: 100 % is none, 0 % is " +
        "nothing left. The rank correlation says whether the folds that looked better also did better. A dash " +
        "stands where a window is too short for the metric, or has no trades for it. The curve is the equity " +
        "of the test windows in a row, each begun with what the one before left.",
    ),
  );
}

function folds(root, { walk, swept }, metric) {
  const params = swept.map(({ name }) => name);
  const names = [
    "Chosen from",
    "to",
    "Tested to",
    ...params,
    `${metric.label} in sample`,
    "out of sample",
    "Out ÷ in",
    "Return",
  ];
  const heads = names.map((name, at) =>
    element("th", { scope: "col", class: at > 2 ? "number" : null }, name),
  );
  const cell = (words, colour = null) => element("td", { class: `number ${colour ?? ""}` }, words);
  const figure = (found) => cell(written(found, metric.unit, metric.name));
  const rows = walk.folds.map(({ train, test, params: chosen, inside, outside, return_pct: gain }) =>
    element(
      "tr",
      {},
      [train[0], train[1], test[1]].map((ms) => element("td", {}, moment(ms))),
      params.map((name) => cell(chosen ? value(chosen[name]) : NONE)),
      figure(inside),
      figure(outside),
      cell(inside > 0 && outside != null ? `${whole((100 * outside) / inside)} %` : NONE),
      cell(percent(gain), direction(gain, "%")),
    ),
  );
  fill(
    root,
    element("table", {}, element("thead", {}, element("tr", {}, heads)), element("tbody", {}, rows)),
  );
}
