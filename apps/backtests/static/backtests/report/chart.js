// The drawing: candles with trades, equity, and drawdown, one below the other on one axis of time.

import {
  BaselineSeries,
  CandlestickSeries,
  CrosshairMode,
  LineSeries,
  LineStyle,
  PriceScaleMode,
  createChart,
  createSeriesMarkers,
} from "../../candles/vendor/lightweight-charts/lightweight-charts.standalone.production.mjs";
import { barOf, placeOf, slotted, timeAt } from "./axis.js";
import { onScheme, styled } from "./dom.js";
import { decimals } from "./format.js";

const QUIET = { lastValueVisible: false, priceLineVisible: false };
const ROOM = 84;

/** The colours of a drawing, from the style sheet. */
export function ground(element) {
  const line = { color: styled(element, "--grid") };
  const label = { labelBackgroundColor: styled(element, "--label") };
  return {
    layout: {
      background: { color: styled(element, "--ground") },
      textColor: styled(element, "--text"),
      fontFamily: getComputedStyle(element).fontFamily,
      panes: { separatorColor: line.color, enableResize: false },
    },
    grid: { vertLines: line, horzLines: line },
    crosshair: { vertLine: label, horzLine: label },
    rightPriceScale: { borderColor: line.color },
    timeScale: { borderColor: line.color },
  };
}

/** A drawing as this site makes them. */
export function drawing(element) {
  return createChart(element, {
    autoSize: true,
    // Its logo would need a style inside the page, which the policy forbids: the page's foot names it.
    layout: { attributionLogo: false },
    crosshair: { mode: CrosshairMode.Normal },
    rightPriceScale: { minimumWidth: ROOM, scaleMargins: { top: 0.16, bottom: 0.08 } },
    timeScale: { timeVisible: true, secondsVisible: false, minBarSpacing: 0.05, rightOffset: 0 },
    localization: { locale: "en-GB", dateFormat: "yyyy-MM-dd" },
    // The page scrolls with the wheel; with Ctrl, or by two fingers, the drawing zooms.
    handleScroll: { mouseWheel: false, pressedMouseMove: true, vertTouchDrag: false },
    handleScale: { mouseWheel: false, pinch: true },
  });
}

export class Chart {
  /**
   * @param {HTMLElement} element Where to draw; it also takes the keys.
   * @param report The document.
   * @param options `onHover(bar or null, seconds or null)`, `onRange()`: what is seen has changed.
   */
  constructor(element, report, { onHover, onRange }) {
    this.element = element;
    this.report = report;
    this.chart = drawing(element);
    const add = (type, pane, options) => this.chart.addSeries(type, options, pane);
    this.candles = add(CandlestickSeries, 0, { borderVisible: false, priceLineVisible: false });
    this.path = add(LineSeries, 0, { ...QUIET, lineStyle: LineStyle.Dashed, lineWidth: 2 });
    this.path.applyOptions({ crosshairMarkerVisible: false, autoscaleInfoProvider: () => null });
    this.markers = createSeriesMarkers(this.candles, []);
    const whole = { priceFormat: { type: "price", precision: 2, minMove: 0.01 } };
    this.held = add(LineSeries, 1, { ...QUIET, ...whole, lineWidth: 1 });
    this.band = {};
    // On a narrow screen their names would hide the curve; the legend has them in the same colours.
    const named = element.clientWidth > 600;
    for (const name of ["pessimistic", "optimistic"]) {
      const level = { ...whole, priceLineVisible: false, lineWidth: 2, lineStyle: LineStyle.Dotted };
      this.band[name] = add(LineSeries, 1, { ...level, title: named ? name : "" });
    }
    this.equity = add(LineSeries, 1, { ...whole, priceLineVisible: false, lineWidth: 2 });
    this.drawdown = add(BaselineSeries, 2, {
      baseValue: { type: "price", price: 0 },
      priceLineVisible: false,
      lineWidth: 1,
      priceFormat: { type: "custom", minMove: 0.01, formatter: (value) => `${value.toFixed(2)} %` },
    });
    [4, 3, 2].forEach((factor, pane) => this.chart.panes()[pane].setStretchFactor(factor));
    this.times = [];
    this.chart.subscribeCrosshairMove(({ time }) => {
      onHover(time === undefined ? null : this.#bar(time), time ?? null);
    });
    this.chart.timeScale().subscribeVisibleLogicalRangeChange(onRange);
    element.addEventListener("keydown", (event) => this.#key(event));
    element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    onScheme(() => this.#paint());
  }

  /** Draw these bars (columns, `ts` in ms) in place of all others; the curves stand on them. */
  show(bars) {
    this.bars = bars;
    this.moved = null;
    this.times = bars.ts.map((ms) => ms / 1000);
    const places = decimals(bars.close.at(-1) ?? 1);
    this.candles.applyOptions({ priceFormat: { type: "price", precision: places, minMove: 10 ** -places } });
    this.markers.setMarkers([]);
    this.path.setData([]);
    this.candles.setData(this.times.map((time, at) => this.#bar(time, at)));
    const { equity, buy_hold: held, drawdown } = this.report;
    this.equity.setData(slotted(equity, this.times));
    this.held.setData(slotted(held, this.times));
    this.drawdown.setData(slotted(drawdown, this.times));
    for (const [name, series] of Object.entries(this.band)) {
      series.setData(slotted(this.#bound(name), this.times));
    }
  }

  /** What is seen, in seconds, with fractions of bars; beyond the bars it goes on evenly. */
  seen() {
    const range = this.#range();
    if (!range || !this.times.length) return null;
    return { from: timeAt(this.times, range.from), to: timeAt(this.times, range.to) };
  }

  /** Show what lies between two times in seconds. */
  look(from, to) {
    this.#move(placeOf(this.times, from), placeOf(this.times, to));
  }

  /** Show all bars that are drawn. */
  fit() {
    this.#move(-0.5, this.times.length - 0.5);
  }

  mark(markers) {
    this.markers.setMarkers(markers);
  }

  /** Draw a trade's way from its entry to its exit; nothing without one. */
  trace(trade) {
    if (!trade) return this.path.setData([]);
    const [first, last] = [trade.entry_time, trade.exit_time].map((ms) => barOf(this.times, ms / 1000));
    const points = [{ time: this.times[first], value: trade.entry_price }];
    if (last > first) points.push({ time: this.times[last], value: trade.exit_price });
    this.path.setData(points);
  }

  logarithmic(on) {
    const mode = on ? PriceScaleMode.Logarithmic : PriceScaleMode.Normal;
    for (const series of [this.candles, this.equity]) series.priceScale().applyOptions({ mode });
  }

  /** Where each part begins, in pixels from the top. */
  tops() {
    let top = 0;
    return this.chart.panes().map((pane) => {
      const here = top;
      top += pane.getHeight() + 1;
      return here;
    });
  }

  #bar(time, at = barOf(this.times, time)) {
    const { open, high, low, close } = this.bars;
    // A place without a candle.
    if (close[at] === undefined) return { time };
    return { time, open: open[at], high: high[at], low: low[at], close: close[at] };
  }

  /** What ambiguous bars can make of the end: a level over the last tenth. */
  #bound(name) {
    const worth = this.report.band?.[name].metrics.final_equity;
    const { start, end } = this.report;
    return worth == null ? null : { ts: [end - 0.1 * (end - start), end], value: [worth, worth] };
  }

  #paint() {
    const named = (name) => styled(this.element, name);
    const [up, down, accent, faint] = ["--up", "--down", "--accent", "--faint"].map(named);
    this.colours = { up, down, entry: accent };
    this.chart.applyOptions(ground(this.element));
    this.candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
    this.path.applyOptions({ color: accent });
    this.equity.applyOptions({ color: accent });
    this.held.applyOptions({ color: faint });
    this.band.pessimistic.applyOptions({ color: down });
    this.band.optimistic.applyOptions({ color: up });
    const fade = named("--down-fade");
    this.drawdown.applyOptions({
      bottomLineColor: down,
      bottomFillColor1: fade,
      bottomFillColor2: fade,
      topLineColor: down,
      topFillColor1: fade,
      topFillColor2: fade,
    });
  }

  /** The places that are seen, or will be when the drawing gets to it: it follows a frame later. */
  #range() {
    return this.moved ?? this.chart.timeScale().getVisibleLogicalRange();
  }

  #move(from, to) {
    const moved = (this.moved = { from, to });
    this.chart.timeScale().setVisibleLogicalRange(moved);
    const forget = () => {
      if (this.moved === moved) this.moved = null;
    };
    requestAnimationFrame(() => requestAnimationFrame(forget));
  }

  #zoom(factor, around = 0.5) {
    const range = this.#range();
    if (!range) return;
    const centre = range.from + around * (range.to - range.from);
    const width = Math.min(1.5 * this.times.length, Math.max(10, (range.to - range.from) * factor));
    this.#move(centre - around * width, centre + (1 - around) * width);
  }

  #wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const box = this.element.getBoundingClientRect();
    const around = (event.clientX - box.left) / Math.max(1, box.width - ROOM);
    this.#zoom(Math.exp(event.deltaY / 300), Math.min(1, Math.max(0, around)));
  }

  #key(event) {
    const shift = (share) => {
      const range = this.#range();
      const by = share * ((range?.to ?? 0) - (range?.from ?? 0));
      if (by) this.#move(range.from + by, range.to + by);
    };
    const actions = {
      ArrowLeft: () => shift(-0.15),
      ArrowRight: () => shift(0.15),
      "+": () => this.#zoom(0.7),
      "=": () => this.#zoom(0.7),
      "-": () => this.#zoom(1.4),
    };
    if (event.ctrlKey || event.metaKey || event.altKey || !actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }
}
