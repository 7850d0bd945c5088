// Votes on their way to the disk. A vote stays here, and in the browser's own storage, until the
// server says that it is saved; closing the page or stopping the app loses none.

import { ask } from "./queue.js";

const STORED = "musicgen-votes";
const RETRY_MS = 3000;

/** Events: "saved" (detail: progress), "unsaved" (a sentence; it is tried again), "refused" (a sentence). */
export class Ballot extends EventTarget {
  constructor() {
    super();
    this.pending = stored();
    this.sending = null;
  }

  /** Keep a vote and send it. @param {{pair_id: string, choice: string, rater: string, listened_ms: number[]}} vote */
  cast(vote) {
    this.pending.push({ ...vote, token: randomToken() });
    this.store();
    this.send();
  }

  /** Take a vote back; resolves to the server's answer, or to null if it had not got there yet. */
  async undo({ pair_id, rater }) {
    const waiting = this.pending.findIndex((vote, place) => place > 0 && vote.pair_id === pair_id);
    if (waiting > 0) {
      this.pending.splice(waiting, 1); // the first one may be on its way
      this.store();
      return null;
    }
    await this.send();
    return ask("/api/rate/undo", post({ pair_id, rater }));
  }

  /** Send what is pending, in order; resolves when all is saved. */
  send() {
    this.sending ??= this.sendAll().finally(() => { this.sending = null; });
    return this.sending;
  }

  async sendAll() {
    while (this.pending.length > 0) {
      try {
        const answer = await ask("/api/rate/votes", post(this.pending[0]));
        this.done();
        this.tell("saved", answer.progress);
      } catch (error) {
        if (error.status >= 400 && error.status < 500) {
          this.done(); // it would be refused for ever
          this.tell("refused", error.message);
          continue;
        }
        this.tell("unsaved", error.message);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  done() {
    this.pending.shift();
    this.store();
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  store() {
    try { localStorage.setItem(STORED, JSON.stringify(this.pending)); } catch { /* kept in this page only */ }
  }
}

function post(body) {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), keepalive: true };
}

function stored() {
  try {
    const found = JSON.parse(localStorage.getItem(STORED));
    return Array.isArray(found) ? found : [];
  } catch {
    return []; // forbidden or damaged
  }
}

/** 128 random bits; randomUUID() is missing on plain http from another machine. */
export function randomToken() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
