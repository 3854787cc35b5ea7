// Finding another symbol: a field whose results are links below it.

const PAUSE = 200;

export class Search {
  /**
   * @param {HTMLElement} root Holds the field, the list and the number of results.
   * @param feed Where to search.
   * @param {(name: string) => string} address The page of a symbol, given as EXCHANGE:SYMBOL.
   */
  constructor(root, feed, address) {
    this.field = root.querySelector("input");
    this.list = root.querySelector("ul");
    this.count = root.querySelector("[role=status]");
    this.feed = feed;
    this.address = address;
    this.field.addEventListener("input", () => this.#soon());
    root.addEventListener("keydown", (event) => this.#key(event));
    root.addEventListener("focusout", (event) => root.contains(event.relatedTarget) || this.#close());
  }

  #soon() {
    clearTimeout(this.timer);
    this.controller?.abort();
    if (!this.field.value.trim()) this.#close();
    else this.timer = setTimeout(() => this.#search(), PAUSE);
  }

  async #search() {
    this.controller = new AbortController();
    try {
      const found = await this.feed.search(this.field.value.trim(), this.controller.signal);
      this.#show(found.map((one) => this.#row(one)), found.length ? `${found.length} found` : "");
    } catch (error) {
      if (error.name !== "AbortError") this.#show([], `Search failed: ${error.message}`);
    }
  }

  #row({ symbol, full_name: name, description }) {
    const link = document.createElement("a");
    link.href = this.address(name);
    const strong = document.createElement("strong");
    strong.textContent = symbol;
    const small = document.createElement("small");
    small.textContent = description;
    link.append(strong, small);
    const row = document.createElement("li");
    row.append(link);
    return row;
  }

  #show(rows, words) {
    const said = words || "Nothing found";
    if (!rows.length) {
      const row = document.createElement("li");
      row.textContent = said;
      rows = [row];
    }
    this.list.replaceChildren(...rows);
    this.list.hidden = false;
    this.count.textContent = said;
  }

  #close() {
    clearTimeout(this.timer);
    this.controller?.abort();
    this.list.hidden = true;
    this.count.textContent = "";
  }

  #key(event) {
    if (event.key === "Escape") {
      this.#close();
      this.field.focus();
      return;
    }
    const links = this.list.hidden ? [] : [...this.list.querySelectorAll("a")];
    if (!links.length) return;
    const at = links.indexOf(document.activeElement);
    const goal = {
      ArrowDown: links[Math.min(at + 1, links.length - 1)],
      ArrowUp: at > 0 ? links[at - 1] : this.field,
    }[event.key];
    if (goal) {
      event.preventDefault();
      goal.focus();
    } else if (event.key === "Enter" && document.activeElement === this.field) {
      links[0].click();
    }
  }
}
