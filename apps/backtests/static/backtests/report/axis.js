// Times and places: a drawing has one place for each of its bars, and everything on it stands at one of them.

/** How many of the ascending values are at most this. */
function upTo(values, value) {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The place of a time among ascending times, with its fraction; beyond the ends it goes on evenly. */
export function placeOf(times, time) {
  const last = times.length - 1;
  if (last < 1) return 0;
  const at = Math.min(Math.max(upTo(times, time) - 1, 0), last - 1);
  return at + (time - times[at]) / (times[at + 1] - times[at]);
}

/** The time of a place; the inverse of `placeOf`. */
export function timeAt(times, place) {
  const last = times.length - 1;
  if (last < 1) return times[0] ?? 0;
  const at = Math.min(Math.max(Math.floor(place), 0), last - 1);
  return times[at] + (place - at) * (times[at + 1] - times[at]);
}

/** The bar that a time falls into: its place, from 0. */
export function barOf(times, time) {
  return Math.max(0, upTo(times, time) - 1);
}

/**
 * A curve (columns `ts` in ms and `value`) on the bars of `times` (seconds): each point stands at the bar
 * that it falls into, or at the next when that is taken, at most two further; of more in one place the
 * one furthest from the point before is drawn. What lies outside of the times is left out, but for one
 * point on either side.
 */
export function slotted(curve, times) {
  const points = [];
  if (!times.length || !curve) return points;
  const step = times.length > 1 ? times[1] - times[0] : 60;
  const end = times.at(-1) + step;
  let last = -1;
  for (let i = 0; i < curve.ts.length; i++) {
    const time = curve.ts[i] / 1000;
    const value = curve.value[i];
    if (time < times[0] && (curve.ts[i + 1] ?? 0) / 1000 <= times[0]) continue;
    const bar = time >= end ? times.length - 1 : barOf(times, time);
    const place = Math.max(bar, Math.min(last + 1, times.length - 1));
    const before = points.at(-2)?.value ?? points.at(-1)?.value;
    if (place > last && place <= bar + 2) {
      points.push({ time: times[place], value });
      last = place;
    } else if (Math.abs(value - before) > Math.abs(points.at(-1).value - before)) {
      points.at(-1).value = value;
    }
    if (time >= end) break;
  }
  return points;
}
