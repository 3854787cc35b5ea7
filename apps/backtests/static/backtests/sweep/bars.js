// A metric by one parameter as bars. It takes what `heatmap` takes but for `y`, with one row of values.

import { drawn, element, fill } from "../report/dom.js";
import { metric as written } from "../report/format.js";

const HEIGHT = 260;
const ROOM = { left: 70, right: 10, top: 10, bottom: 34 };

export function bars(root, data, options = {}) {
  return new Bars(root, data, options);
}

class Bars {
  constructor(root, data, { onChoose = () => {} }) {
    this.onChoose = onChoose;
    this.at = data.best?.x ?? 0;
    this.svg = drawn("svg", { class: "bars", tabindex: "0", role: "img" });
    this.width = 0;
    this.words = element("p", { role: "status" });
    const place = element("div", {}, this.svg);
    fill(root, place, this.words);
    this.svg.addEventListener("keydown", (event) => this.#key(event));
    this.update(data);
    new ResizeObserver(() => this.#resize(place.clientWidth)).observe(place);
  }

  /** Show other values at the same places, as they come in. */
  update(data) {
    this.data = data;
    const { metric, x } = data;
    this.svg.setAttribute("aria-label", `${metric.label} by ${x.name}. Arrow keys move from bar to bar.`);
    this.#draw();
    this.#tell(this.at);
  }

  #resize(width) {
    if (!width || width === this.width) return;
    this.width = width;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.#draw();
  }

  #draw() {
    if (!this.width) return;
    const { x, metric, values, best } = this.data;
    const row = values[0];
    const known = row.filter((value) => value != null);
    const [low, high] = [Math.min(0, ...known), Math.max(0, ...known)];
    const span = high - low || 1;
    const floor = HEIGHT - ROOM.bottom;
    const top = (value) => ROOM.top + ((high - value) / span) * (floor - ROOM.top);
    const wide = (this.width - ROOM.left - ROOM.right) / row.length;
    const gap = wide > 6 ? Math.min(6, wide / 5) : 0;
    const step = Math.max(1, Math.ceil(60 / wide));
    const columns = row.map((value, at) => {
      const left = ROOM.left + at * wide;
      const [above, below] = [top(Math.max(value ?? 0, 0)), top(Math.min(value ?? 0, 0))];
      const kind = [value < 0 ? "down" : "up", best?.x === at ? "best" : "", at === this.at ? "here" : ""];
      return drawn(
        "g",
        {
          "data-place": at,
          onclick: () => this.#choose(at),
          onmouseenter: () => this.#tell(at),
          onmouseleave: () => this.#tell(this.at),
        },
        drawn("rect", { class: "ground", x: left, y: ROOM.top, width: wide, height: floor - ROOM.top }),
        value == null
          ? null
          : drawn("rect", {
              class: kind.join(" "),
              x: left + gap / 2,
              y: above,
              width: wide - gap,
              height: Math.max(below - above, 1),
            }),
        at % step
          ? null
          : drawn("text", { x: left + wide / 2, y: floor + 15, "text-anchor": "middle" }, x.values[at]),
      );
    });
    const level = (value) =>
      drawn(
        "text",
        { x: ROOM.left - 8, y: top(value) + 4, "text-anchor": "end" },
        written(value, metric.unit),
      );
    this.svg.replaceChildren(
      ...columns,
      drawn("line", { x1: ROOM.left, x2: this.width - ROOM.right, y1: top(0), y2: top(0) }),
      level(high),
      ...(low < 0 ? [level(low)] : []),
      // Where they are too close, zero is the end of the bars.
      ...(high > 0 && low < 0 && top(0) - top(high) > 20 && top(low) - top(0) > 20 ? [level(0)] : []),
      drawn(
        "text",
        { x: ROOM.left + (this.width - ROOM.left) / 2, y: HEIGHT - 3, "text-anchor": "middle" },
        x.name,
      ),
    );
  }

  #choose(at) {
    this.at = at;
    this.#draw();
    this.#tell(at);
    this.onChoose({ x: at, y: 0, value: this.data.values[0][at] });
  }

  #key(event) {
    if (event.key === "Enter") this.#choose(this.at);
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    this.at = Math.min(Math.max(this.at + by, 0), this.data.x.values.length - 1);
    this.#draw();
    this.#tell(this.at);
  }

  #tell(at) {
    const { x, metric, values, best } = this.data;
    const most = best?.x === at ? ", the best" : "";
    const words = `${x.name} ${x.values[at]}: ${metric.label} ${written(values[0][at], metric.unit)}${most}`;
    if (this.words.textContent !== words) this.words.textContent = words;
  }
}
