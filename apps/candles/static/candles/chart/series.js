// The bars of one symbol and timeframe: loaded from the newest to the left, and kept up to date.

const PAGE = 500;
/** More new bars than this are not merged; what is shown is loaded anew. */
const MOST_NEW = 1000;

export class Series {
  /**
   * @param feed Where bars come from.
   * @param ticker Of what.
   * @param resolution In the protocol's spelling.
   */
  constructor(feed, ticker, resolution) {
    this.feed = feed;
    this.ticker = ticker;
    this.resolution = resolution;
    /** Oldest first. */
    this.bars = [];
    /** Whether the first bar is the first that there is. */
    this.complete = false;
    this.controller = new AbortController();
    this.loadingOlder = false;
  }

  /** Give up what is under way; its promises end in an AbortError. */
  abandon() {
    this.controller.abort();
  }

  /** Load the newest bars, in place of any that are held. */
  async load() {
    this.bars = await this.#ask(PAGE);
    this.complete = this.bars.length < PAGE;
  }

  /** Load a page to the left. False when nothing came of it, or another call is at it. */
  async older() {
    if (this.complete || this.loadingOlder || !this.bars.length) return false;
    this.loadingOlder = true;
    try {
      const first = this.bars[0].time;
      const found = await this.#ask(PAGE, first);
      // Loaded anew meanwhile: these do not fit any more.
      if (this.bars[0]?.time !== first) return false;
      this.bars = [...found, ...this.bars];
      this.complete = found.length < PAGE;
      return true;
    } finally {
      this.loadingOlder = false;
    }
  }

  /** Load what is new since the last bar, which may have changed itself. Null when all was loaded anew. */
  async newer() {
    const last = this.bars.at(-1);
    const missed = last ? Math.ceil((Date.now() / 1000 - last.time) / widthOf(this.resolution)) : MOST_NEW;
    if (missed >= MOST_NEW) {
      await this.load();
      return null;
    }
    const found = await this.#ask(Math.max(2, missed + 1));
    const fresh = found.filter((bar) => bar.time >= last.time);
    this.bars = [...this.bars.filter((bar) => bar.time < last.time), ...fresh];
    return fresh;
  }

  #ask(count, before) {
    const { ticker, resolution } = this;
    return this.feed.bars({ ticker, resolution, count, before, signal: this.controller.signal });
  }
}

function widthOf(resolution) {
  return { "1D": 86_400, "1W": 604_800 }[resolution] ?? 60 * Number(resolution);
}
