/* The navigation of the admin's pages: shown or not, narrowed by what is typed, folded by section; and menus that close. */
"use strict";
{
  const root = document.documentElement;
  const narrow = window.matchMedia("(max-width: 899px)");
  const kept = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const keep = (name, value) => { try { localStorage.setItem(name, value); } catch { /* Not kept, then. */ } };

  // Before anything is painted: where there is room the navigation is there, unless it was put away.
  root.dataset.sidebar = !narrow.matches && kept("admin.sidebar") !== "closed" ? "open" : "closed";

  function switching() {
    const button = document.getElementById("sidebar-switch");
    const sidebar = document.getElementById("sidebar");
    if (!button || !sidebar) return;
    const show = (open) => {
      root.dataset.sidebar = open ? "open" : "closed";
      button.setAttribute("aria-expanded", String(open));
    };
    show(root.dataset.sidebar === "open");
    button.addEventListener("click", () => {
      const open = root.dataset.sidebar !== "open";
      show(open);
      if (!narrow.matches) keep("admin.sidebar", open ? "open" : "closed");
    });
    narrow.addEventListener("change", () => show(!narrow.matches && kept("admin.sidebar") !== "closed"));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && narrow.matches && root.dataset.sidebar === "open") {
        show(false);
        button.focus();
      }
    });
    document.addEventListener("click", (event) => {
      if (narrow.matches && root.dataset.sidebar === "open" && !sidebar.contains(event.target) && !button.contains(event.target)) show(false);
    });
    sidebar.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }

  function filtering() {
    const field = document.getElementById("sidebar-filter");
    if (!field) return;
    const none = document.getElementById("sidebar-none");
    const sections = [...document.querySelectorAll(".sidebar-section")];
    for (const section of sections) {
      const name = `admin.section.${section.dataset.section}`;
      if (kept(name) === "closed" && !("here" in section.dataset)) section.open = false;
      section.querySelector("summary").addEventListener("click", () => keep(name, section.open ? "closed" : "open"));
    }
    const folded = new Map();
    const narrowTo = (typed) => {
      const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
      let found = 0;
      for (const section of sections) {
        if (words.length && !folded.has(section)) folded.set(section, section.open);
        let any = 0;
        for (const item of section.querySelectorAll("li")) {
          const text = `${section.dataset.section} ${item.textContent}`.toLowerCase();
          item.hidden = !words.every((word) => text.includes(word));
          any += item.hidden ? 0 : 1;
        }
        section.hidden = !any;
        found += any;
        if (words.length) section.open = true;
        else if (folded.has(section)) section.open = folded.get(section);
      }
      if (!words.length) folded.clear();
      none.hidden = found > 0;
    };
    field.addEventListener("input", () => narrowTo(field.value));
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && field.value) {
        event.stopPropagation();
        field.value = "";
        narrowTo("");
      } else if (event.key === "Enter") {
        document.querySelector(".sidebar-section:not([hidden]) li:not([hidden]) a")?.click();
      }
    });
  }

  function menus() {
    const open = () => document.querySelectorAll("details.menu[open]");
    document.addEventListener("click", (event) => {
      for (const menu of open()) if (!menu.contains(event.target)) menu.open = false;
    });
    // To the left, where there is no room to the right. The event does not bubble.
    document.addEventListener("toggle", (event) => {
      const menu = event.target;
      if (!menu.matches?.("details.menu")) return;
      menu.classList.remove("flip");
      const items = menu.querySelector(".menu-items").getBoundingClientRect();
      menu.classList.toggle("flip", menu.open && items.right > root.clientWidth && items.width < items.right);
    }, true);
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      for (const menu of open()) {
        menu.open = false;
        menu.querySelector("summary").focus();
      }
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    switching();
    filtering();
    menus();
  });
}
