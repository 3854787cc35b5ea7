// How much of a sweep's best may be luck.

import { element, fill } from "../report/dom.js";
import { NONE, ratio, share, whole } from "../report/format.js";

/** Show the measures; nothing before the end. */
export function overfit(root, { overfit: found, best }) {
  if (!found) return;
  const { pbo, trials, effective_trials: effective, periods } = found;
  const first = found.best.find(({ number }) => number === best[0]?.number);
  const part = (value) => (value == null ? NONE : share(100 * value));
  const tiles = [
    ["Deflated Sharpe of the best", part(first?.deflated)],
    ["for independent trials", part(first?.deflated_effective)],
    ["Overfitting (PBO)", part(pbo?.probability)],
    ["Loss out of sample", part(pbo?.loss)],
    ["Degradation slope", ratio(pbo?.slope)],
    ["Trials", whole(trials)],
    ["Independent trials", about(effective)],
    ["Periods", whole(periods)],
  ];
  fill(
    root,
    element("h2", {}, "How much of it may be luck"),
    element(
      "dl",
      { class: "tiles" },
      tiles.map(([name, words]) => element("div", {}, element("dt", {}, name), element("dd", {}, words))),
    ),
    element("p", {}, sharpe(first, trials, effective)),
    element("p", {}, split(pbo)),
  );
}

function about(value) {
  return value == null ? NONE : String(Number(value.toPrecision(3)));
}

function sharpe(first, trials, effective) {
  const meaning =
    "The deflated Sharpe ratio is the probability that a Sharpe ratio is better than the highest that so many " +
    "trials without any skill are expected to show. ";
  if (first?.deflated == null) return `${meaning}It is not defined here: the best has no returns that vary.`;
  const strong = first.deflated >= 0.95 ? "luck alone hardly explains it" : "luck alone may well explain it";
  return (
    `${meaning}For the best of ${whole(trials)} trials it is ${share(100 * first.deflated)}: ${strong} ` +
    `(95 % is what is usually asked for). As their returns resemble each other, they are worth about ` +
    `${about(effective)} independent trials, for which it is ${share(100 * first.deflated_effective)}.`
  );
}

function split(pbo) {
  if (!pbo) {
    return "The probability of backtest overfitting (PBO) needs two combinations and at least eight periods.";
  }
  const { probability, loss, splits } = pbo;
  let meaning = "what was the best tends to stay in the better half";
  if (probability >= 0.5) meaning = "choosing the best was no better than choosing blindly";
  else if (probability >= 0.2) meaning = "what was the best stays in the better half, but not reliably";
  return (
    `The probability of backtest overfitting (PBO) is ${share(100 * probability)}: in so many of ` +
    `${whole(splits)} ways to halve the time, the best of one half came out at or below the median in the other, ` +
    `so ${meaning}. In ${share(100 * loss)} of them it lost money in the other half.`
  );
}
