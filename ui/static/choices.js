// The row of choices: rhythm, key, meter, calm to wild, seed with its lock, and "more".

import { icon } from "/player/icons.js";

const SETTLE_MS = 350; // a slider that moves has not been set yet

/** Event "change": the next tunes should be others. */
export class ChoiceRow extends EventTarget {
  /**
   * @param {HTMLElement} row
   * @param {HTMLElement} panel what "more" opens
   */
  constructor(row, panel) {
    super();
    this.row = row;
    this.panel = panel;
    this.usual = 1.1;
    this.meters = {}; // of each rhythm
    row.innerHTML = `
      <label class="choice"><span class="unseen">Rhythm</span><select name="rhythm"><option value="">any rhythm</option></select></label>
      <label class="choice"><span class="unseen">Key</span><select name="key"><option value="">any key</option></select></label>
      <label class="choice"><span class="unseen">Meter</span><select name="meter"><option value="">any meter</option></select></label>
      <label class="wild"><span>calm</span><input type="range" name="temperature" class="even" step="0.05"
        aria-label="Calm to wild"><output class="bubble" aria-hidden="true"></output><span>wild</span></label>
      <span class="seed"><label>seed <input name="seed" class="field" inputmode="numeric" maxlength="6" size="6"
        autocomplete="off" aria-label="Seed of this tune"></label><button type="button" class="icon small lock"
        aria-pressed="false"></button></span>
      <button type="button" class="link more" aria-expanded="false" aria-controls="${panel.id}">more</button>`;
    panel.innerHTML = `
      <p class="plan"><label class="choice"><span class="unseen">Parts</span><select name="parts"><option value="">any parts</option></select></label>
        <label class="choice"><span class="unseen">Bars a part</span><select name="bars"><option value="">any bars</option></select></label>
        <label class="choice"><span class="unseen">Range</span><select name="fits"><option value="">any range</option></select></label></p>
      <label for="opening">Begin with these bars, in ABC; choose their key and meter above.</label>
      <textarea id="opening" name="opening" class="field" spellcheck="false" autocomplete="off"
        placeholder="|:F2AF DFAF|GFGA B2AG|"></textarea>
      <p class="more-buttons"><button type="button" class="link borrow">Begin like this tune</button>
        <button type="button" class="link clear">Clear all choices</button>
        <button type="button" class="link copy">Copy this tune's address</button></p>`;
    const named = (name) => row.querySelector(`[name=${name}]`);
    this.selects = { rhythm: named("rhythm"), key: named("key"), meter: named("meter") };
    for (const name of ["parts", "bars", "fits"]) this.selects[name] = panel.querySelector(`[name=${name}]`);
    this.wild = named("temperature");
    this.bubble = row.querySelector(".bubble");
    this.seed = named("seed");
    this.lock = row.querySelector(".lock");
    this.opening = panel.querySelector("textarea");
    this.showLock(false);
    this.listen();
  }

  /** Fill the menus; what is chosen stays chosen. */
  offer({ menus, temperature }) {
    this.meters = Object.fromEntries(menus.rhythms.map((each) => [each.value, each.meters]));
    const counts = (numbers, one, many) => numbers.map((number) => ({ value: String(number), label: `${number} ${number === 1 ? one : many}` }));
    for (const [name, items] of [
      ["rhythm", menus.rhythms], ["key", menus.keys], ["meter", menus.meters],
      ["fits", menus.fits], ["parts", counts(menus.parts, "part", "parts")], ["bars", counts(menus.bars, "bar a part", "bars a part")],
    ]) {
      const select = this.selects[name];
      const chosen = select.value;
      select.replaceChildren(select.options[0], ...items.map((each) => new Option(each.label, each.value)));
      if (chosen) this.set(name, chosen);
    }
    const untouched = this.wild.max === "" || Number(this.wild.value) === this.usual;
    [this.wild.min, this.wild.max] = [temperature.least, temperature.most];
    this.usual = temperature.usual;
    if (untouched) this.wild.value = this.usual;
    this.showWild();
    this.fit();
  }

  /** As /api/listen/next takes them; what is left open is left out. */
  get chosen() {
    const chosen = {};
    for (const [name, select] of Object.entries(this.selects)) if (select.value) chosen[name] = select.value;
    if (Number(this.wild.value) !== this.usual) chosen.temperature = Number(this.wild.value);
    if (this.locked && this.seed.value !== "") chosen.seed = Number(this.seed.value);
    const opening = this.opening.value.trim();
    if (opening) chosen.opening = opening;
    return chosen;
  }

  get locked() {
    return this.lock.getAttribute("aria-pressed") === "true";
  }

  /** The chosen things in words: "a reel in D", "" when all is open. */
  get words() {
    const { rhythm, key, meter } = this.selects;
    const label = (select) => select.selectedOptions[0].textContent;
    if (!rhythm.value && !key.value && !meter.value) return "";
    const name = rhythm.value || "tune";
    const article = /^[aeiou]/.test(name) ? "an" : "a";
    const inKey = key.value ? ` in ${label(key).replace(/ major$/, "")}` : "";
    return `${article} ${name}${inKey}${meter.value ? `, ${label(meter)}` : ""}`;
  }

  /** Show the seed of the tune that plays, unless the reader holds one. */
  showSeed(seed) {
    if (!this.locked && document.activeElement !== this.seed) this.seed.value = String(seed);
  }

  set(name, value) {
    const select = this.selects[name];
    if (value && ![...select.options].some((each) => each.value === value)) select.add(new Option(value, value));
    select.value = value;
  }

  listen() {
    for (const select of Object.values(this.selects)) {
      select.addEventListener("change", () => {
        this.fit();
        this.changed();
      });
    }
    this.wild.addEventListener("input", () => {
      this.showWild();
      this.settle();
    });
    this.lock.addEventListener("click", () => {
      if (!this.locked && !/^\d+$/.test(this.seed.value)) return this.seed.focus();
      this.showLock(!this.locked);
      this.changed();
    });
    this.seed.addEventListener("input", () => {
      this.seed.value = this.seed.value.replace(/\D/g, "");
      if (this.seed.value === "") return;
      this.showLock(true); // a seed that was typed is meant
      this.settle();
    });
    this.opening.addEventListener("change", () => this.changed());
    this.row.querySelector(".more").addEventListener("click", (event) => {
      this.panel.hidden = !this.panel.hidden;
      event.currentTarget.setAttribute("aria-expanded", String(!this.panel.hidden));
      if (!this.panel.hidden) this.panel.scrollIntoView({ block: "nearest", behavior: "smooth" });
    });
    this.panel.querySelector(".borrow").addEventListener("click", () => this.dispatchEvent(new Event("borrow")));
    this.panel.querySelector(".copy").addEventListener("click", () => this.dispatchEvent(new Event("copy")));
    this.panel.querySelector(".clear").addEventListener("click", () => this.clear());
  }

  clear() {
    for (const select of Object.values(this.selects)) select.value = "";
    this.wild.value = this.usual;
    this.opening.value = "";
    this.showLock(false);
    this.showWild();
    this.fit();
    this.changed();
  }

  /** Only meters that go with the rhythm can be chosen. */
  fit() {
    const { rhythm, meter } = this.selects;
    const fitting = this.meters[rhythm.value];
    for (const option of meter.options) {
      option.disabled = Boolean(option.value && fitting) && !fitting.includes(option.value);
    }
    if (meter.selectedOptions[0].disabled) meter.value = "";
    for (const select of Object.values(this.selects)) select.parentElement.classList.toggle("changed", select.value !== "");
  }

  showWild() {
    const value = Number(this.wild.value);
    const share = (value - this.wild.min) / (this.wild.max - this.wild.min);
    this.bubble.textContent = value.toFixed(2);
    this.bubble.style.setProperty("--share", share);
    this.wild.title = `temperature ${value.toFixed(2)}`;
    this.wild.setAttribute("aria-valuetext", `temperature ${value.toFixed(2)}`);
  }

  showLock(locked) {
    this.lock.setAttribute("aria-pressed", String(locked));
    this.lock.setAttribute("aria-label", locked ? "Seed locked: unlock" : "Lock this seed");
    this.lock.title = locked ? "The same tune again, until you change a choice" : "Keep this seed for the next tune";
    this.lock.innerHTML = icon(locked ? "lock" : "unlock");
  }

  settle() {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.changed(), SETTLE_MS);
  }

  changed() {
    clearTimeout(this.settling);
    this.dispatchEvent(new Event("change"));
  }
}
