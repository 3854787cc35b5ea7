// Combinations as a table: parameters, metrics, and where their runs in full are.

import { element, fill } from "../report/dom.js";
import { NONE, direction, metric as written, share } from "../report/format.js";

/** Metrics whose sign says whether something was gained. */
const COLOURED = /return|cagr|drawdown|expectancy/;

const FULL = { dead: "failed", cancelled: "cancelled" };

/**
 * Show rows of combinations in the place of what there was. With `ranked` they are the best: with their ranks,
 * deflated Sharpe ratios and links.
 */
export function combinations(root, sweep, rows, { ranked = false } = {}) {
  if (!rows.length) {
    return fill(root, element("p", {}, ranked ? "Nothing has been computed yet." : "No combination."));
  }
  const params = sweep.swept.map(({ name }) => name);
  const known = new Map(sweep.metrics.map((one) => [one.name, one]));
  const deflated = ranked && rows.some((row) => row.deflated != null);
  const links = rows.some((row) => row.state);
  const head = (words, { number = false, title = null } = {}) =>
    element("th", { scope: "col", class: number ? "number" : null, title }, words);
  const heads = [
    ranked ? head("Rank", { number: true }) : null,
    params.map((name) => head(name, { number: true })),
    sweep.columns.map((name) => {
      const { label, definition } = known.get(name);
      return head(label, { number: true, title: definition });
    }),
    deflated ? head("Deflated Sharpe", { number: true }) : null,
    links ? head("In full") : null,
  ];
  const cell = (words, colour = null) => element("td", { class: `number ${colour ?? ""}` }, words);
  const line = (row) =>
    element(
      "tr",
      { "data-number": row.number },
      ranked ? element("th", { scope: "row", class: "number" }, String(row.rank)) : null,
      params.map((name) => cell(value(row.params[name]))),
      sweep.columns.map((name) => {
        const { unit } = known.get(name);
        const found = row.metrics[name];
        return cell(written(found, unit, name), COLOURED.test(name) ? direction(found, unit) : null);
      }),
      deflated ? cell(row.deflated == null ? NONE : share(100 * row.deflated)) : null,
      links ? element("td", {}, link(row)) : null,
    );
  return fill(
    root,
    element(
      "table",
      {},
      element("thead", {}, element("tr", {}, heads)),
      element("tbody", {}, rows.map(line)),
    ),
  );
}

/** A parameter's value; numbers that were drawn have more digits than anybody reads. */
export function value(given) {
  return typeof given === "number" ? String(Number(given.toPrecision(6))) : String(given ?? NONE);
}

function link({ url, state, number }) {
  if (url) return element("a", { href: url, "aria-label": `Report of combination ${number}` }, "report");
  return state ? (FULL[state] ?? "running…") : NONE;
}
