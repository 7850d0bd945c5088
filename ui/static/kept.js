// The list of kept tunes, under the controls.

import { icon } from "/player/icons.js";
import { ask } from "./queue.js";

/** Events: "play" (detail: id), "change" (`count` is another), "trouble" (detail: a sentence). */
export class KeptList extends EventTarget {
  /** @param {HTMLElement} element @param {HTMLElement} counter where the number of kept tunes is shown */
  constructor(element, counter) {
    super();
    this.element = element;
    this.counter = counter;
    this.tunes = [];
    element.addEventListener("click", (event) => {
      const row = event.target.closest("[data-id]");
      if (!row) return;
      if (event.target.closest(".let-go")) this.keep(row.dataset.id, false);
      else if (event.target.closest("a")) {
        event.preventDefault();
        this.dispatchEvent(new CustomEvent("play", { detail: row.dataset.id }));
      }
    });
  }

  async refresh() {
    try {
      this.show(await ask("/api/kept"));
    } catch (error) {
      this.dispatchEvent(new CustomEvent("trouble", { detail: error.message }));
    }
  }

  /** Keep a tune or let it go; it counts when the server has written it down. */
  async keep(id, kept) {
    try {
      const options = { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ kept }) };
      this.show(await ask(`/api/kept/${id}`, options));
    } catch (error) {
      this.dispatchEvent(new CustomEvent("trouble", { detail: `Not kept: ${error.message}` }));
    }
  }

  has(id) {
    return this.tunes.some((tune) => tune.id === id);
  }

  show(tunes) {
    this.tunes = tunes;
    this.counter.textContent = tunes.length || "";
    const list = document.createElement("ul");
    for (const tune of tunes) {
      const row = document.createElement("li");
      row.dataset.id = tune.id;
      row.innerHTML = `<a href="/tune/${tune.id}"><span class="kept-title"></span> <span class="quiet"></span></a>
        <button type="button" class="icon small let-go">${icon("cross")}</button>`;
      row.querySelector(".kept-title").textContent = tune.title;
      row.querySelector(".quiet").textContent = tune.subtitle;
      row.querySelector(".let-go").setAttribute("aria-label", `Let go: ${tune.title}`);
      row.querySelector(".let-go").title = "Let go";
      list.append(row);
    }
    this.element.innerHTML = tunes.length
      ? '<h2>Kept tunes</h2><p class="kept-book"><a class="link" href="/api/kept/tunebook.abc" download>All of them as a tune book (ABC)</a></p>'
      : '<h2>Kept tunes</h2><p class="quiet">None yet. Press the heart while a tune plays to keep it.</p>';
    this.element.append(list);
    this.dispatchEvent(new Event("change"));
  }
}
