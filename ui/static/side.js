// One side of a pair: its player, how long it was heard, and the part of it that plays by itself.

import { Player } from "/player/player.js";

export const ENOUGH_MS = 4000; // heard of each side before a vote
const TICK_MS = 50;

/** Events: "heard" (a little more), "excerpt" (its part is over), "play", "trouble". */
export class Side extends EventTarget {
  /** @param {HTMLElement} element a section with .score-at, .transport-at and .ring */
  constructor(element) {
    super();
    this.element = element;
    this.ring = element.querySelector(".ring");
    const scroller = element.querySelector(".score-box");
    this.player = new Player({
      scoreAt: element.querySelector(".score-at"),
      transportAt: element.querySelector(".transport-at"),
      scroller,
    });
    for (const name of ["play", "pause"]) {
      this.player.addEventListener(name, () => this.dispatchEvent(new Event(name)));
    }
    this.player.addEventListener("ended", () => this.excerptOver());
    this.player.addEventListener("trouble", (event) => {
      this.dispatchEvent(new CustomEvent("trouble", { detail: event.detail }));
    });
    this.heard = 0;
    this.last = performance.now();
    setInterval(() => this.tick(), TICK_MS);
  }

  /** Show a side of a new pair, ready to play from where the two part. */
  show(side) {
    this.side = side;
    this.heard = 0;
    this.over = false; // its part has been heard; from now on it plays to the end
    this.player.load(side, { sound: side.sound });
    this.element.querySelector(".score-box").scrollTop = 0;
    this.seek(side.from_ms / 1000);
    this.showRing();
  }

  prepare(side) {
    this.player.prepare(side);
  }

  clear() {
    this.side = null;
    this.heard = 0;
    this.player.clear();
    this.showRing();
  }

  /** The same side by another instrument, from the same place on. */
  sound(side) {
    const at = this.player.time;
    this.side = side;
    this.player.tune = side;
    this.player.setSource(side.audio_url, side.sound);
    this.seek(at);
  }

  seek(seconds) {
    this.player.seek(seconds);
    this.player.frame();
  }

  get enough() {
    return this.heard >= ENOUGH_MS;
  }

  /** Seconds since the place where the two sides part. */
  get place() {
    return this.side ? this.player.time - this.side.from_ms / 1000 : 0;
  }

  set place(seconds) {
    this.seek(Math.max(0, seconds + this.side.from_ms / 1000));
  }

  tick() {
    const now = performance.now();
    const passed = Math.min(now - this.last, 10 * TICK_MS); // a sleeping page hears nothing
    this.last = now;
    if (!this.side || !this.player.playing || this.player.time === this.lastTime) return;
    this.lastTime = this.player.time;
    const enough = this.enough;
    this.heard += passed;
    if (!enough) this.showRing();
    this.dispatchEvent(new Event("heard"));
    // Who came over late from the other side hears enough of this one all the same.
    if (!this.over && this.enough && this.player.time * 1000 >= this.side.until_ms) this.excerptOver();
  }

  excerptOver() {
    if (!this.side) return;
    this.over = true;
    this.player.pause();
    this.dispatchEvent(new Event("excerpt"));
  }

  showRing() {
    const share = Math.min(1, this.heard / ENOUGH_MS);
    this.ring.style.setProperty("--share", share.toFixed(3));
    this.ring.classList.toggle("full", share === 1);
  }
}
