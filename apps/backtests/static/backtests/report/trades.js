// The list of trades: sorted by any column, filtered, and a page of rows at a time.

import { element, fill } from "./dom.js";
import { direction, moment, money, percent, price, span, whole } from "./format.js";

const ROWS = 50;

const NUMBER = { class: "number" };
const NUMERIC = new Set(["length", "size", "entry_price", "exit_price", "pnl", "return_pct", "costs"]);

export class TradeList {
  /**
   * @param {HTMLElement} root An empty element.
   * @param report The document; its `trades` may hold fewer than there are.
   * @param options `onGo(row)`: a trade was chosen; `more(offset)`: a promise of further columns, or null.
   */
  constructor(root, report, { onGo, more }) {
    this.root = root;
    this.report = report;
    this.trades = report.trades;
    this.onGo = onGo;
    this.more = more;
    this.first = report.trades.side.length;
    this.page = 0;
    this.order = { name: "number", down: false };
    this.filters = { side: "", reason: "", outcome: "" };
    this.columns = this.#columns();
    this.#build();
    this.#sorted();
  }

  #columns() {
    const { trades, report } = this;
    const of = (name) => (row) => trades[name][row];
    const signed = (name, format) => ({
      value: of(name),
      cell: (row) =>
        element(
          "td",
          { class: `number ${direction(trades[name][row], "%") ?? ""}` },
          format(trades[name][row]),
        ),
    });
    const number = (name, format) => ({
      value: of(name),
      cell: (row) => element("td", NUMBER, format(trades[name][row])),
    });
    const text = (value) => ({ value, cell: (row) => element("td", {}, value(row)) });
    const time = (name) => ({ value: of(name), cell: (row) => element("td", {}, moment(trades[name][row])) });
    const length = (row) => trades.exit_time[row] - trades.entry_time[row];
    const costs = (row) => trades.commission[row] + trades.funding[row];
    return {
      number: { title: "#", value: (row) => row, cell: (row) => this.#link(row) },
      side: { title: "Side", ...text((row) => (trades.side[row] > 0 ? "long" : "short")) },
      ...(report.instruments.length > 1
        ? {
            instrument: { title: "Instrument", ...text((row) => report.instruments[trades.instrument[row]]) },
          }
        : {}),
      entry_time: { title: "Entered", ...time("entry_time") },
      exit_time: { title: "Left", ...time("exit_time") },
      length: { title: "Held", value: length, cell: (row) => element("td", NUMBER, span(length(row))) },
      size: { title: "Size", ...number("size", price) },
      entry_price: { title: "Entry price", ...number("entry_price", price) },
      exit_price: { title: "Exit price", ...number("exit_price", price) },
      pnl: { title: "Gain", ...signed("pnl", money) },
      return_pct: { title: "Return", ...signed("return_pct", percent) },
      costs: { title: "Costs", value: costs, cell: (row) => element("td", NUMBER, money(costs(row))) },
      reason: { title: "Left by", ...text((row) => trades.reasons[trades.reason[row]].replaceAll("_", " ")) },
    };
  }

  #link(row) {
    const label = `Show trade ${row + 1} on the chart`;
    return element(
      "td",
      {},
      element("button", { type: "button", class: "link", "aria-label": label }, whole(row + 1)),
    );
  }

  #build() {
    this.heads = Object.entries(this.columns).map(([name, { title }]) =>
      element(
        "th",
        { scope: "col", "data-name": name, class: NUMERIC.has(name) ? "number" : null },
        element("button", { type: "button", onclick: () => this.#sort(name) }, title),
      ),
    );
    this.body = element("tbody", { onclick: (event) => this.#go(event) });
    const choose = (title, name, entries) => {
      const options = [["", "all"], ...entries].map(([value, words]) => element("option", { value }, words));
      const select = element("select", {}, options);
      select.addEventListener("change", () => this.#filter(name, select.value));
      return element("label", {}, `${title} `, select);
    };
    const reasons = this.trades.reasons.map((reason, at) => [at, reason.replaceAll("_", " ")]);
    this.count = element("p", { role: "status" });
    this.back = element("button", { type: "button", onclick: () => this.#turn(-1) }, "Previous");
    this.next = element("button", { type: "button", onclick: () => this.#turn(1) }, "Next");
    this.rest = element("button", { type: "button", hidden: true, onclick: () => this.#load() });
    fill(
      this.root,
      element(
        "div",
        { class: "tools" },
        choose("Side", "side", [
          ["1", "long"],
          ["-1", "short"],
        ]),
        choose("Left by", "reason", reasons),
        choose("Outcome", "outcome", [
          ["1", "gain"],
          ["-1", "loss"],
        ]),
        element("span", { class: "pager" }, this.back, this.next),
      ),
      element(
        "div",
        { class: "wide rows", tabindex: "0", role: "group", "aria-label": "Trades" },
        element("table", {}, element("thead", {}, element("tr", {}, this.heads)), this.body),
      ),
      element("div", { class: "tools" }, this.count, this.rest),
    );
  }

  #filter(name, value) {
    this.filters[name] = value;
    this.page = 0;
    this.#sorted();
  }

  #sort(name) {
    this.order = { name, down: this.order.name === name && !this.order.down };
    this.page = 0;
    this.#sorted();
  }

  #sorted() {
    const { trades, filters } = this;
    const { name, down } = this.order;
    const rows = [];
    for (let row = 0; row < trades.side.length; row++) {
      if (filters.side && trades.side[row] !== Number(filters.side)) continue;
      if (filters.reason && trades.reason[row] !== Number(filters.reason)) continue;
      if (filters.outcome && Math.sign(trades.pnl[row]) !== Number(filters.outcome)) continue;
      rows.push(row);
    }
    const { value } = this.columns[name];
    const keys = trades.side.map((_, row) => value(row));
    const compare =
      typeof keys[0] === "string" ? (a, b) => keys[a].localeCompare(keys[b]) : (a, b) => keys[a] - keys[b];
    rows.sort(down ? (a, b) => compare(b, a) || a - b : (a, b) => compare(a, b) || a - b);
    this.rows = rows;
    for (const head of this.heads) {
      if (head.dataset.name === name) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    this.#draw();
  }

  #turn(by) {
    this.page += by;
    this.#draw();
    this.root.querySelector(".rows").scrollTop = 0;
  }

  #draw() {
    const [first, last] = [this.page * ROWS, Math.min((this.page + 1) * ROWS, this.rows.length)];
    const columns = Object.values(this.columns);
    const lines = this.rows.slice(first, last).map((row) => {
      const line = element(
        "tr",
        { "data-row": row },
        columns.map(({ cell }) => cell(row)),
      );
      if (row === this.chosen) line.setAttribute("aria-current", "true");
      return line;
    });
    this.body.replaceChildren(...lines);
    this.back.disabled = !this.page;
    this.next.disabled = last >= this.rows.length;
    const { total, offset } = this.trades;
    const held = offset + this.trades.side.length;
    const of =
      this.rows.length === this.trades.side.length ? "" : ` that fit, of ${whole(this.trades.side.length)}`;
    const range = this.rows.length
      ? `${whole(first + 1)} to ${whole(last)} of ${whole(this.rows.length)} trades${of}.`
      : "No trades.";
    this.count.textContent =
      held < total ? `${range} These are the first ${whole(held)} of ${whole(total)}.` : range;
    this.rest.hidden = held >= total || !this.more;
    this.rest.textContent = `Load the next ${whole(Math.min(total - held, this.first))}`;
  }

  #go(event) {
    const line = event.target.closest("tr[data-row]");
    if (!line || getSelection()?.toString()) return;
    this.body.querySelector("[aria-current]")?.removeAttribute("aria-current");
    line.setAttribute("aria-current", "true");
    this.chosen = Number(line.dataset.row);
    this.onGo(this.chosen);
  }

  async #load() {
    this.rest.disabled = true;
    try {
      const further = await this.more(this.trades.side.length);
      const places = further.reasons.map((reason) => {
        if (!this.trades.reasons.includes(reason)) this.trades.reasons.push(reason);
        return this.trades.reasons.indexOf(reason);
      });
      further.reason = further.reason.map((place) => places[place]);
      for (const [name, column] of Object.entries(this.trades)) {
        if (Array.isArray(column) && name !== "reasons")
          for (const value of further[name]) column.push(value);
      }
      this.#sorted();
    } catch (error) {
      this.count.textContent = `Further trades could not be loaded: ${error.message}.`;
    } finally {
      this.rest.disabled = false;
    }
  }
}
