// The Retrain page: one button, then what is happening, then the model to try.

import { ask } from "./queue.js";

const POLL_MS = 2000;
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 200;
const HEIGHT = 88;

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
    this.drawn = "";
    this.part("start").addEventListener("click", () => this.act("/api/retrain/start"));
    for (const action of ["pause", "go-on", "cancel"]) {
      this.part(action).addEventListener("click", () => this.change(action));
    }
    this.poll();
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
      this.part("cancel").textContent = "Cancel for good? Press again";
      setTimeout(() => {
        this.sure = false;
        this.part("cancel").textContent = "Cancel";
      }, 4000);
      return;
    }
    await this.act(`/api/retrain/${job.name}/${action}`);
  }

  async act(address) {
    try {
      await ask(address, { method: "POST" });
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

  // --- what is shown -------------------------------------------------------------------------------

  show() {
    const { votes, job } = this.state;
    const busy = job && ["running", "paused"].includes(job.state);
    const missing = Math.max(0, votes.needed - votes.learning);
    this.page.dataset.state = busy ? job.state : "idle";
    this.part("at-hand").textContent = atHand(votes);
    this.part("start").hidden = busy || missing > 0;
    this.part("start").textContent = `Retrain from ${votes.learning} votes`;
    this.part("to-rate").hidden = busy || missing === 0;
    this.part("start-note").textContent = missing
      ? `${missing} more ${missing === 1 ? "vote is" : "votes are"} needed before a model can learn anything; a few hundred teach much more.`
      : busy ? "It works beside everything else: go on listening or rating." : "About twenty minutes on a laptop. Nothing changes until you say so.";
    this.part("job").hidden = !job;
    if (job) this.showJob(job);
    this.showModels();
  }

  showJob(job) {
    const words = { running: "at work", paused: "paused", interrupted: "cut off", failed: "stopped", cancelled: "cancelled", done: "ready" };
    this.part("job-title").textContent = `${job.name}: ${words[job.state]}`;
    const percent = Math.round(job.share * 100);
    this.part("bar").setAttribute("aria-valuenow", percent);
    this.part("bar").firstElementChild.style.width = `${percent}%`;
    this.part("job-stage").textContent = stageWords(job);
    this.part("pause").hidden = job.state !== "running";
    this.part("cancel").hidden = !["running", "paused"].includes(job.state);
    this.part("go-on").hidden = !["paused", "interrupted", "cancelled"].includes(job.state);
    this.part("learned").textContent = job.reward ? learned(job.reward) : "";
    const text = JSON.stringify(job.rounds);
    if (text !== this.drawn) {
      this.drawn = text;
      this.part("curves").replaceChildren(...(job.rounds.length ? curves(job.rounds) : []));
    }
  }

  showModels() {
    const { models, playing, fixed } = this.state;
    const text = JSON.stringify([models, playing]);
    if (text === this.listed) return;
    this.listed = text;
    const base = { name: "base", verdict: "The model that everything starts from." };
    const rows = [...models, base].map((model) => {
      const row = document.createElement("li");
      const name = element("span", "model-name", model.name);
      const learnedFrom = model.votes ? `Learned from ${model.votes} votes. ` : "";
      const said = element("span", "model-words", learnedFrom + model.verdict);
      const actions = element("span", "model-actions", "");
      if (model.name === playing) actions.append(element("span", "playing", "playing"));
      else if (!fixed) {
        const button = element("button", "link promote", "play this one");
        button.type = "button";
        button.addEventListener("click", () => this.act(`/api/models/${model.name}/promote`));
        actions.append(button);
      }
      if (model === models[0]) {
        const link = element("a", "link trial", "try it blind");
        link.href = "/rate?trial=1";
        actions.prepend(link);
      }
      row.append(name, said, actions);
      return row;
    });
    this.part("models").querySelector("ul").replaceChildren(...rows);
  }
}

function atHand({ learning, agreement, repeats }) {
  const votes = `${learning} ${learning === 1 ? "vote teaches" : "votes teach"}`;
  if (!repeats) return `${votes}: each says which of two tunes with the same beginning you would rather play.`;
  return `${votes}. Of ${repeats} pairs that came twice, ${Math.round(agreement * repeats)} were decided alike.`;
}

function stageWords(job) {
  if (job.state === "done") return "The new model is ready. Try it blind against the one that plays now, or play it at once.";
  if (job.state === "failed") return sentence(job.fault);
  if (job.state === "interrupted") return "It was cut off; what it did so far is kept.";
  if (job.state === "cancelled") return "Nothing has changed; what it did so far is kept.";
  const left = job.minutes_left === null ? "" : `, about ${Math.max(1, Math.round(job.minutes_left))} min left`;
  return `${sentence(job.stage).replace(/\.$/, "")}${left}`;
}

function learned({ accuracy, follows }) {
  const strongest = Object.entries(follows).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, 4);
  const words = strongest.map(([name, value]) => `${value > 0 ? "more" : "less"} of "${name}" (${value > 0 ? "+" : "−"}${Math.abs(value).toFixed(2)})`);
  const share = accuracy === null || Number.isNaN(accuracy) ? "" : `It predicts ${Math.round(accuracy * 100)}% of votes it has not seen. `;
  return `${share}You seem to like ${words.join(", ")}.`;
}

function curves(rounds) {
  const base = rounds[0];
  const kept = rounds.filter((round) => round.taken_back.length === 0);
  const series = (first, pick) => [first, ...kept.map(pick)];
  return [
    curve("Reward", series(base.base_reward, (r) => r.reward), null),
    curve("Distance from the base model (KL, nats a tune)", series(0, (r) => r.health.kl), 20),
    curve("Variety (different 4-grams)", series(base.base_health.variety, (r) => r.health.variety), 0.85 * base.base_health.variety),
    curve("Sound tunes", series(base.base_health.validity, (r) => r.health.validity), 0.95 * base.base_health.validity),
    ...rounds.filter((round) => round.taken_back.length > 0).map((round) =>
      element("p", "quiet", `Round ${round.round} was taken back: ${round.taken_back.join("; ")}.`)),
  ];
}

/** A plain line from the base model (first point) over the rounds, the guard dashed. */
function curve(title, values, guard) {
  const box = document.createElement("div");
  box.className = "curve";
  const heading = document.createElement("h3");
  heading.textContent = title;
  const all = guard === null ? values : [...values, guard];
  const low = Math.min(...all);
  const span = Math.max(...all) - low || 1;
  const x = (index) => (values.length > 1 ? (index / (values.length - 1)) * (WIDTH - 48) : 0) + 4;
  const y = (value) => HEIGHT - 14 - ((value - low) / span) * (HEIGHT - 28);
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${values.map((v) => v.toFixed(2)).join(", ")}` });
  if (guard !== null) svg.append(shape("line", { class: "guard", x1: 0, x2: WIDTH - 40, y1: y(guard), y2: y(guard) }));
  svg.append(shape("polyline", { class: "line", points: values.map((value, index) => `${x(index)},${y(value)}`).join(" ") }));
  values.forEach((value, index) => svg.append(shape("circle", { class: "dot", cx: x(index), cy: y(value), r: 3 })));
  const last = shape("text", { x: x(values.length - 1) + 8, y: y(values.at(-1)) + 4 });
  last.textContent = values.at(-1).toFixed(2);
  svg.append(last);
  box.append(heading, svg);
  return box;
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function sentence(words) {
  const text = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
