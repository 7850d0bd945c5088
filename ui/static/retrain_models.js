// The models on the Retrain page: the trial of the new one, the history, files in and out.

import { element } from "./curves.js";
import { ask } from "./queue.js";

export class Models {
  /** @param {HTMLElement} page @param {(work: () => Promise<void>) => void} act does what may be refused */
  constructor(page, act) {
    this.page = page;
    this.act = act;
    this.part = (name) => page.querySelector(`.${name}`);
    this.part("promote-new").addEventListener("click", () => this.decide(`${this.state.trial.name}/promote`));
    this.part("keep-both").addEventListener("click", () => this.decide(`${this.state.trial.name}/keep`));
    this.part("go-back").addEventListener("click", () => this.decide("back"));
    this.part("import").addEventListener("change", (event) => this.takeIn(event.target));
  }

  decide(address) {
    return this.act(() => ask(`/api/models/${address}`, { method: "POST" }));
  }

  async takeIn(input) {
    const [file] = input.files;
    if (!file) return;
    await this.act(() => ask("/api/models/import", { method: "POST", headers: { "Content-Type": "application/zip" }, body: file }));
    input.value = ""; // the same file may be chosen again
  }

  show(state) {
    this.state = state;
    this.showTrial(state);
    const text = JSON.stringify([state.models, state.playing]);
    if (text === this.listed) return;
    this.listed = text;
    const base = { name: "base", there: true, playing: state.playing === "base", words: "The model that everything starts from." };
    this.part("models").querySelector("ul").replaceChildren(...[...state.models, base].map((model) => this.row(model, state)));
  }

  showTrial({ trial, playing, before, fixed, job }) {
    const busy = job && ["running", "paused"].includes(job.state);
    this.part("trial-box").hidden = !trial || busy;
    if (!trial) return;
    const promoted = trial.name === playing;
    this.page.dataset.trial = promoted ? "promoted" : trial.decided ?? trial.verdict;
    this.part("trial-title").textContent = promoted ? `${trial.name} plays now` : `${trial.name} against ${trial.against}, blind`;
    this.part("trial-verdict").textContent = verdictWords(trial);
    this.part("trial-line").textContent = trial.votes ? `${trial.name} won ${trial.wins}, lost ${trial.losses}, ${trial.ties} were equal. ${trial.line}` : "You hear one tune of each and do not know which is which.";
    this.part("promote-new").hidden = promoted || fixed;
    this.part("promote-new").textContent = trial.verdict === "better" ? `Play ${trial.name}` : `Play ${trial.name} anyway`;
    this.part("keep-both").hidden = promoted || trial.decided !== null;
    this.part("go-back").hidden = !promoted || fixed;
    this.part("go-back").textContent = `Go back to ${before}`;
  }

  row(model, { fixed }) {
    const row = element("li", model.there ? "" : "gone", "");
    row.dataset.name = model.name;
    const said = element("span", "model-words", model.words ?? modelWords(model));
    const actions = element("span", "model-actions", "");
    if (model.playing) actions.append(element("span", "playing", "playing"));
    else if (!fixed && model.there) {
      const button = element("button", "link promote", "play this one");
      button.type = "button";
      button.addEventListener("click", () => this.decide(`${model.name}/promote`));
      actions.append(button);
    }
    if (model.there && model.name !== "base") {
      const link = element("a", "link export", "save as a file");
      link.href = `/api/models/${model.name}/file.zip`;
      link.download = `${model.name}.zip`;
      actions.append(link);
    }
    row.append(element("span", "model-name", model.name), said, actions);
    const lines = lineage(model);
    if (lines.length) {
      const fold = element("details", "lineage", "");
      fold.append(element("summary", "link", "where it comes from"), ...lines.map((line) => element("p", "quiet", line)));
      row.append(fold);
    }
    return row;
  }
}

/** Better, worse, or not yet known: the sequential test alone speaks. */
function verdictWords({ name, against, verdict, votes, votes_to_go: more }) {
  if (verdict !== "not yet known") return `${name} is ${verdict} than ${against}.`;
  if (votes === 0) return "Not yet known: nobody has compared the two.";
  return more === null ? "Not yet known, and the two are close." : `Not yet known: about ${more} more votes.`;
}

function modelWords({ votes, parent, verdict, blind_votes: blind, fate }) {
  const said = [];
  if (votes !== null) said.push(`Learned from ${votes} votes.`);
  if (fate === "removed") said.push("Its folder was removed.");
  else said.push(blind ? `Against ${parent}: ${verdict.charAt(0).toLowerCase()}${verdict.slice(1)}` : "No blind votes yet.");
  if (fate === "kept") said.push("Kept beside the one that plays.");
  return said.join(" ");
}

function lineage({ created, parent, votes_sha256: hash, options, commit }) {
  const lines = [];
  if (created) lines.push(`Made ${created.slice(0, 16).replace("T", " ")} from ${parent}.`);
  const chosen = Object.entries(options ?? {}).map(([name, value]) => `${name} ${value}`);
  if (chosen.length) lines.push(`Options: ${chosen.join(", ")}.`);
  if (hash) lines.push(`Votes ${hash.slice(0, 12)}${commit ? `, code ${commit.slice(0, 12)}` : ""}.`);
  return lines;
}
