// A sweep over two parameters as a heatmap.
//
// heatmap(root, {
//   x: { name: "fast", values: [5, 10, 15] },          parameters, and the values that were tried: columns,
//   y: { name: "slow", values: [20, 40] },             and rows from the bottom up
//   metric: { label: "Sharpe", unit: "ratio" },        of what is drawn; with units of the report
//   values: [[0.3, 0.5, null], [0.1, 0.9, 1.2]],       a row for each y with a value for each x; null: none
//   best: { x: 2, y: 1 },                              places of the best, or null
// }, { onChoose({ x, y, value }) })                    a cell was clicked or entered; may be left out
//
// It returns an object whose `update(data)` shows other values on the same axes.

import { element, fill, onScheme, styled } from "./dom.js";
import { metric as written } from "./format.js";

const ROOM = { left: 64, right: 12, top: 8, bottom: 40 };
const HEIGHT = 380;

export function heatmap(root, data, options = {}) {
  return new Heatmap(root, data, options);
}

class Heatmap {
  constructor(root, data, { onChoose = () => {} }) {
    this.onChoose = onChoose;
    this.at = data.best ?? { x: 0, y: 0 };
    const name = `${data.metric.label} by ${data.x.name} and ${data.y.name}`;
    this.canvas = element("canvas", {
      tabindex: "0",
      role: "img",
      "aria-label": `${name}. Arrow keys move from cell to cell.`,
    });
    this.words = element("p", { role: "status" });
    fill(root, element("div", { class: "heatmap" }, this.canvas), this.words);
    this.#take(data);
    for (const type of ["mousemove", "click", "mouseleave"]) {
      this.canvas.addEventListener(type, (event) => this.#point(event, type));
    }
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#draw()).observe(this.canvas.parentElement);
    onScheme(() => this.#draw());
    this.#tell(this.at);
  }

  /** Show other values on the same axes, as they come in. */
  update(data) {
    this.#take(data);
    this.#draw();
    this.#tell(this.at);
  }

  #take(data) {
    this.data = data;
    const present = data.values.flat().filter((value) => value != null);
    this.least = present.reduce((least, value) => Math.min(least, value), Infinity);
    this.most = present.reduce((most, value) => Math.max(most, value), -Infinity);
  }

  #cell() {
    const { x, y } = this.data;
    return {
      width: (this.width - ROOM.left - ROOM.right) / x.values.length,
      height: (HEIGHT - ROOM.top - ROOM.bottom) / y.values.length,
    };
  }

  #draw() {
    this.width = this.canvas.parentElement.clientWidth;
    if (!this.width) return;
    const scale = devicePixelRatio || 1;
    [this.canvas.width, this.canvas.height] = [this.width * scale, HEIGHT * scale];
    const pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.font = `12px ${getComputedStyle(this.canvas).fontFamily}`;
    const named = (name) => styled(this.canvas, name);
    const colours = {
      up: named("--up"),
      down: named("--down"),
      text: named("--text"),
      none: named("--grid"),
    };
    const { x, y, values } = this.data;
    const { width, height } = this.#cell();
    const gap = Math.min(width, height) > 6 ? 1 : 0;
    values.forEach((row, j) =>
      row.forEach((value, i) => {
        const [colour, strength] = this.#colour(value, colours);
        pen.globalAlpha = strength;
        pen.fillStyle = colour;
        pen.fillRect(this.#left(i), this.#top(j), width - gap, height - gap);
      }),
    );
    pen.globalAlpha = 1;
    pen.fillStyle = colours.text;
    this.#labels(pen, x.values, y.values, width, height);
    pen.strokeStyle = colours.text;
    if (this.data.best) this.#frame(pen, this.data.best, 2.5);
    if (this.at && document.activeElement === this.canvas) this.#frame(pen, this.at, 1);
  }

  /** Around zero where there are gains and losses, else from the least to the most. */
  #colour(value, { up, down, none }) {
    if (value == null) return [none, 0.5];
    if (this.least < 0 && this.most > 0) {
      const limit = Math.max(-this.least, this.most);
      return [value < 0 ? down : up, 0.08 + (0.92 * Math.abs(value)) / limit];
    }
    const span = this.most - this.least || 1;
    const share = (value - this.least) / span;
    return this.most <= 0 ? [down, 1 - 0.92 * share] : [up, 0.08 + 0.92 * share];
  }

  #labels(pen, across, up, width, height) {
    const step = (size, count, room) => Math.max(1, Math.ceil(room / size), Math.ceil(count / 40));
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (let i = 0; i < across.length; i += step(width, across.length, 44)) {
      pen.fillText(String(across[i]), this.#left(i) + width / 2, HEIGHT - ROOM.bottom + 5);
    }
    pen.fillText(this.data.x.name, ROOM.left + (this.width - ROOM.left - ROOM.right) / 2, HEIGHT - 16);
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (let j = 0; j < up.length; j += step(height, up.length, 16)) {
      pen.fillText(String(up[j]), ROOM.left - 6, this.#top(j) + height / 2);
    }
    pen.save();
    pen.translate(10, ROOM.top + (HEIGHT - ROOM.top - ROOM.bottom) / 2);
    pen.rotate(-Math.PI / 2);
    pen.textAlign = "center";
    pen.fillText(this.data.y.name, 0, 0);
    pen.restore();
  }

  #frame(pen, { x, y }, line) {
    const { width, height } = this.#cell();
    pen.lineWidth = line;
    pen.strokeRect(this.#left(x) + 0.5, this.#top(y) + 0.5, width - 1, height - 1);
  }

  #left(i) {
    return ROOM.left + i * this.#cell().width;
  }

  #top(j) {
    return HEIGHT - ROOM.bottom - (j + 1) * this.#cell().height;
  }

  #point(event, type) {
    if (type === "mouseleave") return this.#tell(this.at);
    const { width, height } = this.#cell();
    const x = Math.floor((event.offsetX - ROOM.left) / width);
    const y = Math.floor((HEIGHT - ROOM.bottom - event.offsetY) / height);
    if (this.data.values[y]?.[x] === undefined) return this.#tell(this.at);
    if (type === "click") {
      this.at = { x, y };
      this.#choose();
    }
    return this.#tell({ x, y });
  }

  #choose() {
    this.#draw();
    this.onChoose({ ...this.at, value: this.data.values[this.at.y][this.at.x] });
  }

  #key(event) {
    const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[
      event.key
    ] ?? [0, 0];
    if (event.key === "Enter") this.#choose();
    if (!x && !y) return;
    event.preventDefault();
    const clamp = (value, count) => Math.min(Math.max(value, 0), count - 1);
    this.at = {
      x: clamp(this.at.x + x, this.data.x.values.length),
      y: clamp(this.at.y + y, this.data.y.values.length),
    };
    this.#draw();
    this.#tell(this.at);
  }

  #tell({ x, y }) {
    const { data } = this;
    const value = data.values[y]?.[x];
    const best = data.best?.x === x && data.best?.y === y ? ", the best" : "";
    const place = `${data.x.name} ${data.x.values[x]}, ${data.y.name} ${data.y.values[y]}`;
    const words = `${place}: ${data.metric.label} ${written(value, data.metric.unit)}${best}`;
    if (this.words.textContent !== words) this.words.textContent = words;
  }
}
