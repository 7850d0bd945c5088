// The pairs that come next: asked from the server ahead of time, with the sound of both sides.

import { ask } from "./queue.js";

const AHEAD = 2;
const RETRY_MS = 2000;
const REMEMBERED = 30; // pairs that the page has, though their votes may still be on their way

/** Events: "change" (`upcoming` is another), "trouble" (detail: a sentence; it asks again by itself). */
export class PairQueue extends EventTarget {
  /** @param {() => {rater: string, instrument: string, trial: boolean}} wish */
  constructor(wish) {
    super();
    this.wish = wish;
    this.upcoming = [];
    this.waiting = [];
    this.given = []; // ids of the pairs that were taken
    this.filling = false;
    this.generation = 0;
  }

  /** The next pair, now or as soon as there is one. */
  take() {
    const taken = new Promise((resolve) => this.waiting.push(resolve));
    const pair = this.upcoming.shift();
    if (pair) this.give(pair);
    this.fill();
    return taken;
  }

  give(pair) {
    this.given = [...this.given, pair.pair_id].slice(-REMEMBERED);
    this.waiting.shift()(pair);
  }

  get isAwaited() {
    return this.waiting.length > 0;
  }

  /** A pair that was taken and not voted on comes next again. */
  giveBack(pair) {
    this.upcoming.unshift(pair);
  }

  /** Drop what was prepared, for another instrument or another rater. */
  restart() {
    this.generation += 1;
    this.upcoming = [];
    this.fill();
  }

  async fill() {
    if (this.filling) return;
    this.filling = true;
    while (this.isAwaited || this.upcoming.length < AHEAD) {
      const { generation } = this;
      try {
        const holding = [...this.given, ...this.upcoming.map((pair) => pair.pair_id)];
        const pair = await ask("/api/rate/next", {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ ...this.wish(), holding }),
        });
        await Promise.all(pair.sides.map(fetchSound));
        if (generation !== this.generation) continue;
        if (this.isAwaited) this.give(pair);
        else this.upcoming.push(pair);
        this.dispatchEvent(new Event("change"));
      } catch (error) {
        this.dispatchEvent(new CustomEvent("trouble", { detail: error.message }));
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    this.filling = false;
  }
}

/** Put the sound of a side into `side.sound`, as a Blob. */
export async function fetchSound(side) {
  const answer = await fetch(side.audio_url);
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error ?? "The sound did not come.");
  side.sound = await answer.blob();
}
