// The datafeed of this site (TradingView's UDF protocol), read with fetch.

/** What is asked for as the newest bars ends so far ahead of this machine's clock, which may be wrong. */
const AHEAD = 7 * 86_400;

/** A request that did not succeed; the message is for the person at the page. */
export class FeedError extends Error {}

export class Feed {
  /** @param {string} base The address that the endpoints' names are put behind. */
  constructor(base) {
    this.base = base;
  }

  /**
   * The last `count` bars that open before `before` (seconds), oldest first; the newest without it.
   * Fewer than asked for means that there are no older ones.
   */
  async bars({ ticker, resolution, count, before, signal }) {
    const to = before ?? Math.floor(Date.now() / 1000) + AHEAD;
    const answer = await this.#get("history", { symbol: ticker, resolution, to, countback: count }, signal);
    if (answer.s === "no_data") return [];
    return answer.t.map((time, i) => ({
      time,
      open: answer.o[i],
      high: answer.h[i],
      low: answer.l[i],
      close: answer.c[i],
      volume: answer.v[i],
    }));
  }

  /** Symbols that contain a text, the best first. */
  async search(query, signal) {
    return this.#get("search", { query, limit: 12 }, signal);
  }

  async #get(name, parameters, signal) {
    let response;
    try {
      response = await fetch(`${this.base}${name}?${new URLSearchParams(parameters)}`, { signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new FeedError("the server cannot be reached");
    }
    if (!response.ok) throw new FeedError(`the server answered ${response.status}`);
    const answer = await response.json().catch(() => {
      throw new FeedError("the server's answer is not readable");
    });
    if (answer.s === "error") throw new FeedError(answer.errmsg);
    return answer;
  }
}
