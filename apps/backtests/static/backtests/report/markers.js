// Which trades are marked on the drawing, and how.

import { barOf } from "./axis.js";
import { percent } from "./format.js";

/** More trades than this are not marked at a time. */
const MOST = 60;

/** Below this many the exits say what they came to. */
const WORDY = 25;

/**
 * The trades of an instrument that are open between two times (seconds): all of them, or of each of `MOST`
 * equal parts the one with the greatest return, gain or loss.
 *
 * @returns `{chosen, visible}`: rows of the columns, and how many there are.
 */
export function chosen(trades, instrument, from, to) {
  const visible = [];
  for (let row = 0; row < trades.side.length; row++) {
    if (trades.instrument[row] !== instrument) continue;
    if (trades.exit_time[row] >= 1000 * from && trades.entry_time[row] <= 1000 * to) visible.push(row);
  }
  if (visible.length <= MOST) return { chosen: visible, visible: visible.length };
  const best = new Map();
  for (const row of visible) {
    const part = Math.floor((MOST * (trades.exit_time[row] / 1000 - from)) / (to - from));
    const other = best.get(Math.min(part, MOST - 1));
    if (other === undefined || Math.abs(trades.return_pct[row]) > Math.abs(trades.return_pct[other])) {
      best.set(Math.min(part, MOST - 1), row);
    }
  }
  return { chosen: [...best.values()], visible: visible.length };
}

/** Marks of these trades on bars at `times`: an arrow where one was entered, a dot where it was left. */
export function marks(trades, rows, times, colours, selected = null) {
  const made = [];
  const wordy = rows.length <= WORDY;
  const at = (ms) => times[barOf(times, ms / 1000)];
  for (const row of rows) {
    const long = trades.side[row] > 0;
    const won = trades.pnl[row] > 0;
    const size = row === selected ? 1.6 : 0.7;
    made.push({
      time: at(trades.entry_time[row]),
      position: long ? "belowBar" : "aboveBar",
      shape: long ? "arrowUp" : "arrowDown",
      color: colours.entry,
      size,
    });
    made.push({
      time: at(trades.exit_time[row]),
      position: long ? "aboveBar" : "belowBar",
      shape: "circle",
      color: won ? colours.up : colours.down,
      text: wordy || row === selected ? percent(trades.return_pct[row]) : undefined,
      size: 0.7 * size,
    });
  }
  return made.sort((a, b) => a.time - b.time);
}
