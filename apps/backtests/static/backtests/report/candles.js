// Finer candles for what is seen: from this site's datafeed where the page is served, else none.

/** At most so many bars are seen at once, and three times as many are loaded. */
const SEEN = 1000;
const RESOLUTIONS = [
  ["1", 60],
  ["5", 300],
  ["15", 900],
  ["30", 1800],
  ["60", 3600],
  ["240", 14_400],
  ["1D", 86_400],
  ["1W", 604_800],
];

export class Candles {
  /**
   * @param {string} feed The address that `history` is put behind; empty where there is none.
   * @param {number} step Seconds of the narrowest bars to ask for.
   * @param {number} most Bars that one answer may hold.
   */
  constructor(feed, step, most) {
    this.feed = feed;
    this.step = step;
    this.seen = Math.min(SEEN, Math.floor(most / 3) - 1);
  }

  /** The resolution in which so many seconds are best seen, if it is finer than `width` seconds. */
  suiting(seconds, width) {
    if (!this.feed) return null;
    const fit = RESOLUTIONS.find(([, size]) => size >= this.step && seconds / size <= this.seen);
    return fit && fit[1] < width ? { name: fit[0], width: fit[1] } : null;
  }

  /** Give up what is being loaded: its promise fails. */
  abort() {
    this.controller?.abort();
  }

  /**
   * Bars that open in [from, to) seconds as columns like those of the report, `ts` in ms; null where none are.
   * What was being loaded is given up.
   */
  async load(instrument, resolution, from, to) {
    this.abort();
    this.controller = new AbortController();
    const query = new URLSearchParams({
      symbol: instrument.toUpperCase(),
      resolution: resolution.name,
      from: Math.max(0, Math.floor(from / resolution.width) * resolution.width),
      to: Math.ceil(to),
    });
    const response = await fetch(`${this.feed}history?${query}`, { signal: this.controller.signal });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const answer = await response.json();
    if (answer.s === "error") throw new Error(answer.errmsg);
    if (answer.s !== "ok") return null;
    const { t, o, h, l, c } = answer;
    return { ts: t.map((time) => 1000 * time), open: o, high: h, low: l, close: c };
  }
}
