// What a run lets one hear and see: two tunes with one beginning, and bars that the reward marks.

import { Player } from "/player/player.js";
import { Score } from "/player/score.js";
import { element } from "./curves.js";

/** Two players side by side; one sounds at a time. */
export class TwoTunes {
  /** @param {HTMLElement} box a section with .side-base and .side-tuned @param {(message: string) => void} report */
  constructor(box, report) {
    this.box = box;
    this.sides = {};
    for (const name of ["base", "tuned"]) {
      const at = box.querySelector(`.side-${name}`);
      const player = new Player({ scoreAt: at.querySelector(".score-at"), transportAt: at.querySelector(".transport-at") });
      player.addEventListener("trouble", (event) => report(event.detail));
      player.addEventListener("play", () => this.silence(player));
      this.sides[name] = { at, player };
    }
  }

  silence(except) {
    for (const { player } of Object.values(this.sides)) if (player !== except) player.pause();
  }

  get playing() {
    return Object.values(this.sides).some(({ player }) => player.playing);
  }

  /** @param {{base: ?object, tuned: ?object}} pair @param {{base: string, tuned: string}} names */
  show(pair, names) {
    for (const [name, { at, player }] of Object.entries(this.sides)) {
      const tune = pair[name];
      at.querySelector("figcaption").textContent = names[name];
      const none = at.querySelector(".none");
      none.hidden = Boolean(tune);
      none.textContent = "It wrote no sound tune from this opening.";
      for (const part of [".score-at", ".transport-at"]) at.querySelector(part).hidden = !tune;
      if (tune) player.load(tune);
      else player.pause();
    }
  }
}

/** Buttons that choose one of several pairs. */
export function chooser(labels, chosen, choose) {
  const row = element("div", "chooser", "");
  row.setAttribute("role", "group");
  row.setAttribute("aria-label", "Which tunes");
  labels.forEach((label, index) => {
    const button = element("button", "link", label);
    button.type = "button";
    button.setAttribute("aria-pressed", String(index === chosen));
    button.addEventListener("click", () => choose(index));
    row.append(button);
  });
  return row;
}

/** The tune that a report names, its best bars in one colour and its worst in the other. */
export function toldTune(told) {
  const figure = element("figure", "told-tune", "");
  const words = told.which === "best" ? "The tune of the base model that it likes best" : "The one that it likes least";
  const caption = element("figcaption", "", "");
  const link = element("a", "tune-name", told.tune.title);
  link.href = `/tune/${told.tune.id}`;
  caption.append(element("span", "", `${words}: `), link, element("span", "quiet", ` (reward ${signed(told.reward)})`));
  const at = element("div", "score-at", "");
  // the same in words, for those who do not tell the colours apart
  const bars = element("p", "quiet told-bars", "");
  bars.append(element("span", "best-bar", `Best bars: ${told.best_numbers.join(", ")}.`), " ", element("span", "worst-bar", `Worst bars: ${told.worst_numbers.join(", ")}.`));
  figure.append(caption, bars, at);
  return { figure, draw: () => drawMarked(at, told) };
}

function drawMarked(at, told) {
  const score = new Score(at);
  const draw = score.draw.bind(score);
  score.draw = (abc) => { // also when the width changes
    const drawn = draw(abc);
    for (const which of ["best", "worst"]) {
      for (const [start, end] of told[`${which}_bars`]) {
        for (const note of score.notes) {
          if (note.start < end && note.end > start) note.groups.forEach((group) => group.classList.add(`${which}-bar`));
        }
      }
    }
    return drawn;
  };
  score.draw(told.tune.abc);
}

export function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
}

