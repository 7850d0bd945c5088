// The tunes that come next: asked from the server ahead of time, with their sound.

const AHEAD = 2;
const RETRY_MS = 3000;

/** An answer that is not a tune; `message` is a sentence for the reader. */
export class Refusal extends Error {}

/** fetch() whose answer is JSON; raises Refusal with the server's sentence, or one of ours. */
export async function ask(url, options = {}) {
  let answer;
  try {
    answer = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const gone = new Refusal("The app does not answer. Start it again in the terminal; this page will go on by itself.");
    gone.offline = true;
    throw gone;
  }
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const refusal = new Refusal(data.error ?? "That did not work; try once more.");
    refusal.status = answer.status;
    throw refusal;
  }
  return data;
}

/** A tune with its sound: `sound` is a Blob once it has arrived, null before or if there is none. */
export class Entry {
  constructor(tune) {
    this.tune = tune;
    this.sound = null;
  }

  async fetchSound() {
    const url = this.tune.audio_url;
    try {
      const answer = await fetch(url);
      if (answer.ok && this.tune.audio_url === url) this.sound = await answer.blob();
    } catch { /* the player asks again and says what is wrong */ }
    return this;
  }
}

/** Events: "change" (`upcoming` is another, or the sound of one has come), "trouble" (`this.trouble` says why nothing comes). */
export class Queue extends EventTarget {
  /** @param {() => object} wish what the next tunes should be, as the server's /api/listen/next takes it */
  constructor(wish) {
    super();
    this.wish = wish;
    this.upcoming = [];
    this.trouble = null;
    this.waiting = [];
    this.generation = 0;
  }

  /** Drop what was prepared and ask for tunes of the present wish. */
  restart() {
    this.generation += 1;
    this.cancel?.abort();
    this.upcoming = [];
    this.change();
    this.fill();
  }

  /** The next entry, now or as soon as there is one. */
  take() {
    const entry = this.upcoming.shift();
    this.fill();
    if (entry) {
      this.change();
      return Promise.resolve(entry);
    }
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  get isAwaited() {
    return this.waiting.length > 0;
  }

  /** An entry that was taken and not used comes next again. */
  giveBack(entry) {
    this.upcoming.unshift(entry);
    this.change();
  }

  async fill() {
    if (this.filling === this.generation) return;
    const generation = (this.filling = this.generation);
    while (this.generation === generation && this.upcoming.length < AHEAD) {
      this.cancel = new AbortController();
      try {
        const tune = await ask("/api/listen/next", {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify(this.wish()),
          signal: this.cancel.signal,
        });
        if (this.generation !== generation) return;
        this.trouble = null;
        const entry = new Entry(tune);
        const waiting = this.waiting.shift();
        if (waiting) {
          waiting(entry);
          this.change();
          continue;
        }
        this.upcoming.push(entry);
        this.change();
        await entry.fetchSound();
        if (this.generation === generation) this.change();
      } catch (error) {
        if (this.generation !== generation) return;
        this.trouble = error;
        this.dispatchEvent(new Event("trouble"));
        if (!error.offline) break;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    if (this.filling === generation) this.filling = null;
  }

  change() {
    this.dispatchEvent(new Event("change"));
  }
}
