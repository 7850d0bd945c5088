// The Listen page: one press, and tunes that nobody has heard play one after another.

import { icon } from "/player/icons.js";
import { Player } from "/player/player.js";
import { ChoiceRow } from "./choices.js";
import { KeptList } from "./kept.js";
import { shortcuts } from "./keys.js";
import { Entry, Queue, ask } from "./queue.js";

const HISTORY = 50; // tunes that "previous" goes back through
const NO_SCORE = "Tunes will play without their scores: abcjs is missing. Run ./run assets and reload the page.";
const TRY_AGAIN = "Try again";
const RESTART_AFTER_S = 3; // later than this, "previous" goes to the beginning of the tune first

// Asked for while Gradio is still loading.
const optionsAnswer = ask("/api/listen/options");
optionsAnswer.catch(() => {}); // told when the page is there

/** Bring the page to life. @param {HTMLElement} root the element of ui/static/listen.html */
export async function mount(root) {
  const page = root.querySelector(".page");
  window.musicgen.showTheme();
  let options;
  try {
    options = await optionsAnswer;
  } catch (error) {
    page.dataset.state = "first";
    page.querySelector(".start").hidden = true;
    page.querySelector(".welcome-note").textContent = error.message;
    return;
  }
  window.musicgen.listenPage = new ListenPage(page, options);
}

class ListenPage {
  constructor(page, options) {
    this.page = page;
    this.options = options;
    this.history = [];
    this.place = -1; // in the history
    this.wish = {}; // what was chosen; text that is still being typed is not
    this.parts = Object.fromEntries(
      ["tune-title", "tune-sub", "welcome-line", "welcome-note", "start", "notice", "up-next", "downloads", "stage"]
        .map((name) => [name, page.querySelector(`.${name}`)]),
    );
    this.player = new Player({
      scoreAt: page.querySelector(".score-at"),
      transportAt: page.querySelector(".transport-at"),
      instruments: options.instruments,
      tempos: options.tempos,
      fetchRendition: (id, rendition) => ask(`/api/tunes/${id}?${new URLSearchParams(rendition)}`),
    });
    this.addButtons();
    this.choices = new ChoiceRow(page.querySelector(".choices"), page.querySelector(".more-panel"));
    this.choices.offer(options);
    this.kept = new KeptList(page.querySelector(".kept"), page.querySelector(".kept-count"));
    this.kept.show(options.kept);
    this.parts["welcome-note"].textContent = options.fault ?? (window.ABCJS ? "" : NO_SCORE);
    this.queue = new Queue(() => ({ ...this.wish, ...this.player.rendition }));
    this.listen();
    this.arrive();
  }

  // --- first visit ---------------------------------------------------------------------------------

  /** An address of a tune shows that tune; else the first new tune lies faint behind the button. */
  async arrive() {
    const id = /^\/tune\/([^/]+)/.exec(location.pathname)?.[1];
    if (id) {
      try {
        const tune = await this.player.fetchRendition(id, this.player.rendition);
        this.parts["welcome-line"].textContent = tune.subtitle;
        this.page.querySelector(".welcome h1").textContent = tune.title;
        this.parts.start.textContent = "Play this tune";
        this.welcome(new Entry(tune));
        this.queue.fill();
        return;
      } catch (error) {
        this.parts["welcome-note"].textContent = error.message;
      }
    }
    const entry = await this.queue.take();
    this.welcome(entry);
  }

  welcome(entry) {
    this.first = entry;
    if (this.parts.start.textContent === TRY_AGAIN) {
      this.parts.start.textContent = "Start listening"; // the trouble is over
      this.parts["welcome-note"].textContent = "";
    }
    if (this.waiting) {
      this.start(); // pressed before the tune was there
      return;
    }
    this.setState("first");
    this.player.print(entry.tune);
    entry.fetchSound().then(() => {
      if (this.first === entry && entry.sound) this.player.load(entry.tune, entry);
    });
  }

  start() {
    const entry = this.first;
    if (!entry) {
      this.setState("waiting");
      this.parts["tune-sub"].textContent = "Writing the first tune …";
      this.player.unlock();
      this.queue.fill();
      return;
    }
    this.first = null;
    if (this.player.tune !== entry.tune) this.player.load(entry.tune, entry);
    this.history = [entry.tune];
    this.place = 0;
    this.announce(entry.tune);
    this.player.play();
  }

  // --- tunes ---------------------------------------------------------------------------------------

  show(entry) {
    this.turn = null;
    this.player.load(entry.tune, { sound: entry.sound, play: true });
    this.announce(entry.tune);
    this.page.scrollIntoView({ block: "start", behavior: "instant" });
    this.prepareScore();
  }

  prepareScore() {
    if (this.first) return;
    const [entry] = this.queue.upcoming;
    const again = this.history[this.place + 1]; // after "previous"
    if (again) this.player.prepare(again);
    else if (entry) this.player.prepare(entry.tune, entry.sound);
  }

  announce(tune) {
    this.parts["tune-title"].textContent = tune.title;
    this.parts["tune-sub"].textContent = tune.subtitle;
    document.title = `${tune.title} · ${tune.subtitle}`;
    history.replaceState(null, "", `/tune/${tune.id}`);
    this.changed = false;
    this.choices.showSeed(tune.seed);
    this.notify("");
    this.showHeart();
    this.showDownloads();
    this.showNext();
    this.setState(this.player.playing ? "playing" : "paused");
    this.player.mediaKeys({ title: tune.title, artist: tune.subtitle, previous: () => this.previous(), next: () => this.next() });
  }

  async next() {
    if (this.first) return this.start();
    if (this.waiting) {
      this.queue.fill(); // asks again if it had given up
      return;
    }
    if (this.place < this.history.length - 1) {
      this.place += 1;
      this.show(new Entry(this.history[this.place]));
      return;
    }
    const turn = (this.turn = {});
    const taken = this.queue.take();
    if (this.queue.isAwaited) this.wait();
    const entry = await taken;
    if (this.turn !== turn) {
      this.queue.giveBack(entry); // the reader went elsewhere meanwhile
      return;
    }
    this.history.push(entry.tune);
    this.history.splice(0, this.history.length - HISTORY);
    this.place = this.history.length - 1;
    this.show(entry);
  }

  previous() {
    const restart = this.player.time > RESTART_AFTER_S || this.place <= 0;
    if (restart && !this.waiting) {
      this.player.seek(0);
      return;
    }
    if (!this.waiting) this.place -= 1;
    if (this.place < 0) return;
    this.show(new Entry(this.history[this.place]));
  }

  async playKept(id) {
    this.showView("tune");
    try {
      const tune = await this.player.fetchRendition(id, this.player.rendition);
      this.first = null;
      this.history.splice(this.place + 1, 0, tune);
      this.place += 1;
      this.show(new Entry(tune));
    } catch (error) {
      this.notify(error.message);
    }
  }

  /** A tune like the one that plays takes its place; "previous" leads back. */
  async tweak() {
    const { tune } = this.player;
    if (!tune || this.vary.disabled) return;
    this.vary.disabled = true;
    try {
      const query = new URLSearchParams(this.player.rendition);
      const varied = await ask(`/api/tunes/${tune.id}/tweak?${query}`, { method: "POST" });
      if (this.player.tune !== tune) return; // another tune plays by now
      this.first = null;
      this.history.splice(this.place + 1, 0, varied);
      this.place += 1;
      this.show(new Entry(varied));
      this.notify("Some bars of that tune are new; the others are as they were.", "quiet");
    } catch (error) {
      this.notify(error.message);
    } finally {
      this.vary.disabled = false;
    }
  }

  wait() {
    this.setState("waiting");
    this.player.clear();
    this.parts["tune-title"].textContent = "\u00a0";
    this.parts["tune-sub"].textContent = `Writing ${this.choices.words || "the next tune"} …`;
  }

  // --- controls ------------------------------------------------------------------------------------

  addButtons() {
    const button = (name, label, action) => {
      const element = document.createElement("button");
      element.type = "button";
      element.className = `icon ${name}`;
      element.innerHTML = icon(name);
      element.title = label;
      element.setAttribute("aria-label", label);
      element.addEventListener("click", action);
      return element;
    };
    this.player.addControl(button("previous", "Previous tune", () => this.previous()), "before");
    this.player.addControl(button("next", "Next tune", () => this.next()));
    this.vary = this.player.addControl(button("vary", "Vary this tune: some bars anew, the others kept", () => this.tweak()));
    this.heart = this.player.addControl(button("heart", "Keep this tune", () => {
      const { tune } = this.player;
      if (tune) this.kept.keep(tune.id, !this.kept.has(tune.id));
    }));
  }

  listen() {
    this.parts.start.addEventListener("click", () => this.start());
    this.player.addEventListener("play", () => {
      if (this.first) this.start();
      this.setState("playing");
    });
    this.player.addEventListener("pause", () => {
      if (this.page.dataset.state === "playing") this.setState("paused");
    });
    this.player.addEventListener("ended", () => this.next());
    this.player.addEventListener("trouble", (event) => this.notify(event.detail));
    this.player.addEventListener("rendition", () => this.rerender());
    this.choices.addEventListener("change", () => {
      this.changed = true; // since the tune began
      this.wish = this.choices.chosen;
      this.queue.restart();
      if (!this.first) this.showNext();
    });
    this.choices.addEventListener("borrow", () => this.borrow());
    this.choices.addEventListener("copy", () => this.copyAddress());
    this.queue.addEventListener("change", () => {
      if (this.troubled && !this.queue.trouble) this.notify("");
      this.showNext();
      this.prepareScore();
      this.completeMenus();
    });
    this.queue.addEventListener("trouble", () => this.showTrouble());
    this.kept.addEventListener("change", () => this.showHeart());
    this.kept.addEventListener("play", (event) => this.playKept(event.detail));
    this.kept.addEventListener("trouble", (event) => this.notify(event.detail));
    for (const link of this.page.querySelectorAll(".page-top nav a")) {
      const view = { "/": "tune", "#kept": "kept" }[link.getAttribute("href")];
      if (!view) continue;
      link.addEventListener("click", (event) => {
        event.preventDefault(); // the music goes on
        this.showView(view);
      });
    }
    shortcuts({
      " ": () => (this.first || this.page.dataset.state === "loading" ? this.start() : this.player.toggle()),
      ArrowRight: () => this.next(),
      ArrowLeft: () => this.previous(),
    });
  }

  /** Tunes that were fetched ahead sound like the one that plays. */
  async rerender() {
    const { rendition } = this.player;
    for (const entry of this.queue.upcoming) {
      try {
        entry.tune = await this.player.fetchRendition(entry.tune.id, rendition);
        entry.sound = null;
        await entry.fetchSound();
      } catch { /* it plays as it was */ }
    }
    this.showDownloads();
  }

  /** The next tunes begin with this one's first two bars, in its rhythm, meter and key. */
  borrow() {
    const { tune } = this.player;
    if (!tune) return;
    for (const name of ["rhythm", "meter", "key"]) this.choices.set(name, tune[name] ?? "");
    this.choices.opening.value = tune.beginning;
    this.choices.fit();
    this.choices.changed();
  }

  async copyAddress() {
    const address = `${location.origin}/tune/${this.player.tune?.id ?? ""}`;
    try {
      await navigator.clipboard.writeText(address);
      this.notify("The address is copied.", "quiet");
    } catch {
      this.notify(`The address of this tune: ${address}`, "quiet"); // no clipboard on this connection
    }
  }

  /** Before the model was loaded the menus held everything; now they hold what it knows. */
  async completeMenus() {
    if (this.options.complete || this.completing) return;
    this.completing = true;
    try {
      this.options = await ask("/api/listen/options");
      this.choices.offer(this.options);
    } catch { /* the menus stay as they are */ }
    this.completing = false;
  }

  // --- what is shown -------------------------------------------------------------------------------

  get waiting() {
    return this.page.dataset.state === "waiting";
  }

  setState(state) {
    this.page.dataset.state = state;
  }

  notify(message, tone = "trouble") {
    const { notice } = this.parts;
    this.troubled = false;
    notice.textContent = message;
    notice.hidden = !message;
    notice.classList.toggle("quiet", tone === "quiet");
  }

  showTrouble() {
    const { message } = this.queue.trouble;
    if (this.place < 0) {
      this.setState("first");
      this.parts["welcome-note"].textContent = message;
      if (!this.first) this.parts.start.textContent = TRY_AGAIN;
    } else {
      this.notify(message);
      this.troubled = true; // until a tune comes
    }
  }

  showHeart() {
    const kept = this.player.tune !== null && this.kept.has(this.player.tune.id);
    this.heart.setAttribute("aria-pressed", String(kept));
    this.heart.title = kept ? "Kept; press to let it go" : "Keep this tune";
  }

  showNext() {
    const { upcoming } = this.queue;
    const words = upcoming.map((entry) => entry.tune.words);
    const chosen = this.choices.words;
    let line = "";
    if (this.choices.locked) line = "Seed locked: this tune comes again; change a choice to hear it varied.";
    else if (words.length) line = `${this.changed ? "From the next tune on" : "Up next"}: ${words.join(" · ")}`;
    else if (!this.queue.trouble) line = `From the next tune on: writing ${chosen || "something new"} …`;
    this.parts["up-next"].textContent = line || "\u00a0";
  }

  showDownloads() {
    const { tune, rendition } = this.player;
    if (!tune) return;
    const query = new URLSearchParams(rendition);
    const links = this.options.formats.map(({ name, label }) => {
      const link = document.createElement("a");
      link.className = "link";
      link.textContent = label;
      link.href = `/api/tunes/${tune.id}/file.${name}?${query}`;
      link.download = "";
      return link;
    });
    const picture = document.createElement("button");
    picture.type = "button";
    picture.className = "link";
    picture.textContent = "SVG";
    picture.addEventListener("click", () => this.savePicture());
    const label = document.createElement("span");
    label.className = "quiet";
    label.textContent = "Download";
    this.parts.downloads.replaceChildren(label, ...links, picture);
  }

  savePicture() {
    const { svg } = this.player.score;
    if (!svg) return;
    const copy = svg.cloneNode(true);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("style", "color:#1F1B16;background:#fff;font-family:Georgia,serif");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([copy.outerHTML], { type: "image/svg+xml" }));
    link.download = `${this.player.tune.title}.svg`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  /** "tune": the score; "kept": the list of kept tunes in its place, while the music goes on. */
  showView(view) {
    this.page.dataset.view = view;
    this.kept.element.hidden = view !== "kept";
    for (const link of this.page.querySelectorAll(".page-top nav a")) {
      const current = (link.getAttribute("href") === "#kept") === (view === "kept");
      if (current) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    scrollTo({ top: 0, behavior: "instant" });
  }
}
