// The Rate page: two tunes, blind, on equal footing; one key a vote.

import { Ballot, randomToken } from "./ballot.js";
import { shortcuts } from "./keys.js";
import { PairQueue, fetchSound } from "./pair_queue.js";
import { ask } from "./queue.js";
import { Side } from "./side.js";

const RATER = "musicgen-rater";
const LOOKS = "musicgen-rate-looks";
const REST_EVERY = 20; // votes
const LISTEN_FIRST = "Hear four seconds of each before you vote.";
const NAMES = ["first", "second"];

/** Bring the page to life. @param {HTMLElement} root the element of ui/static/rate.html */
export async function mount(root) {
  window.musicgen.showTheme();
  window.musicgen.ratePage = new RatePage(root.querySelector(".page"));
}

class RatePage {
  constructor(page) {
    this.page = page;
    this.parts = Object.fromEntries(
      ["counter", "notice", "saved", "begin", "begin-note", "hint", "guide", "rest-words", "rest-taught", "last"]
        .map((name) => [name, page.querySelector(`.${name}`)]),
    );
    this.controls = Object.fromEntries(
      ["undo", "skip", "whole", "scores", "guide-toggle", "rater", "instrument", "go-on", "reveal"]
        .map((name) => [name, page.querySelector(`.${name}`)]),
    );
    this.buttons = [...page.querySelectorAll("[data-choice]")];
    this.trial = new URLSearchParams(location.search).has("trial");
    this.looks = read(LOOKS) ?? {};
    this.controls.rater.value = this.raterName();
    this.sides = NAMES.map((name) => new Side(page.querySelector(`.side.${name}`)));
    this.current = 0; // index of the side that plays, or played last
    this.pair = null;
    this.cast = []; // {pair, choice} of this visit, for undo
    this.began = false;
    this.ballot = new Ballot();
    this.queue = new PairQueue(() => ({
      rater: this.rater,
      instrument: this.instrument,
      trial: this.trial,
    }));
    this.listen();
    this.arrive();
  }

  async arrive() {
    this.showScores(this.looks.scores !== false);
    try {
      const options = await ask(`/api/rate/options?${new URLSearchParams({ rater: this.rater })}`);
      this.showMenu(options.instruments);
      this.showProgress(options.progress);
    } catch (error) {
      this.notify(error.message);
    }
    this.ballot.send(); // what an earlier visit could not save
    await this.next();
  }

  // --- pairs ---------------------------------------------------------------------------------------

  async next() {
    this.pair = null;
    const taken = this.queue.take();
    if (this.queue.isAwaited) {
      this.setState(this.began ? "waiting" : "loading");
      this.sides.forEach((side) => side.clear());
      this.parts["begin-note"].textContent = "Writing the first pairs; this takes a few seconds …";
    }
    this.show(await taken);
  }

  show(pair) {
    this.pair = pair;
    this.current = 0;
    pair.sides.forEach((side, index) => this.sides[index].show(side));
    this.parts.hint.textContent = pair.alike ? "They begin alike; listen where they part." : "Two tunes with the same rhythm and key.";
    this.parts["begin-note"].textContent = "";
    this.notifyTrouble("");
    this.openVote();
    this.markSide();
    if (this.resting) this.setState("rest");
    else if (this.began) this.play(0);
    this.setState(this.resting ? "rest" : this.began ? "listening" : "first");
    this.prepareScores();
  }

  prepareScores() {
    const [coming] = this.queue.upcoming;
    if (coming) coming.sides.forEach((side, index) => this.sides[index].prepare(side));
  }

  begin() {
    if (!this.pair) return;
    this.began = true;
    this.setState("listening");
    this.play(0);
  }

  /** Let one side sound, and only that one. */
  play(index) {
    this.sides[1 - index].player.pause();
    this.current = index;
    this.markSide();
    this.sides[index].player.play();
  }

  toggle() {
    if (!this.pair) return;
    if (!this.began) this.begin();
    else if (this.resting) this.goOn();
    else if (this.sides[this.current].player.playing) this.sides[this.current].player.pause();
    else this.play(this.current);
  }

  /** The other side, at the same place in the music. */
  switchTo(index) {
    if (!this.pair || !this.began || this.resting) return;
    if (index !== this.current) this.sides[index].place = this.sides[this.current].place;
    this.play(index);
  }

  /** Both from the beginning, as often as the rater likes. */
  whole() {
    if (!this.pair) return;
    this.began = true;
    for (const side of this.sides) {
      side.over = true;
      side.seek(0);
    }
    this.setState("listening");
    this.play(this.current);
  }

  // --- votes ---------------------------------------------------------------------------------------

  get mayVote() {
    return Boolean(this.pair) && this.sides.every((side) => side.enough);
  }

  openVote() {
    const open = this.mayVote;
    if (this.page.classList.contains("open") === open) return;
    this.page.classList.toggle("open", open);
    for (const button of this.buttons) button.setAttribute("aria-disabled", String(!open));
    if (open && this.parts.notice.textContent === LISTEN_FIRST) this.notify("");
  }

  vote(choice) {
    if (!this.pair || this.resting) return;
    if (choice !== "skip" && !this.mayVote) {
      this.notify(LISTEN_FIRST, "quiet");
      return;
    }
    const { pair } = this;
    this.sides.forEach((side) => side.player.pause());
    this.ballot.cast({
      pair_id: pair.pair_id,
      choice,
      rater: this.rater,
      listened_ms: this.sides.map((side) => Math.round(side.heard)),
    });
    this.cast.push({ pair, choice });
    this.parts.saved.textContent = "Saving …";
    this.controls.undo.disabled = false;
    this.showLast();
    const votes = this.cast.filter((each) => each.choice !== "skip").length;
    this.resting = choice !== "skip" && votes > 0 && votes % REST_EVERY === 0;
    this.next();
  }

  async undo() {
    const last = this.cast.pop();
    if (!last) return;
    this.resting = false;
    this.controls.undo.disabled = this.cast.length === 0;
    this.sides.forEach((side) => side.player.pause());
    if (this.pair) this.queue.giveBack(this.pair);
    this.show(last.pair);
    this.showLast();
    try {
      const answer = await this.ballot.undo({ pair_id: last.pair.pair_id, rater: this.rater });
      if (answer) this.showProgress(answer.progress);
      this.parts.saved.textContent = "Taken back: vote again.";
    } catch (error) {
      this.notify(`The vote was not taken back. ${error.message}`);
    }
  }

  goOn() {
    this.resting = false;
    this.setState("listening");
    this.play(this.current);
  }

  async reveal() {
    const last = this.cast.at(-1);
    if (!last) return;
    try {
      await this.ballot.send();
      const query = new URLSearchParams({ rater: this.rater });
      const { first, second } = await ask(`/api/rate/${last.pair.pair_id}/reveal?${query}`);
      this.controls.reveal.textContent =
        first === second ? `Both of the last pair are by ${first}.` : `Of the last pair, the first is by ${first}, the second by ${second}.`;
    } catch (error) {
      this.notify(error.message);
    }
  }

  // --- who rates, and how it looks -----------------------------------------------------------------

  get rater() {
    return this.controls.rater.value.trim() || this.raterName();
  }

  raterName() {
    let name = read(RATER);
    if (typeof name !== "string" || !name) {
      name = `rater-${randomToken().slice(0, 6)}`;
      keep(RATER, name);
    }
    return name;
  }

  get instrument() {
    return this.looks.instrument ?? "fiddle";
  }

  showMenu(instruments) {
    const menu = this.controls.instrument;
    menu.replaceChildren(...instruments.map(({ name, label }) => new Option(label, name)));
    if (!instruments.some((each) => each.name === this.instrument)) delete this.looks.instrument;
    menu.value = this.instrument;
  }

  /** Both sides by another instrument, and all that follow. */
  async changeInstrument() {
    this.looks.instrument = this.controls.instrument.value;
    keep(LOOKS, this.looks);
    this.queue.restart();
    const { pair } = this;
    if (!pair) return;
    const { playing } = this.sides[this.current].player;
    try {
      for (const side of pair.sides) {
        side.audio_url = side.audio_url.replace(/\?.*/, `?${new URLSearchParams({ instrument: this.instrument })}`);
        await fetchSound(side);
      }
    } catch (error) {
      this.notify(error.message);
      return;
    }
    if (this.pair !== pair) return;
    pair.sides.forEach((side, index) => this.sides[index].sound(side));
    if (playing) this.play(this.current);
  }

  showScores(shown) {
    this.looks.scores = shown;
    keep(LOOKS, this.looks);
    this.page.classList.toggle("no-scores", !shown);
    this.controls.scores.textContent = shown ? "Hide the scores" : "Show the scores";
  }

  // --- what is shown -------------------------------------------------------------------------------

  listen() {
    this.parts.begin.addEventListener("click", () => this.begin());
    for (const button of this.buttons) button.addEventListener("click", () => this.vote(button.dataset.choice));
    const pressed = {
      skip: () => this.vote("skip"),
      undo: () => this.undo(),
      whole: () => this.whole(),
      scores: () => this.showScores(this.page.classList.contains("no-scores")),
      "guide-toggle": () => this.showGuide(),
      "go-on": () => this.goOn(),
      reveal: () => this.reveal(),
    };
    for (const [name, action] of Object.entries(pressed)) this.controls[name].addEventListener("click", action);
    this.controls.instrument.addEventListener("change", () => this.changeInstrument());
    this.controls.rater.addEventListener("change", () => this.changeRater());
    this.sides.forEach((side, index) => {
      side.addEventListener("heard", () => this.openVote());
      side.addEventListener("play", () => {
        this.began = true;
        if (!this.resting) this.setState("listening");
        this.sides[1 - index].player.pause();
        this.current = index;
        this.markSide();
      });
      side.addEventListener("excerpt", () => {
        if (index === 0 && !this.sides[1].over && this.sides[1].heard === 0) this.play(1);
      });
      side.addEventListener("trouble", (event) => this.notify(event.detail));
    });
    this.ballot.addEventListener("saved", (event) => {
      this.unsaved = false;
      this.notifyTrouble("");
      this.parts.saved.textContent = this.ballot.pending.length === 0 ? "Saved." : "Saving …";
      this.showProgress(event.detail);
    });
    this.ballot.addEventListener("unsaved", (event) => {
      this.unsaved = true;
      const many = this.ballot.pending.length;
      const votes = many === 1 ? "Your vote is" : `Your last ${many} votes are`;
      const kept = many === 1 ? "It stays here and is tried again." : "They stay here and are tried again.";
      this.parts.saved.textContent = "";
      this.notify(`${votes} not saved yet. ${event.detail} ${kept}`);
    });
    this.ballot.addEventListener("refused", (event) => this.notify(`A vote was refused. ${event.detail}`));
    this.queue.addEventListener("change", () => this.prepareScores());
    this.queue.addEventListener("trouble", (event) => {
      if (!this.pair) this.notifyTrouble(event.detail);
    });
    shortcuts({
      1: () => this.vote("first"),
      2: () => this.vote("second"),
      3: () => this.vote("tie"),
      s: () => this.vote("skip"),
      S: () => this.vote("skip"),
      u: () => this.undo(),
      U: () => this.undo(),
      " ": () => this.toggle(),
      ArrowLeft: () => this.switchTo(0),
      ArrowRight: () => this.switchTo(1),
    });
  }

  async changeRater() {
    keep(RATER, this.rater);
    this.cast = [];
    this.controls.undo.disabled = true;
    this.queue.restart();
    try {
      this.showProgress((await ask(`/api/rate/options?${new URLSearchParams({ rater: this.rater })}`)).progress);
    } catch (error) {
      this.notify(error.message);
    }
  }

  setState(state) {
    const before = this.page.dataset.state;
    this.page.dataset.state = state;
    // Behind the welcome and the rest they are faint, and not in the keyboard's way.
    const faint = ["first", "loading", "rest"].includes(state);
    for (const { element } of this.sides) element.inert = faint;
    if (state !== "rest") return;
    this.controls["go-on"].focus();
    if (before !== "rest") this.showLessons();
  }

  /** What the votes have taught so far: once the last of them is saved. */
  async showLessons() {
    const taught = this.parts["rest-taught"];
    taught.textContent = "\u00a0";
    try {
      await this.ballot.send();
      const { leanings } = await ask(`/api/rate/lessons?${new URLSearchParams({ rater: this.rater })}`);
      taught.textContent = leanings.length
        ? `So far you lean towards ${inWords(leanings)}.`
        : "Nothing is sure yet about what you like; more votes will tell.";
    } catch { /* a rest without it is a rest too */ }
  }

  markSide() {
    this.sides.forEach((side, index) => side.element.classList.toggle("current", index === this.current));
  }

  showProgress({ votes, an_hour: anHour, agreement, repeats }) {
    const words = [`${votes} ${votes === 1 ? "vote" : "votes"}`];
    if (anHour) words.push(`${anHour} an hour`);
    if (repeats > 0) words.push(`alike on ${Math.round(agreement * repeats)} of ${repeats} heard twice`);
    this.parts.counter.textContent = words.join(" · ");
    this.parts["rest-words"].textContent =
      `${REST_EVERY} more votes are cast.` +
      (repeats === 1 ? ` One pair came twice: you decided it ${agreement > 0.5 ? "alike" : "differently"}.` : "") +
      (repeats > 1 ? ` Of ${repeats} pairs that came twice you decided ${Math.round(agreement * repeats)} alike.` : "") +
      " Tired ears vote at random: rest as long as you like.";
  }

  showLast() {
    this.parts.last.hidden = this.cast.length === 0;
    this.controls.reveal.textContent = "Who wrote the last pair?";
  }

  showGuide() {
    const { guide } = this.parts;
    guide.hidden = !guide.hidden;
    this.controls["guide-toggle"].setAttribute("aria-expanded", String(!guide.hidden));
  }

  notify(message, tone = "trouble") {
    const { notice } = this.parts;
    notice.textContent = message;
    notice.hidden = !message;
    notice.classList.toggle("quiet", tone === "quiet");
  }

  /** A trouble that ends by itself; it does not hide that a vote is unsaved. */
  notifyTrouble(message) {
    if (this.unsaved) return;
    this.notify(message);
    if (this.page.dataset.state === "loading" && message) this.parts["begin-note"].textContent = "";
  }
}

/** ["a", "b", "c"] -> "a, b and c" */
function inWords(list) {
  return list.length < 2 ? list.join("") : `${list.slice(0, -1).join(", ")} and ${list.at(-1)}`;
}

function read(key) {
  try { return JSON.parse(localStorage.getItem(key)); } catch { return null; } // forbidden or damaged
}

function keep(key, value) {
  try { localStorage.setItem(key, JSON.stringify(value)); } catch { /* forgotten on the next visit */ }
}
