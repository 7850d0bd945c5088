// The Results page: one sentence, then the picture, then tunes to listen to.

import { ask } from "./queue.js";

const SVG = "http://www.w3.org/2000/svg";

/** Bring the page to life. @param {HTMLElement} root the element of ui/static/results.html */
export async function mount(root) {
  window.musicgen.showTheme();
  const page = root.querySelector(".page");
  const part = (name) => page.querySelector(`.${name}`);
  let found;
  try {
    found = await ask("/api/results");
  } catch (error) {
    part("notice").textContent = error.message;
    part("notice").hidden = false;
    page.dataset.state = "trouble";
    return;
  }
  part("verdict").textContent = found.verdict;
  part("win-rate").hidden = found.win_rate === null;
  if (found.win_rate) part("win-rate").replaceChildren(...winRate(found.win_rate));
  part("to-rate").hidden = found.votes > 0;
  part("board").hidden = found.models.length === 0;
  part("board").querySelector("ol").replaceChildren(...bars(found.models));
  part("details").replaceChildren(...found.details.map((text) => element("li", "", text)));
  for (const name of ["best", "worst"]) {
    part(name).hidden = found[name].length === 0;
    part(name).querySelector("ol").replaceChildren(...found[name].map(tuneRow));
  }
  page.dataset.state = "shown";
}

/** The win rate as a mark on its interval, on a line from never to always; even is dashed. */
function winRate({ name, share, low, high }) {
  const percent = (value) => `${Math.round(100 * value)}%`;
  const picture = shape("svg", { viewBox: "0 0 100 24", preserveAspectRatio: "none", role: "img" });
  picture.setAttribute("aria-label", `${name} wins ${percent(share)}, between ${percent(low)} and ${percent(high)}`);
  picture.append(
    line("zero", 0, 100, 12, 12),
    line("even", 50, 50, 0, 24),
    line("interval", 100 * low, 100 * high, 12, 12),
    line("interval", 100 * share, 100 * share, 4, 20),
  );
  const ends = element("span", "ends", "");
  ends.append(element("span", "", `${name} never wins`), element("span", "", "even"), element("span", "", "always"));
  return [picture, ends];
}

/** A row a model: its strength as a dot on the interval that holds it, 0 being the average model. */
function bars(models) {
  const ends = models.flatMap((model) => [model.low, model.high, 0]);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const x = (value) => (100 * (value - low)) / (high - low || 1);
  return models.map((model) => {
    const row = element("li", "", "");
    const picture = shape("svg", { viewBox: "0 0 100 24", preserveAspectRatio: "none", role: "img" });
    const said = `strength ${model.strength.toFixed(2)}, between ${model.low.toFixed(2)} and ${model.high.toFixed(2)}`;
    picture.setAttribute("aria-label", said);
    picture.append(line("zero", x(0), x(0), 0, 24), line("interval", x(model.low), x(model.high), 12, 12));
    picture.append(line("interval", x(model.strength), x(model.strength), 5, 19));
    row.title = said;
    row.append(element("span", "model-name", model.name), picture, element("span", "model-votes", `${model.votes} votes`));
    return row;
  });
}

function tuneRow(tune) {
  const row = element("li", "", "");
  const link = element("a", "", "");
  link.href = `/tune/${tune.id}`;
  link.append(
    element("span", "tune-name", tune.title),
    element("span", "quiet", `${tune.subtitle} · ${tune.votes} ${tune.votes === 1 ? "vote" : "votes"}`),
  );
  row.append(link);
  return row;
}

function line(name, x1, x2, y1, y2) {
  return shape("line", { class: name, x1, x2, y1, y2, "vector-effect": "non-scaling-stroke" });
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
