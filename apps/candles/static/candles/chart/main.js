// The chart page: what the address asks for is loaded, drawn, and kept up to date.

import { Feed } from "./feed.js";
import { Plot } from "./plot.js";
import { Search } from "./search.js";
import { Series } from "./series.js";

/** Milliseconds between the attempts to load older bars when one has failed. */
const PATIENCE = 3000;

class Page {
  constructor(main, feed) {
    this.main = main;
    this.feed = feed;
    this.title = document.title;
    this.links = [...document.querySelectorAll("nav a[data-timeframe]")];
    this.priceFormat = digits(main.dataset.priceScale);
    this.volumeFormat = new Intl.NumberFormat("en", { maximumFractionDigits: Number(main.dataset.volumeScale) });
    this.plot = new Plot(document.getElementById("plot"), {
      priceScale: Number(main.dataset.priceScale),
      onHover: (bar) => this.#legend(bar),
      onLeft: () => this.#older(),
    });
    document.getElementById("retry").addEventListener("click", () => this.open(this.chosen));
    for (const link of this.links) link.addEventListener("click", (event) => this.#follow(event, link));
    addEventListener("popstate", () => this.open(this.#asked()));
    document.addEventListener("visibilitychange", () => document.hidden || this.#refresh());
    setInterval(() => document.hidden || this.#refresh(), 1000 * Number(main.dataset.poll));
    this.open(this.#asked());
  }

  /** Load a timeframe, given by its link. */
  async open(link) {
    this.series?.abandon();
    this.chosen = link;
    for (const other of this.links) other.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
    const series = (this.series = new Series(this.feed, this.main.dataset.ticker, link.dataset.resolution));
    this.#state("loading", "Loading candles…");
    try {
      await series.load();
      if (this.series === series) this.#show(true);
    } catch (error) {
      if (this.series === series) this.#state("error", `The candles could not be loaded: ${error.message}.`);
    }
  }

  #asked() {
    const wanted = new URLSearchParams(location.search).get("timeframe");
    const named = this.links.find((link) => link.dataset.timeframe === wanted);
    return named ?? this.links.find((link) => link.dataset.timeframe === this.main.dataset.timeframe);
  }

  #follow(event, link) {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    if (link !== this.chosen) history.pushState(null, "", link.href);
    this.open(link);
  }

  async #older() {
    const { series } = this;
    if (this.main.dataset.state !== "ready" || Date.now() < (this.notBefore ?? 0)) return;
    try {
      if ((await series.older()) && this.series === series) this.#show(false);
    } catch (error) {
      if (this.series !== series) return;
      this.notBefore = Date.now() + PATIENCE;
      setTimeout(() => this.plot.askForMore(), PATIENCE + 1);
      this.#summary(`Older bars could not be loaded: ${error.message}.`);
    }
  }

  async #refresh() {
    const { series } = this;
    if (!["ready", "empty"].includes(this.main.dataset.state) || series.refreshing) return;
    series.refreshing = true;
    try {
      const fresh = await series.newer();
      if (this.series !== series) return;
      if (!fresh) this.#show(this.main.dataset.state === "empty");
      else this.plot.update(fresh);
      if (series.bars.length) this.#latest();
    } catch (error) {
      if (this.series === series) this.#summary(`Not up to date: ${error.message}.`);
    } finally {
      series.refreshing = false;
    }
  }

  #show(newest) {
    const { bars, resolution } = this.series;
    this.plot.show(bars, { daily: !Number(resolution), newest });
    if (!bars.length) return this.#state("empty", "Nothing is stored of this instrument yet.");
    this.#state("ready");
    this.#latest();
    this.plot.askForMore();
  }

  #latest() {
    const { bars, complete } = this.series;
    const last = bars.at(-1);
    const since = `${moment(bars[0].time)}${complete ? ", the first there is" : ""}`;
    this.#summary(`${bars.length.toLocaleString("en")} bars since ${since}.`);
    this.main.dataset.bars = bars.length;
    document.title = `${this.priceFormat.format(last.close)} ${this.title}`;
    this.#legend(this.hovered && bars.find((bar) => bar.time === this.hovered.time));
  }

  #legend(bar) {
    this.hovered = bar;
    const shown = bar ?? this.series.bars.at(-1);
    if (!shown) return;
    const change = shown.open ? (100 * (shown.close - shown.open)) / shown.open : 0;
    const entries = [
      ["Time", moment(shown.time)],
      ...["open", "high", "low", "close"].map((name) => [name[0].toUpperCase(), this.priceFormat.format(shown[name])]),
      ["V", this.volumeFormat.format(shown.volume)],
      ["Change", `${change < 0 ? "" : "+"}${change.toFixed(2)}%`],
    ];
    const legend = document.getElementById("legend");
    legend.dataset.direction = shown.close < shown.open ? "down" : "up";
    legend.replaceChildren(...entries.map(([name, value]) => entry(name, value)));
  }

  #state(state, words = "") {
    this.main.dataset.state = state;
    document.getElementById("words").textContent = words;
    document.getElementById("retry").hidden = state !== "error";
    document.getElementById("legend").hidden = state !== "ready";
    if (state !== "ready") {
      this.#summary("");
      this.main.dataset.bars = 0;
      document.title = this.title;
    }
  }

  #summary(words) {
    const summary = document.getElementById("summary");
    // Saying the same again would be read out again.
    if (summary.textContent !== words) summary.textContent = words;
  }
}

function digits(scale) {
  return new Intl.NumberFormat("en", { minimumFractionDigits: Number(scale), maximumFractionDigits: Number(scale) });
}

/** Seconds as people read them, in UTC. */
function moment(seconds) {
  return new Date(1000 * seconds).toISOString().slice(0, 16).replace("T", " ");
}

function entry(name, value) {
  const group = document.createElement("div");
  const [term, text] = [document.createElement("dt"), document.createElement("dd")];
  term.textContent = name;
  text.textContent = value;
  group.append(term, text);
  return group;
}

const { feed, charts } = document.body.dataset;
const source = new Feed(feed);

new Search(document.querySelector("search"), source, (name) => {
  const at = name.indexOf(":");
  const symbol = name.slice(at + 1).split("/").map(encodeURIComponent).join("/");
  return `${charts}${name.slice(0, at).toLowerCase()}/${symbol}${location.search}`;
});
const main = document.getElementById("chart");
if (main) new Page(main, source);
