// The drawing with all around it: legends, buttons, marks of trades, and finer candles when one looks closer.

import { barOf } from "./axis.js";
import { Candles } from "./candles.js";
import { Chart } from "./chart.js";
import { element, fill } from "./dom.js";
import { moment, money, percent, price, span, whole } from "./format.js";
import { chosen, marks } from "./markers.js";

/** Milliseconds that what is seen has to stay for. */
const PAUSE = 120;

export class View {
  /**
   * @param {HTMLElement} root Holds `.plot`, a `.legend` for each part, `.controls` and `.words`.
   * @param report The document.
   * @param {{feed: string, bars: number}} options Where finer candles come from, and how many at a time.
   */
  constructor(root, report, { feed, bars }) {
    this.root = root;
    this.report = report;
    this.instrument = 0;
    this.selected = null;
    this.source = new Candles(feed, report.step / 1000, bars);
    this.legends = [...root.querySelectorAll(".legend")];
    this.words = root.querySelector(".words");
    this.chart = new Chart(root.querySelector(".plot"), report, {
      onHover: (bar, time) => this.#legend(bar, time),
      onRange: () => this.#soon(),
    });
    this.#controls(root.querySelector(".controls"));
    new ResizeObserver(() => requestAnimationFrame(() => this.#place())).observe(root.querySelector(".plot"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#mark());
    this.#coarse();
    this.chart.fit();
    this.#legend(null, null);
  }

  /** Trades came in: mark them too. */
  refresh() {
    this.#mark();
  }

  /** Show one trade, a row of the columns, with some bars around it. */
  async go(row) {
    const { trades } = this.report;
    this.selected = row;
    if (trades.instrument[row] !== this.instrument) this.#choose(trades.instrument[row]);
    const [from, to] = [trades.entry_time[row] / 1000, trades.exit_time[row] / 1000];
    const coarse = this.report.prices[this.instrument];
    const wide = (coarse.width * this.report.step) / 1000;
    const narrow = Math.max(40 * (this.report.step / 1000), to - from);
    // Without finer candles some more of the coarse ones are needed to see anything.
    const around =
      this.source.suiting(3 * narrow, wide) || coarse.width === 1 ? narrow : Math.max(narrow, 25 * wide);
    await this.#show(from - around, to + around, true);
    this.root.dataset.trade = row;
  }

  #controls(place) {
    const several = this.report.instruments.length > 1;
    const options = this.report.instruments.map((name, at) => element("option", { value: at }, name));
    this.choice = element("select", { onchange: () => this.#choose(Number(this.choice.value)) }, options);
    const logarithmic = element("input", { type: "checkbox" });
    logarithmic.addEventListener("change", () => this.chart.logarithmic(logarithmic.checked));
    fill(
      place,
      several ? element("label", {}, "Instrument ", this.choice) : null,
      element("button", { type: "button", onclick: () => this.#all() }, "Whole range"),
      element("label", {}, logarithmic, " Logarithmic"),
    );
  }

  #choose(instrument) {
    this.#drop();
    this.instrument = instrument;
    this.choice.value = instrument;
    this.#coarse();
    this.chart.fit();
  }

  #all() {
    this.#drop();
    this.selected = null;
    this.#coarse();
    this.chart.fit();
  }

  /** Give up the candles that are under way: what comes of them is not to be drawn any more. */
  #drop() {
    this.source.abort();
    this.coming = null;
    this.note = "";
  }

  /** Draw the report's own bars. */
  #coarse() {
    const bars = this.report.prices[this.instrument];
    this.held = { bars, width: (bars.width * this.report.step) / 1000, from: -Infinity, to: Infinity };
    // Without candles the curves still need places to stand at.
    this.chart.show(bars.ts.length ? bars : { ...bars, ts: this.report.equity.ts });
    this.root.dataset.bars = bars.ts.length;
    this.#mark();
  }

  #soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#settle(), PAUSE);
  }

  /** What is seen has changed: mark its trades, and draw finer or coarser bars where these suit better. */
  async #settle() {
    const seen = this.chart.seen();
    if (!seen) return;
    this.#mark();
    await this.#show(seen.from, seen.to, false);
  }

  async #show(from, to, move) {
    const coarse = this.report.prices[this.instrument];
    const wide = (coarse.width * this.report.step) / 1000;
    const resolution = this.source.suiting(to - from, wide);
    const [first, last] = [this.report.start / 1000, this.report.end / 1000];
    if (resolution === null) {
      if (this.held.bars !== coarse) this.#coarse();
      else if (!move) return this.#tell("");
      this.chart.look(from, to);
      return this.#tell("");
    }
    const near = from >= this.held.from && to <= this.held.to;
    const inside = near || (Math.max(from, first) >= this.held.from && Math.min(to, last) <= this.held.to);
    if (this.held.width === resolution.width && inside) {
      if (move) this.chart.look(from, to);
      return this.#mark();
    }
    const [begin, end] = [
      Math.max(first, from - (to - from)),
      Math.min(last + resolution.width, to + (to - from)),
    ];
    const coming = this.coming;
    const covered = coming?.width === resolution.width && begin >= coming.from && end <= coming.to;
    if (begin >= end || covered) return undefined;
    return this.#load(resolution, begin, end, move ? { from, to } : null);
  }

  /** Draw finer bars from `begin` to `end`, and look at the same place as before or at `goal`. */
  async #load(resolution, begin, end, goal) {
    const coming = (this.coming = { width: resolution.width, from: begin, to: end });
    this.#tell("Loading candles…");
    try {
      const bars = await this.source.load(this.report.instruments[this.instrument], resolution, begin, end);
      if (this.coming !== coming) return undefined;
      if (!bars || bars.ts.length < 2) throw new Error("none are stored of this range");
      const seen = goal ?? this.chart.seen();
      this.held = { bars, ...coming };
      this.chart.show(bars);
      this.chart.look(seen.from, seen.to);
      this.root.dataset.bars = bars.ts.length;
      this.note = "";
      this.#mark();
    } catch (error) {
      // It was given up, or others were asked for in its place.
      if (this.coming !== coming) return undefined;
      if (goal) this.chart.look(goal.from, goal.to);
      this.#tell(`Finer candles could not be loaded: ${error.message}.`);
    } finally {
      if (this.coming === coming) this.coming = null;
    }
    return undefined;
  }

  #mark() {
    const seen = this.chart.seen();
    if (!seen) return;
    const { trades } = this.report;
    const found = chosen(trades, this.instrument, seen.from, seen.to);
    const selected = trades.instrument[this.selected] === this.instrument ? this.selected : null;
    if (selected !== null && !found.chosen.includes(selected)) found.chosen.push(selected);
    this.chart.mark(marks(trades, found.chosen, this.chart.times, this.chart.colours, selected));
    this.chart.trace(selected === null ? null : this.#trade(selected));
    this.root.dataset.marked = found.chosen.length;
    this.root.dataset.visible = found.visible;
    this.#tell(this.note ?? "");
  }

  #trade(row) {
    return Object.fromEntries(
      ["entry_time", "exit_time", "entry_price", "exit_price"].map((name) => [
        name,
        this.report.trades[name][row],
      ]),
    );
  }

  #tell(note) {
    this.note = note;
    const { marked, visible } = this.root.dataset;
    const [count, all] = [Number(marked), Number(visible)];
    const { side, total } = this.report.trades;
    const held = side.length < total ? `Of the ${whole(side.length)} trades that are loaded, ` : "";
    const which = count < all ? ", those with the greatest returns" : "";
    const those = `${whole(count)} of ${whole(all)} trades in view are marked${which}. `;
    const trades = all ? `${held}${those}` : held && `${held}none is in view. `;
    const words = `${trades}One candle is about ${span(1000 * this.held.width)
      .split(" ", 2)
      .join(" ")}. ${note}`;
    if (this.words.textContent !== words) this.words.textContent = words;
  }

  #legend(bar, time) {
    const { report } = this;
    const at = time === null ? Infinity : 1000 * (time + this.held.width) - 1;
    const value = (curve) => (curve?.ts.length ? curve.value[barOf(curve.ts, at)] : null);
    const { band } = report;
    const bound = (name) => {
      const worth = money(band[name].metrics.final_equity);
      return element("span", { class: name }, `${name} end ${worth}`);
    };
    fill(
      this.legends[0],
      element("strong", {}, report.instruments[this.instrument]),
      time === null ? null : element("span", {}, moment(1000 * time)),
      bar
        ? ["open", "high", "low", "close"].map((name) =>
            element("span", {}, `${name[0].toUpperCase()} ${price(bar[name])}`),
          )
        : null,
    );
    fill(
      this.legends[1],
      element("strong", { class: "equity" }, "Equity"),
      element("span", {}, money(value(report.equity))),
      element("span", { class: "held" }, `Buy and hold ${money(value(report.buy_hold))}`),
      band ? ["pessimistic", "optimistic"].map(bound) : null,
    );
    fill(
      this.legends[2],
      element("strong", { class: "below" }, "Drawdown"),
      element("span", {}, time === null ? "" : percent(value(report.drawdown))),
    );
  }

  #place() {
    this.chart.tops().forEach((top, at) => this.legends[at]?.style.setProperty("top", `${top + 4}px`));
  }
}
