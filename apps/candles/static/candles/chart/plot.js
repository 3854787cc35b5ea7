// The drawing: candles and volume on a canvas, in the colours of the page's style sheet.

import {
  CandlestickSeries,
  CrosshairMode,
  HistogramSeries,
  createChart,
} from "../vendor/lightweight-charts/lightweight-charts.standalone.production.mjs";

/** With fewer bars than this left of the visible ones, more are asked for. */
const MARGIN = 60;

export class Plot {
  /**
   * @param {HTMLElement} element Where to draw; it also takes the keys.
   * @param options `priceScale`: digits after the point; `onHover(bar or null)`; `onLeft()`: more are wanted.
   */
  constructor(element, { priceScale, onHover, onLeft }) {
    this.element = element;
    this.onLeft = onLeft;
    this.chart = createChart(element, {
      autoSize: true,
      // Its logo would need a style inside the page, which the policy forbids: the page's foot names it.
      layout: { attributionLogo: false },
      crosshair: { mode: CrosshairMode.Normal },
      rightPriceScale: { scaleMargins: { top: 0.12, bottom: 0.26 } },
      timeScale: { timeVisible: true, secondsVisible: false, rightOffset: 4 },
      localization: { locale: "en-GB", dateFormat: "yyyy-MM-dd" },
    });
    this.candles = this.chart.addSeries(CandlestickSeries, {
      priceFormat: { type: "price", precision: priceScale, minMove: 10 ** -priceScale },
    });
    this.volume = this.chart.addSeries(HistogramSeries, {
      priceScaleId: "volume",
      priceFormat: { type: "volume" },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.volume.priceScale().applyOptions({ scaleMargins: { top: 0.8, bottom: 0 } });
    this.bars = new Map();
    this.chart.subscribeCrosshairMove((at) => onHover(this.bars.get(at.time) ?? null));
    this.chart.timeScale().subscribeVisibleLogicalRangeChange(() => this.askForMore());
    element.addEventListener("keydown", (event) => this.#key(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#paint());
    this.#paint();
  }

  /** Show these bars in place of all others. `daily`: whether days are the smallest that times tell apart. */
  show(bars, { daily, newest }) {
    this.bars = new Map(bars.map((bar) => [bar.time, bar]));
    this.candles.setData(bars);
    this.volume.setData(bars.map((bar) => this.#column(bar)));
    this.chart.applyOptions({ timeScale: { timeVisible: !daily } });
    if (newest) {
      this.chart.timeScale().resetTimeScale();
      this.chart.timeScale().scrollToRealTime();
    }
  }

  /** Put new bars behind, or in the place of the last. */
  update(bars) {
    for (const bar of bars) {
      this.bars.set(bar.time, bar);
      this.candles.update(bar);
      this.volume.update(this.#column(bar));
    }
  }

  /** Ask for older bars if few are left of the visible ones. */
  askForMore() {
    const visible = this.chart.timeScale().getVisibleLogicalRange();
    if (visible && this.bars.size && visible.from < MARGIN) this.onLeft();
  }

  #column({ time, volume, open, close }) {
    return { time, value: volume, color: close < open ? this.colours.downVolume : this.colours.upVolume };
  }

  #paint() {
    const style = getComputedStyle(this.element);
    const named = (name) => style.getPropertyValue(name).trim();
    this.colours = { upVolume: named("--up-volume"), downVolume: named("--down-volume") };
    const line = { color: named("--grid") };
    const label = { labelBackgroundColor: named("--label") };
    this.chart.applyOptions({
      layout: {
        background: { color: named("--ground") },
        textColor: named("--text"),
        fontFamily: style.fontFamily,
      },
      grid: { vertLines: line, horzLines: line },
      crosshair: { vertLine: label, horzLine: label },
      rightPriceScale: { borderColor: line.color },
      timeScale: { borderColor: line.color },
    });
    const [up, down] = [named("--up"), named("--down")];
    this.candles.applyOptions({
      upColor: up,
      downColor: down,
      wickUpColor: up,
      wickDownColor: down,
      borderVisible: false,
    });
    this.volume.setData([...this.bars.values()].map((bar) => this.#column(bar)));
  }

  #key(event) {
    const scale = this.chart.timeScale();
    const zoom = (factor) => {
      const spacing = this.chart.options().timeScale.barSpacing * factor;
      this.chart.applyOptions({ timeScale: { barSpacing: Math.min(60, Math.max(1, spacing)) } });
    };
    const actions = {
      ArrowLeft: () => scale.scrollToPosition(scale.scrollPosition() - 10, false),
      ArrowRight: () => scale.scrollToPosition(scale.scrollPosition() + 10, false),
      "+": () => zoom(1.25),
      "=": () => zoom(1.25),
      "-": () => zoom(0.8),
      End: () => scale.scrollToRealTime(),
    };
    if (event.ctrlKey || event.metaKey || event.altKey || !actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }
}
