// One player, used on every page: a score, our own <audio>, a thin position line, play and pause,
// instrument and tempo. It gets {id, abc, audio_url, onsets_ms, spans} and knows nothing of models or votes.
//
//   const player = new Player({ scoreAt, transportAt, instruments, tempos, fetchRendition });
//   player.load(tune); player.play(); player.addEventListener("ended", next);
//
// Events: "play", "pause", "ended", "note" (another note sounds), "rendition" (instrument or tempo
// chosen), "trouble" (detail: a sentence for the reader).

import { Score } from "./score.js";
import { icon } from "./icons.js";

const FOLLOW_AGAIN_MS = 6000; // after the reader scrolled, how long the page stays where it is
const PREPARE_MS = 700; // drawing a score takes a while: not when another tune has just begun
const STORED = "musicgen-player";
const SILENCE = "data:audio/wav;base64,UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

export class Player extends EventTarget {
  /**
   * @param {object} options
   * @param {HTMLElement} options.scoreAt where the score is drawn
   * @param {HTMLElement} options.transportAt where position line and buttons go
   * @param {{name: string, label: string}[]} [options.instruments] none: the page decides
   * @param {{percent: number, label: string}[]} [options.tempos] none: the page decides
   * @param {(id: string, rendition: object) => Promise<object>} [options.fetchRendition] the same tune
   *        by another instrument or at another tempo
   * @param {HTMLElement} [options.scroller] what scrolls to keep the sounding line in view, if not the
   *        window
   */
  constructor({ scoreAt, transportAt, instruments = [], tempos = [], fetchRendition = null, scroller = null }) {
    super();
    this.fetchRendition = fetchRendition;
    this.scroller = scroller;
    this.tune = null;
    this.score = new Score(scoreAt);
    this.audio = audioElement();
    this.spare = audioElement(); // takes in the sound of the tune that comes next
    this.ahead = null; // {sound, url} in it
    this.index = -1; // of the sounding onset
    this.scrolledAt = -Infinity;
    this.ownScroll = 0;
    this.buildTransport(transportAt, instruments, tempos);
    this.listen();
  }

  // --- what a page calls ---------------------------------------------------------------------------

  /**
   * Show a tune and make its sound ready, or with `play` start it.
   * @param {{sound?: Blob, play?: boolean}} options `sound` was fetched ahead, if there is one
   */
  load(tune, { sound = null, play = false } = {}) {
    this.tune = tune;
    this.index = -1;
    this.setSource(tune.audio_url, sound);
    if (play) this.play(); // the sound starts while the score is drawn
    this.print(tune);
    this.score.light([]);
    this.showPosition(0);
    this.transport.classList.remove("waiting");
  }

  /** Empty staves and silence, until the next load(). */
  clear() {
    this.tune = null;
    this.index = -1;
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.score.showStaves();
    this.transport.classList.remove("playing");
    this.transport.classList.add("waiting");
    this.showPosition(0);
    this.line.disabled = true;
  }

  /** Show a tune's score only. */
  print(tune) {
    if (this.score.abc !== tune.abc || !this.score.svg) this.score.draw(tune.abc);
  }

  /**
   * Make the tune that comes next ready: its sound, if it is there already, in the second audio
   * element, and its score when there is time.
   * @param {Blob} [sound]
   */
  prepare(tune, sound = null) {
    if (sound && sound !== this.ahead?.sound) {
      if (this.ahead) URL.revokeObjectURL(this.ahead.url);
      this.ahead = { sound, url: URL.createObjectURL(sound) };
      this.spare.src = this.ahead.url;
      this.spare.load();
    }
    clearTimeout(this.preparing);
    const later = window.requestIdleCallback ?? ((work) => work());
    this.preparing = setTimeout(() => later(() => tune !== this.tune && this.score.prepare(tune.abc)), PREPARE_MS);
  }

  /** Start or go on. Resolves to whether sound is coming; a browser may want a press first. */
  async play() {
    if (!this.tune) return false;
    this.unlockSpare();
    try {
      await this.audio.play();
      return true;
    } catch (error) {
      // A newer load() or pause() took over, or there was no press yet: neither is a fault.
      if (error.name === "AbortError" || error.name === "NotAllowedError") return false;
      this.reportSilence();
      return false;
    }
  }

  /** To be called in a press when the tune is not there yet: browsers then let it play later. */
  unlock() {
    this.audio.src = SILENCE;
    this.audio.play().catch(() => {}); // then the first tune waits for a press on play
  }

  /** A browser that lets an element play after a press only is given that press for both. */
  unlockSpare() {
    if (this.unlocked || !navigator.userActivation?.isActive) return;
    this.unlocked = true;
    if (this.ahead) return; // a play now would be heard; the press on "next" will do
    this.spare.src = SILENCE;
    this.spare.play().catch(() => {});
  }

  pause() {
    this.audio.pause();
  }

  toggle() {
    return this.playing ? this.pause() : this.play();
  }

  get playing() {
    return !this.audio.paused && !this.audio.ended;
  }

  /** Position in seconds of sound. */
  get time() {
    return this.audio.currentTime;
  }

  seek(seconds) {
    this.audio.currentTime = Math.max(0, Math.min(seconds, this.duration - 0.05));
    this.scrolledAt = -Infinity;
    this.follow();
  }

  /** Length in seconds: of the sound once it is known, of the score before. */
  get duration() {
    if (!this.tune) return 0;
    return Number.isFinite(this.audio.duration) ? this.audio.duration : this.tune.seconds;
  }

  /** {instrument, tempo} that the reader chose; tempo in percent. */
  get rendition() {
    return { instrument: this.instrument?.value, tempo: Number(this.tempo?.value ?? 100) };
  }

  /** Put a button or other control before or after the play button. */
  addControl(element, where = "after") {
    if (where === "before") this.playButton.before(element);
    else this.gap.before(element);
    return element;
  }

  /** Keys of the keyboard's media row, of headphones, of the lock screen. */
  mediaKeys({ previous, next, title, artist }) {
    const session = navigator.mediaSession;
    if (!session) return;
    session.metadata = new MediaMetadata({ title, artist });
    const actions = {
      play: () => this.play(),
      pause: () => this.pause(),
      previoustrack: previous,
      nexttrack: next,
      seekto: (details) => this.seek(details.seekTime),
    };
    for (const [name, action] of Object.entries(actions)) {
      try { session.setActionHandler(name, action ?? null); } catch { /* a browser without this key */ }
    }
  }

  // --- building ------------------------------------------------------------------------------------

  buildTransport(at, instruments, tempos) {
    const option = (value, label) => `<option value="${value}">${label}</option>`;
    const menu = (name, label, options) => (options.length ? `
        <label class="choice"><span class="unseen">${label}</span><select class="${name}">${options.join("")}</select></label>` : "");
    at.classList.add("transport", "waiting");
    at.innerHTML = `
      <div class="position">
        <input type="range" min="0" max="1000" step="1" value="0" aria-label="Position in the tune" disabled>
        <output class="clock"><span class="at">0:00</span> / <span class="of">0:00</span></output>
      </div>
      <div class="buttons">
        <button type="button" class="icon play" aria-label="Play">${icon("play")}${icon("pause")}</button>
        <span class="gap"></span>
        ${menu("instrument", "Instrument", instruments.map((each) => option(each.name, each.label)))}
        ${menu("tempo", "Tempo", tempos.map((each) => option(each.percent, each.label)))}
      </div>`;
    this.transport = at;
    this.line = at.querySelector("input");
    this.clock = { at: at.querySelector(".at"), of: at.querySelector(".of") };
    this.playButton = at.querySelector(".play");
    this.gap = at.querySelector(".gap");
    this.instrument = at.querySelector(".instrument");
    this.tempo = at.querySelector(".tempo");
    const { instrument, tempo = 100 } = stored();
    if (instruments.some((each) => each.name === instrument)) this.instrument.value = instrument;
    if (tempos.some((each) => each.percent === tempo)) this.tempo.value = String(tempo);
  }

  listen() {
    this.playButton.addEventListener("click", () => this.toggle());
    for (const select of [this.instrument, this.tempo]) {
      select?.addEventListener("change", () => this.changeRendition());
    }
    for (const audio of [this.audio, this.spare]) this.listenTo(audio);
    this.line.addEventListener("input", () => this.seek((this.line.value / 1000) * this.duration));
    this.score.element.addEventListener("click", (event) => this.playFrom(event));
    for (const name of ["wheel", "touchmove"]) {
      addEventListener(name, () => { this.scrolledAt = performance.now(); }, { passive: true });
    }
    const tick = () => {
      if (this.playing) this.frame();
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  // --- sound ---------------------------------------------------------------------------------------

  /** What an audio element tells counts while it is the one that is heard. */
  listenTo(audio) {
    const on = (name, action) => audio.addEventListener(name, () => audio === this.audio && action());
    for (const name of ["play", "pause"]) on(name, () => this.tune && this.onState(name));
    on("ended", () => {
      if (!this.tune) return; // that was unlock()
      this.onState("pause");
      this.light(-1);
      this.dispatchEvent(new Event("ended"));
    });
    for (const name of ["loadedmetadata", "seeked", "timeupdate"]) on(name, () => this.frame());
    on("error", () => this.reportSilence());
  }

  setSource(url, blob) {
    if (this.blobUrl) URL.revokeObjectURL(this.blobUrl);
    if (blob && this.ahead?.sound === blob) {
      [this.audio, this.spare] = [this.spare, this.audio]; // decoded already
      this.spare.pause();
      this.spare.removeAttribute("src");
      this.blobUrl = this.ahead.url;
      this.ahead = null;
    } else {
      this.blobUrl = blob ? URL.createObjectURL(blob) : null;
      this.audio.src = this.blobUrl ?? url;
    }
    this.line.disabled = false;
  }

  onState(state) {
    const playing = state === "play";
    this.transport.classList.toggle("playing", playing);
    this.playButton.setAttribute("aria-label", playing ? "Pause" : "Play");
    if (navigator.mediaSession) navigator.mediaSession.playbackState = playing ? "playing" : "paused";
    this.dispatchEvent(new Event(state));
  }

  /** The same tune by another instrument or at another tempo, from the same note on. */
  async changeRendition() {
    store(this.rendition);
    this.dispatchEvent(new Event("rendition"));
    const tune = this.tune;
    if (!tune) return;
    const wanted = this.rendition;
    let changed;
    let sound;
    try {
      changed = await this.fetchRendition(tune.id, wanted);
      const answer = await fetch(changed.audio_url);
      if (!answer.ok) throw new Error((await answer.json()).error);
      sound = await answer.blob();
    } catch (error) {
      this.report(error.message);
      return;
    }
    if (this.tune !== tune || JSON.stringify(wanted) !== JSON.stringify(this.rendition)) return;
    const wasPlaying = this.playing;
    const at = sameMusicalTime(tune.onsets_ms, changed.onsets_ms, this.time * 1000) / 1000;
    this.tune = changed;
    this.setSource(changed.audio_url, sound);
    this.audio.currentTime = at;
    if (wasPlaying) await this.play();
    this.frame();
    this.dispatchEvent(new Event("changed"));
  }

  async reportSilence() {
    if (!this.tune || !this.audio.error) return;
    let message = "The sound of this tune could not be played; go on to the next one.";
    try {
      const answer = await fetch(this.tune.audio_url);
      if (!answer.ok) message = (await answer.json()).error ?? message;
    } catch {
      message = "The app does not answer any more; start it again in the terminal.";
    }
    this.report(message);
  }

  report(message) {
    this.dispatchEvent(new CustomEvent("trouble", { detail: message }));
  }

  // --- score and position --------------------------------------------------------------------------

  frame() {
    if (!this.tune) return;
    const seconds = this.time;
    this.showPosition(seconds);
    if (seconds === 0 && !this.playing) return; // nothing has sounded yet
    const index = lastOnset(this.tune.onsets_ms, seconds * 1000);
    if (index !== this.index || (index >= 0 && this.score.lit.length === 0)) this.light(index);
  }

  light(index) {
    this.index = index;
    const { onsets_ms: onsets, spans } = this.tune;
    const starts = [];
    for (let each = index; each >= 0 && onsets[each] === onsets[index]; each -= 1) starts.push(spans[each][0]);
    this.score.light(starts);
    if (index >= 0) {
      this.follow();
      this.dispatchEvent(new Event("note"));
    }
  }

  showPosition(seconds) {
    const whole = this.duration;
    const place = String(Math.round(whole ? (seconds / whole) * 1000 : 0));
    if (this.line.dataset.place !== place) {
      this.line.dataset.place = place; // each change is a repaint: no more of them than can be seen
      this.line.value = place;
      this.line.style.setProperty("--at", `${place / 10}%`);
    }
    const [at, of] = [clock(seconds), clock(whole)];
    if (this.clock.at.textContent !== at) {
      this.clock.at.textContent = at;
      this.line.setAttribute("aria-valuetext", `${at} of ${of}`);
    }
    if (this.clock.of.textContent !== of) this.clock.of.textContent = of;
  }

  /** Play from the note that was pressed; of its repeats, the one nearest in time. */
  playFrom(event) {
    const note = this.score.noteNear(event.clientX, event.clientY);
    if (!note || !this.tune) return;
    const now = this.time * 1000;
    // A tied note or a rest has no onset of its own: the note before it in the text has.
    const sounding = Math.max(...this.tune.spans.map(([start]) => (start < note.end ? start : -1)));
    let nearest = -1;
    this.tune.spans.forEach(([start], index) => {
      if (start !== sounding) return;
      const onset = this.tune.onsets_ms[index];
      if (nearest < 0 || Math.abs(onset - now) < Math.abs(this.tune.onsets_ms[nearest] - now)) nearest = index;
    });
    if (nearest < 0) return;
    this.seek(this.tune.onsets_ms[nearest] / 1000 + 0.001);
    this.frame();
    this.play();
  }

  /** Keep the sounding line, and the one after it, in view unless the reader is looking elsewhere. */
  follow() {
    const [note] = this.score.lit;
    if (!note || !this.playing) return;
    const box = this.score.lineBox(note.line);
    if (!box) return;
    const frame = this.scroller?.getBoundingClientRect();
    const top = (frame?.top ?? 0) + 8;
    const bottom = (frame?.bottom ?? this.transport.getBoundingClientRect().top) - 8;
    const inView = box.top >= top && box.bottom <= bottom;
    if (inView) this.scrolledAt = -Infinity;
    if (performance.now() - this.scrolledAt < FOLLOW_AGAIN_MS) return;
    if (performance.now() < this.ownScroll) return;
    const next = this.score.lineBox(note.line + 1) ?? box;
    if (inView && next.bottom <= bottom + 1) return;
    const room = bottom - top;
    const goal = next.bottom - box.top <= room ? box.top - top - Math.max(0, Math.min(box.height, (room - (next.bottom - box.top)) / 2)) : box.top - top;
    if (Math.abs(goal) < 4) return;
    this.ownScroll = performance.now() + 700; // a smooth scroll takes a while: not again meanwhile
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    (this.scroller ?? window).scrollBy({ top: goal, behavior: still ? "instant" : "smooth" });
  }
}

function audioElement() {
  const audio = new Audio();
  audio.preload = "auto";
  return audio;
}

/** Index of the last onset that is not after `ms`, -1 before the first. */
export function lastOnset(onsets, ms) {
  let low = 0;
  let high = onsets.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (onsets[middle] <= ms) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Time in a second rendition of the music that sounds at `ms` in the first. */
function sameMusicalTime(before, after, ms) {
  const index = lastOnset(before, ms);
  const [last, lastAfter] = [before.at(-1), after.at(-1)];
  if (index < 0 || !last) return 0;
  return after[index] + ((ms - before[index]) * lastAfter) / last;
}

function clock(seconds) {
  const whole = Math.floor(seconds + 0.001);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function stored() {
  try { return JSON.parse(localStorage.getItem(STORED)) ?? {}; } catch { return {}; } // forbidden or damaged
}

function store(rendition) {
  try { localStorage.setItem(STORED, JSON.stringify(rendition)); } catch { /* forgotten on the next visit */ }
}
