// The Retrain page: one button, then what is happening, then the model to try, keep or undo.

import { curves, element, guardWords } from "./curves.js";
import { ask } from "./queue.js";
import { Models } from "./retrain_models.js";
import { TwoTunes, chooser, signed, toldTune } from "./retrain_tunes.js";

const POLL_MS = 2000;
const SHOWN_STATISTICS = 6;
const WORKING = ["running", "paused"];
const JOB_WORDS = { running: "at work", paused: "paused", interrupted: "cut off", failed: "stopped", cancelled: "cancelled", done: "ready" };

/** Bring the page to life. @param {HTMLElement} root the element of ui/static/retrain.html */
export async function mount(root) {
  window.musicgen.showTheme();
  window.musicgen.retrainPage = new RetrainPage(root.querySelector(".page"));
}

class RetrainPage {
  constructor(page) {
    this.page = page;
    this.part = (name) => page.querySelector(`.${name}`);
    this.state = null;
    this.shown = {}; // what stands on the page already, by section
    this.models = new Models(page, (work) => this.act(work));
    this.part("start").addEventListener("click", () => this.act(() => post("/api/retrain/start", this.wish)));
    for (const action of ["pause", "go-on", "cancel"]) {
      this.part(action).addEventListener("click", () => this.change(action));
    }
    this.poll();
    this.offerChoices();
  }

  async poll() {
    await this.refresh();
    setTimeout(() => this.poll(), POLL_MS);
  }

  async refresh() {
    try {
      this.state = await ask("/api/retrain");
      if (this.offline) this.notify("");
      this.offline = false;
      this.show();
    } catch (error) {
      this.offline = true;
      this.notify(error.message);
    }
  }

  async change(action) {
    const { job } = this.state;
    if (action === "cancel" && !this.sure) {
      this.sure = true; // a second press means it
      this.part("cancel").textContent = "Stop it for now? Press again";
      setTimeout(() => {
        this.sure = false;
        this.part("cancel").textContent = "Cancel";
      }, 4000);
      return;
    }
    await this.act(() => post(`/api/retrain/${job.name}/${action}`));
  }

  /** Do something that the server may refuse, then show what became of it. */
  async act(work) {
    try {
      await work();
      this.notify("");
    } catch (error) {
      this.notify(error.message);
    }
    await this.refresh();
  }

  notify(message) {
    const notice = this.part("notice");
    notice.textContent = message;
    notice.hidden = !message;
  }

  /** Whether a section has to be drawn: only when what it shows has changed. */
  changed(section, data) {
    const text = JSON.stringify(data);
    if (this.shown[section] === text) return false;
    this.shown[section] = text;
    return true;
  }

  async offerChoices() {
    const choices = await ask("/api/retrain/choices").catch(() => null);
    if (!choices) return; // the server's own defaults are good
    for (const [name, options] of [["method", choices.methods], ["strength", choices.strengths]]) {
      this.part(name).replaceChildren(...options.map((each) => new Option(each.label, each.name, false, each.name === choices[name])));
    }
  }

  get wish() {
    const wish = {};
    for (const name of ["method", "strength"]) if (this.part(name).value) wish[name] = this.part(name).value;
    return wish;
  }

  // --- what is shown -------------------------------------------------------------------------------

  show() {
    const { votes, job, trial } = this.state;
    const busy = Boolean(job && WORKING.includes(job.state));
    this.page.dataset.state = busy ? job.state : "idle";
    this.part("at-hand").textContent = atHand(votes);
    this.showStart(votes, job, busy, trial);
    this.showJob(job, trial);
    this.showProgress(job);
    this.models.show(this.state);
    if (this.changed("teaches", [votes.learning, votes.total])) this.showTeaching();
    if (this.changed("listening", [job?.name, job?.state === "done", job?.moments ?? []])) this.showListening(job);
    if (this.changed("report", [job?.name, job?.state === "done"])) this.showReport(job);
  }

  showStart(votes, job, busy, trial) {
    const missing = Math.max(0, votes.needed - votes.learning);
    const start = this.part("start");
    start.hidden = busy || missing > 0;
    start.textContent = `Retrain from ${votes.learning} votes`;
    // while a trial waits, the trial is the main thing on the page
    start.classList.toggle("second", Boolean(trial && !trial.decided));
    this.part("how").hidden = start.hidden;
    this.part("to-rate").hidden = busy || missing === 0;
    this.part("start-note").textContent = missing
      ? `${missing} more ${missing === 1 ? "vote is" : "votes are"} needed before a model can learn anything; a few hundred teach much more.`
      : busy ? "It works beside everything else: go on listening or rating." : "About twenty minutes on a laptop. It starts from the base model, and nothing changes until you say so.";
  }

  showJob(job, trial) {
    // once there is a trial of its model, that says all there is to say
    this.part("job").hidden = !job || (job.state === "done" && trial?.name === job.name);
    if (!job) return;
    this.part("job-title").textContent = `${job.name}: ${JOB_WORDS[job.state]}`;
    const percent = Math.round(job.share * 100);
    this.part("bar").setAttribute("aria-valuenow", percent);
    this.part("bar").firstElementChild.style.width = `${percent}%`;
    this.part("bar").hidden = job.state === "done";
    const said = stageWords(job);
    if (this.part("job-stage").textContent !== said) this.part("job-stage").textContent = said;
    this.part("pause").hidden = job.state !== "running";
    this.part("cancel").hidden = !WORKING.includes(job.state);
    this.part("go-on").hidden = !["paused", "interrupted", "cancelled", "failed"].includes(job.state);
  }

  showProgress(job) {
    if (!job) return;
    // a run that is taken up counts from the start again; what was seen stays until it is back there
    const before = this.progress?.name === job.name ? this.progress : null;
    if (!before || job.reward || job.rounds.length >= before.rounds.length) {
      this.progress = { name: job.name, reward: job.reward ?? before?.reward ?? null, rounds: job.rounds.length ? job.rounds : before?.rounds ?? [] };
    }
    const { reward, rounds } = this.progress;
    this.part("progress").hidden = !reward && rounds.length === 0;
    if (!this.changed("progress", [job.state === "done", reward, rounds])) return;
    this.part("progress").querySelector("h2").textContent = job.state === "done" ? "How it went" : "How it goes";
    this.part("learned").textContent = reward ? learned(reward) : "";
    this.part("guards").textContent = guardWords(rounds).join(" ");
    this.part("curves").replaceChildren(...(rounds.length ? curves(rounds, this.state.guards) : []));
  }

  async showTeaching() {
    const found = await ask("/api/retrain/teaches").catch(() => null);
    this.part("teaches").textContent = found?.line ?? "";
  }

  /** The latest moment of a run at work; the samples of the report when it is done. */
  async showListening(job) {
    const box = this.part("listening");
    if (!job || (job.state !== "done" && job.moments.length === 0)) {
      box.hidden = true;
      return;
    }
    box.hidden = false; // before the scores are drawn: they need a width
    this.tunes ??= new TwoTunes(box, (message) => this.notify(message));
    if (this.tunes.playing) return; // what somebody hears is not taken away
    if (job.state === "done") {
      const report = await this.report(job.name);
      if (report?.samples.length) return this.offerTunes(job.name, report.samples.map((_, index) => `opening ${index + 1}`), 0, async (index) => report.samples[index], "the base model", job.name, "Both go on from the same opening bars.");
    }
    if (job.moments.length === 0) {
      box.hidden = true;
      return undefined;
    }
    const labels = job.moments.map((moment) => `after round ${moment.step}`);
    return this.offerTunes(job.name, labels, labels.length - 1, (index) => ask(`/api/retrain/${job.name}/moments/${index}`), "the base model", "the model as it is now", "A tune of the moment: both go on from the same opening bars.");
  }

  async offerTunes(job, labels, chosen, pairAt, base, tuned, note) {
    const box = this.part("listening");
    box.querySelector(".listening-note").textContent = note;
    box.querySelector(".chooser")?.remove();
    if (labels.length > 1) box.querySelector(".two").before(chooser(labels, chosen, (index) => this.offerTunes(job, labels, index, pairAt, base, tuned, note)));
    try {
      const pair = await pairAt(chosen);
      this.tunes.show(pair, { base, tuned });
    } catch (error) {
      this.notify(error.message);
    }
  }

  async report(name) {
    this.reports ??= new Map();
    if (!this.reports.has(name)) this.reports.set(name, await ask(`/api/retrain/${name}/report`).catch(() => null));
    return this.reports.get(name);
  }

  async showReport(job) {
    const box = this.part("report");
    const report = job?.state === "done" ? await this.report(job.name) : null;
    box.hidden = !report;
    if (!report) return;
    box.querySelector(".follows").replaceChildren(...followRows(report.follows));
    const told = report.tunes.filter((each) => each.tune).map(toldTune);
    box.querySelector(".told").replaceChildren(...told.map((each) => each.figure));
    told.forEach((each) => each.draw());
    box.querySelector(".figures table").replaceChildren(...figureRows(report));
    box.querySelector(".files").textContent = `TensorBoard reads HOME/runs/${job.name}/tensorboard; the same figures are in log.jsonl and report.json beside it.`;
  }
}

function post(address, body) {
  const options = { method: "POST" };
  if (body) Object.assign(options, { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  return ask(address, options);
}

function atHand({ learning, total, since, last_model: last, agreement, repeats }) {
  const count = (n, word) => `${n} ${n === 1 ? word : `${word}s`}`;
  const said = [`${count(learning, "vote")} ${learning === 1 ? "teaches" : "teach"}${last ? `, ${since} of them since ${last}` : ""}.`];
  if (total > learning) said.push(`${total - learning} more measure and do not teach: blind trials, and pairs that came twice.`);
  if (repeats) said.push(`Of ${count(repeats, "pair")} that came twice, ${Math.round(agreement * repeats)} were decided alike.`);
  return said.join(" ");
}

function stageWords(job) {
  if (job.state === "done") return "The new model is ready. The model that plays now goes on playing until you say so.";
  if (job.state === "failed") return sentence(job.fault);
  if (job.state === "interrupted") return "It was cut off; what it did so far is kept. Go on when you like.";
  if (job.state === "cancelled") return "Nothing has changed; what it did so far is kept, and it can go on.";
  const left = job.minutes_left === null || job.state === "paused" ? "" : `, about ${Math.max(1, Math.round(job.minutes_left))} min left`;
  return `${sentence(job.stage).replace(/\.$/, "")}${left}`;
}

function learned({ votes, accuracy }) {
  if (accuracy === null || Number.isNaN(accuracy)) return `A reward model learned from ${votes} votes.`;
  return `A reward model learned from ${votes} votes and guesses ${Math.round(accuracy * 100)}% of votes it has not seen; a coin guesses 50%.`;
}

/** The plain statistics that the reward follows most, a bar to the right for more, to the left for less. */
function followRows(follows) {
  const strongest = Object.entries(follows).filter(([, value]) => Math.abs(value) >= 0.05).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, SHOWN_STATISTICS);
  return strongest.map(([name, value]) => {
    const row = element("li", value > 0 ? "more" : "less", "");
    const bar = element("span", "follow-bar", "");
    bar.style.setProperty("--size", Math.min(1, Math.abs(value)).toFixed(3));
    bar.setAttribute("aria-hidden", "true");
    row.append(element("span", "follow-name", `${value > 0 ? "more" : "less"}: ${name}`), bar, element("span", "follow-figure quiet", signed(value)));
    row.title = "correlation of the reward with this figure, over tunes of the base model";
    return row;
  });
}

function figureRows(report) {
  const rows = [["votes", report.votes], ["method", report.method], ["parent", report.parent], ["accuracy on unseen votes", report.reward_accuracy], ["self-agreement", report.self_agreement], ["reward gained", report.reward_gain], ["KL, nats a tune", report.kl], ...Object.entries(report.follows).map(([name, value]) => [`correlation with ${name}`, value])];
  return rows.filter(([, value]) => value !== undefined && value !== null).map(([name, value]) => {
    const row = document.createElement("tr");
    const head = element("th", "", name);
    head.scope = "row";
    row.append(head, element("td", "", typeof value === "number" && !Number.isInteger(value) ? value.toFixed(3) : String(value)));
    return row;
  });
}

function sentence(words) {
  const text = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
