// A metric by one or two parameters that are chosen, and the combinations of a place in it.

import { element, fill } from "../report/dom.js";
import { whole } from "../report/format.js";
import { heatmap } from "../report/heatmap.js";
import { bars } from "./bars.js";
import { combinations, value } from "./combinations.js";

/** Rows of the list of combinations. */
const ROWS = 50;

const HINTS = {
  map: "Arrow keys move from cell to cell; Enter or a click lists the combinations in it.",
  line: "Arrow keys move from bar to bar; Enter or a click lists the combinations in it.",
  ranges: "Values are put together in ranges, which are named by where they begin.",
};

export class Explorer {
  /**
   * @param part Finds a part of the page by its name.
   * @param sweep The document.
   * @param addresses Of the `heatmap` and the `combinations` of the API.
   */
  constructor(part, sweep, addresses) {
    this.part = part;
    this.sweep = sweep;
    this.addresses = addresses;
    this.asked = 0;
    const several = sweep.swept.filter(({ count }) => count !== 1);
    const names = (several.length ? several : sweep.swept).map(({ name }) => name);
    this.names = names;
    this.choice = { x: names[0], y: names[1] ?? null, metric: sweep.metric, reduce: "max" };
    this.#build();
  }

  /** Ask for the map and the list anew, of what is computed by now. */
  async refresh(sweep) {
    this.sweep = sweep;
    const asked = ++this.asked;
    try {
      const { x, y, metric, reduce } = this.choice;
      const query = new URLSearchParams({ x, metric, reduce, ...(y === null ? {} : { y }) });
      const answer = await get(`${this.addresses.heatmap}?${query}`);
      if (asked !== this.asked) return;
      this.#draw(this.#whole(answer));
      if (this.place) await this.#list();
    } catch (error) {
      if (asked === this.asked) this.part("hint").textContent = `This could not be loaded: ${error.message}`;
    }
  }

  #build() {
    const choose = (title, name, entries) => {
      const select = element(
        "select",
        { name },
        entries.map(([key, words]) =>
          element("option", { value: key, selected: key === this.choice[name] }, words),
        ),
      );
      select.addEventListener("change", () => this.#choose(name, select.value));
      return element("label", {}, `${title} `, select);
    };
    const named = this.names.map((name) => [name, name]);
    const metrics = this.sweep.metrics.map(({ name, label }) => [name, label]);
    const flat = this.choice.y === null;
    fill(
      this.part("choices"),
      flat ? null : [choose("Across", "x", named), choose("Up", "y", named)],
      choose("Metric", "metric", metrics),
      // One parameter that alone is swept has one combination at each place.
      flat
        ? null
        : choose("Of several", "reduce", [
            ["max", "the best"],
            ["mean", "the mean"],
          ]),
    );
  }

  #choose(name, chosen) {
    const { choice } = this;
    // Two sides show two parameters: the other one takes what was here.
    if (name === "x" && chosen === choice.y) choice.y = choice.x;
    if (name === "y" && chosen === choice.x) choice.x = choice.y;
    choice[name] = chosen;
    for (const side of ["x", "y"]) {
      const select = this.part("choices").querySelector(`[name="${side}"]`);
      if (select) select.value = choice[side];
    }
    if (name === "x" || name === "y") this.#forget();
    this.refresh(this.sweep);
  }

  #forget() {
    this.place = null;
    this.part("chosen").hidden = true;
  }

  /** The same with a place for every value that will be tried, where these are known: nothing moves later. */
  #whole(answer) {
    if (!answer.x.length || answer.x_ends || answer.y_ends) return answer;
    const { x, y } = this.choice;
    const places = (name, known) => {
      const all = this.sweep.swept.find((one) => one.name === name)?.places;
      return all && known.every((value) => all.includes(value)) ? all : known;
    };
    const across = places(x, answer.x);
    const up = y === null ? [] : places(y, answer.y);
    const [columns, rows] = [answer.x, answer.y].map(
      (known) => new Map(known.map((value, at) => [value, at])),
    );
    const values = (y === null ? [null] : up).map((one) => {
      const row = answer.values[y === null ? 0 : rows.get(one)];
      return across.map((other) => row?.[columns.get(other)] ?? null);
    });
    return { ...answer, x: across, y: up, values };
  }

  #draw(answer) {
    const { choice } = this;
    const metric = this.sweep.metrics.find(({ name }) => name === choice.metric);
    const side = (name) => ({ name: choice[name], values: answer[name].map(value) });
    const best = bestOf(answer);
    const data = { x: side("x"), metric, values: answer.values, best };
    if (choice.y !== null) data.y = side("y");
    this.answer = answer;
    const drawing = this.part("drawing");
    if (!answer.x.length) {
      this.drawn = null;
      this.part("hint").textContent = "";
      fill(drawing, element("p", {}, "Nothing has been computed yet."));
      return;
    }
    const axes = JSON.stringify([choice.x, choice.y, answer.x, answer.y, choice.metric]);
    if (this.drawn && this.axes === axes) this.drawn.update(data);
    else {
      const focused = drawing.contains(document.activeElement);
      const draw = choice.y === null ? bars : heatmap;
      this.drawn = draw(drawing, data, { onChoose: (place) => this.#go(place) });
      this.axes = axes;
      if (focused) drawing.querySelector("[tabindex]").focus();
    }
    drawing.dataset.computed = answer.computed;
    const ranges = answer.x_ends || answer.y_ends ? ` ${HINTS.ranges}` : "";
    this.part("hint").textContent = `${choice.y === null ? HINTS.line : HINTS.map}${ranges}`;
  }

  #go({ x, y }) {
    const { answer, choice } = this;
    const side = (name, at) => ({
      name: choice[name],
      from: answer[name][at],
      to: answer[`${name}_ends`]?.[at] ?? null,
      last: at === answer[name].length - 1,
    });
    this.place = [side("x", x), ...(choice.y === null ? [] : [side("y", y)])];
    this.#list();
  }

  /** The combinations of the chosen place, best first. */
  async #list() {
    const { place, choice, sweep } = this;
    const low = this.answer.low_is_good;
    const query = new URLSearchParams({ sort: `${low ? "" : "-"}${choice.metric}`, limit: ROWS });
    for (const condition of place.flatMap(conditions)) query.append("where", condition);
    const root = this.part("chosen");
    const where = place.map(words).join(", ");
    try {
      const found = await get(`${this.addresses.combinations}?${query}`);
      if (place !== this.place) return;
      const shown = found.combinations.length;
      const count =
        found.count > shown ? `the best ${whole(shown)} of ${whole(found.count)}` : whole(found.count);
      const table = element("div", { class: "wide" });
      const columns = [...new Set([choice.metric, ...sweep.columns])];
      const full = new Map(sweep.best.map(({ number, url, state }) => [number, { url, state }]));
      const listed = found.combinations.map((row) => ({ ...row, ...full.get(row.number) }));
      combinations(table, { ...sweep, columns }, listed);
      fill(
        root,
        element("h3", {}, `${where}: ${count} ${found.count === 1 ? "combination" : "combinations"}`),
        table,
      );
    } catch (error) {
      fill(root, element("p", { role: "alert" }, `The combinations could not be loaded: ${error.message}`));
    }
  }
}

/** The place of the best value, which is the lowest of some metrics; null without any. */
function bestOf({ values, low_is_good: low }) {
  let found = null;
  let most = -Infinity;
  values.forEach((row, y) =>
    row.forEach((value, x) => {
      if (value == null || (low ? -value : value) <= most) return;
      most = low ? -value : value;
      found = { x, y };
    }),
  );
  return found;
}

function conditions({ name, from, to, last }) {
  if (to === null) return [`params.${name}=${from}`];
  return [`params.${name}>=${from}`, `params.${name}${last ? "<=" : "<"}${to}`];
}

function words({ name, from, to }) {
  return to === null ? `${name} ${value(from)}` : `${name} from ${value(from)} to ${value(to)}`;
}

async function get(address) {
  const response = await fetch(address, { headers: { Accept: "application/json" } });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.detail ?? `The server answered ${response.status}.`);
  return answer;
}
