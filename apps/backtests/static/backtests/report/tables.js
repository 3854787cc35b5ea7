// Figures as tables and small drawings.

import { drawn, element, fill } from "./dom.js";
import { direction, metric, money, percent, ratio, share, whole } from "./format.js";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** The metrics to be seen first. */
export function tiles(root, report) {
  const known = new Map(report.metrics.flatMap(({ items }) => items.map((item) => [item.name, item])));
  fill(
    root,
    report.tiles.map((name) => {
      const { label, value, unit, definition } = known.get(name);
      const coloured = /return|cagr|drawdown/.test(name) ? direction(value, unit) : null;
      return element(
        "div",
        { title: definition },
        element("dt", {}, label),
        element("dd", { class: coloured }, metric(value, unit, name)),
      );
    }),
  );
}

/** Headings with names and values below them. */
export function groups(root, sections) {
  fill(
    root,
    sections.map(({ group, items }) =>
      element(
        "table",
        {},
        element("caption", {}, group),
        element(
          "tbody",
          {},
          items.map(({ name, label, value, unit, definition }) =>
            element(
              "tr",
              {},
              element("th", { scope: "row", title: definition || null }, label ?? name.replaceAll("_", " ")),
              element("td", { class: "number" }, shown(value, unit, name)),
            ),
          ),
        ),
      ),
    ),
  );
}

function shown(value, unit, name) {
  if (unit !== undefined) return metric(value, unit, name);
  return value == null ? "–" : String(value);
}

/** Returns by month and year; the colour is as strong as the return. */
export function months(root, rows) {
  const values = rows.flatMap((row) => row.months).filter((value) => value != null);
  const most = Math.max(...values.map(Math.abs), 1e-9);
  const cell = (value, tag = "td") => {
    const made = element(
      tag,
      { class: `number heat ${direction(value, "%") ?? ""}` },
      value == null ? "" : percent(value).replace(" %", ""),
    );
    if (value)
      made.style.setProperty("--heat", `${Math.round(8 + 62 * Math.min(1, Math.abs(value) / most))}%`);
    return made;
  };
  fill(
    root,
    element(
      "table",
      { class: "months figures" },
      element("caption", {}, "Percent gained in each month, UTC"),
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          ["Year", ...MONTHS, "Total"].map((name) => element("th", { scope: "col" }, name)),
        ),
      ),
      element(
        "tbody",
        {},
        rows.map(({ year, months: of, total }) =>
          element(
            "tr",
            {},
            element("th", { scope: "row" }, String(year)),
            of.map((value) => cell(value)),
            cell(total),
          ),
        ),
      ),
    ),
  );
}

/** How often which returns came: bars, and the same as text for who does not see them. */
export function histogram(root, bins) {
  if (!bins) return fill(root, element("p", {}, "No trades."));
  const { edges, counts } = bins;
  const [width, height, foot] = [600, 170, 20];
  const most = Math.max(...counts);
  const bar = width / counts.length;
  const columns = counts.map((count, at) => {
    const tall = count ? Math.max(1, (count / most) * (height - foot)) : 0;
    const words = `${percent(edges[at])} to ${percent(edges[at + 1])}: ${whole(count)}`;
    const place = { x: at * bar + 0.5, y: height - foot - tall, width: Math.max(0.5, bar - 1), height: tall };
    return drawn("rect", { ...place, class: edges[at] >= 0 ? "up" : "down" }, drawn("title", {}, words));
  });
  const at = (value) => ((value - edges[0]) / (edges.at(-1) - edges[0])) * width;
  const label = (value, anchor) =>
    drawn("text", { x: at(value), y: height - 5, "text-anchor": anchor }, percent(value));
  const limits = `from ${percent(edges[0])} to ${percent(edges.at(-1))}`;
  const inside = edges[0] < 0 && edges.at(-1) > 0 && at(0) > 70 && at(0) < width - 70;
  return fill(
    root,
    drawn(
      "svg",
      {
        viewBox: `0 0 ${width} ${height}`,
        role: "img",
        "aria-label": `Trade returns ${limits}, at most ${whole(most)} in one bar`,
      },
      columns,
      drawn("line", { x1: 0, x2: width, y1: height - foot, y2: height - foot }),
      label(edges[0], "start"),
      inside ? label(0, "middle") : null,
      label(edges.at(-1), "end"),
    ),
  );
}

/** What each reason to leave came to. */
export function exits(root, rows) {
  if (!rows.length) return fill(root, element("p", {}, "No trades."));
  const heads = ["Left by", "Trades", "Won", "Gain"].map((name) => element("th", { scope: "col" }, name));
  return fill(
    root,
    element(
      "table",
      { class: "figures" },
      element("thead", {}, element("tr", {}, heads)),
      element(
        "tbody",
        {},
        rows.map(({ reason, count, pnl, win_rate_pct: won }) =>
          element(
            "tr",
            {},
            element("th", { scope: "row" }, reason.replaceAll("_", " ")),
            element("td", { class: "number" }, whole(count)),
            element("td", { class: "number" }, share(won)),
            element("td", { class: `number ${direction(pnl, "money") ?? ""}` }, money(pnl)),
          ),
        ),
      ),
    ),
  );
}

/** What the bars that do not tell what came first can make of the result. */
export function band(root, report) {
  const found = report.band;
  if (!found) return;
  const read = report.spec.execution?.same_bar;
  const names = [
    ["final_equity", "Final equity", money],
    ["return_pct", "Return", percent],
    ["max_drawdown_pct", "Max drawdown", percent],
    ["sharpe", "Sharpe", ratio],
    ["n_trades", "Trades", whole],
    ["win_rate_pct", "Win rate", share],
  ];
  const counted =
    found.ambiguous == null ? "Some bars do not tell" : `${whole(found.ambiguous)} bars do not tell`;
  fill(
    root,
    element("h2", {}, "Pessimistic to optimistic"),
    element(
      "p",
      {},
      `${counted} whether a stop, a target or an entry came first. `,
      "Deciding all of them for the worse, or for the better, gives the figures below, and the two levels at the ",
      `end of the drawing's equity.${read ? ` Everything else on this page is of the ${read} reading.` : ""}`,
    ),
    element(
      "table",
      { class: "figures" },
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          ["", "Pessimistic", "Optimistic"].map((name) => element("th", { scope: "col" }, name)),
        ),
      ),
      element(
        "tbody",
        {},
        names
          .filter(([name]) => name in found.pessimistic.metrics)
          .map(([name, label, format]) =>
            element(
              "tr",
              {},
              element("th", { scope: "row" }, label),
              ["pessimistic", "optimistic"].map((side) =>
                element("td", { class: "number" }, format(found[side].metrics[name])),
              ),
            ),
          ),
      ),
    ),
  );
}

/** What identifies the result, the strategy's text, and the look-ahead certificate. */
export function identity(root, report) {
  const names = {
    spec_hash: "Specification",
    data_fingerprint: "Candles",
    engine_version: "Engine version",
    fingerprint: "Result",
  };
  const { certificate, strategy } = report;
  const text =
    strategy.text ??
    (typeof report.spec.strategy === "object" ? JSON.stringify(report.spec.strategy, null, 2) : null);
  fill(
    root,
    element(
      "p",
      {},
      "The same specification, candles and engine version give the same result, byte for byte.",
    ),
    element(
      "dl",
      { class: "pairs" },
      Object.entries(names).map(([name, label]) => [
        element("dt", {}, label),
        element("dd", {}, element("code", {}, String(report.identity[name]))),
      ]),
    ),
    certificate
      ? element(
          "details",
          {},
          element("summary", {}, certified(certificate)),
          element("pre", {}, JSON.stringify(certificate, null, 2)),
        )
      : null,
    text ? element("details", {}, element("summary", {}, "Strategy"), element("pre", {}, text)) : null,
    element(
      "details",
      {},
      element("summary", {}, "Specification"),
      element("pre", {}, JSON.stringify(report.spec, null, 2)),
    ),
  );
}

/** A certificate in one sentence; of several instruments it is an object of certificates. */
function certified(certificate) {
  const every = "holds" in certificate ? [certificate] : Object.values(certificate);
  const prefixes = every.reduce((sum, one) => sum + one.cuts.length, 0);
  return every.every((one) => one.holds)
    ? `Look-ahead certificate: no signal looks ahead, tried on ${whole(prefixes)} prefixes`
    : "Look-ahead certificate: a signal LOOKS AHEAD";
}
