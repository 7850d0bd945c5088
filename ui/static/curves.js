// Curves of a run: a plain line from the base model on, the guard dashed, the reason at the line.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 400;
const HEIGHT = 148;
const LEFT = 8;
const RIGHT = 64; // room for the last figure
const TOP = 28;
const BOTTOM = 20;

/** What is drawn: `pick` finds a figure in {reward, health, base_reward, base_health} of a step. */
const CURVES = [
  { name: "reward", title: "How much it likes its own tunes", unit: "reward", digits: 2, base: (s) => s.base_reward, pick: (s) => s.reward },
  { name: "kl", title: "How far it is from the base model", unit: "KL, nats a tune", digits: 1, base: () => 0, pick: (s) => s.health.kl },
  { name: "variety", title: "How different its tunes are", unit: "different 4-grams", digits: 3, base: (s) => s.base_health.variety, pick: (s) => s.health.variety },
  { name: "entropy", title: "How freely it chooses", unit: "entropy, nats a token", digits: 2, base: (s) => s.base_health.entropy, pick: (s) => s.health.entropy },
  { name: "validity", title: "How many of its tunes are sound", unit: "share", digits: 2, base: (s) => s.base_health.validity, pick: (s) => s.health.validity },
];
/** How a guard's complaint begins, as prefs/guards.py words it. */
const REASONS = { kl: /nats a tune from the base/, entropy: /entropy fell/, variety: /became alike/, validity: /pass the gate/ };

/** Elements, one a curve. @param {object[]} steps rounds in their order @param {object} guards limits by name */
export function curves(steps, guards) {
  return CURVES.filter((each) => steps.every((step) => Number.isFinite(read(each.pick, step)))).map((each) => curve(each, steps, guards[each.name]));
}

/** What the guards did, in one sentence a line. */
export function guardWords(steps) {
  const lost = steps.filter((step) => step.taken_back?.length);
  if (steps.length === 0) return [];
  if (lost.length === 0) return ["No guard had to step in."];
  return lost.map((step) => `Round ${step.round} was taken back: ${step.taken_back.join("; ")}.`);
}

function read(pick, step) {
  try { return pick(step); } catch { return NaN; }
}

function limitOf(guard, base) {
  if (!guard) return null;
  return guard.most ?? guard.least_share * base;
}

function curve({ name, title, unit, digits, base, pick }, steps, guard) {
  const start = base(steps[0]);
  const limit = limitOf(guard, start);
  const points = [{ value: start, kept: true }, ...steps.map((step) => ({ value: pick(step), kept: !step.taken_back?.length, why: step.taken_back?.find((reason) => REASONS[name]?.test(reason)) }))];
  const values = points.map((point) => point.value);
  const all = limit === null ? values : [...values, limit];
  const low = Math.min(...all);
  const span = Math.max(...all) - low || 1;
  const x = (index) => LEFT + (index / (points.length - 1)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / span) * (HEIGHT - TOP - BOTTOM);

  const figure = document.createElement("figure");
  figure.className = `curve curve-${name}`;
  const caption = document.createElement("figcaption");
  caption.append(element("span", "curve-title", title), element("span", "quiet", unit));
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" });
  if (limit !== null) {
    svg.append(shape("line", { class: "guard", x1: LEFT, x2: WIDTH - RIGHT, y1: y(limit), y2: y(limit) }));
    const words = guard.most === undefined ? `guard: at least ${Math.round(guard.least_share * 100)}% of the base model's` : `guard: at most ${guard.most}`;
    const above = y(limit) > HEIGHT / 2; // the words stand where the line leaves room
    svg.append(text(words, { class: "guard-words", x: LEFT, y: y(limit) + (above ? 15 : -6) }));
  }
  const kept = points.map((point, index) => ({ ...point, index })).filter((point) => point.kept);
  svg.append(shape("polyline", { class: "line", points: kept.map((point) => `${x(point.index)},${y(point.value)}`).join(" ") }));
  points.forEach((point, index) => {
    svg.append(shape("circle", { class: point.kept ? "dot" : "dot lost", cx: x(index), cy: y(point.value), r: points.length > 24 ? 2 : 3.5 }));
  });
  const last = kept.at(-1);
  svg.append(text(last.value.toFixed(digits), { class: "last", x: x(last.index) + 10, y: y(last.value) + 4 }));
  figure.append(caption, svg, element("p", "unseen", spoken(points, limit, digits)));
  const reason = points.find((point) => point.why)?.why;
  if (reason) figure.append(element("p", "why", `Taken back here: ${reason}.`));
  return figure;
}

/** The same curve for those who do not see it. */
function spoken(points, limit, digits) {
  const said = points.map((point, index) => `${index === 0 ? "base model" : `round ${index}`} ${point.value.toFixed(digits)}${point.kept ? "" : ", taken back"}`);
  return `${said.join("; ")}.${limit === null ? "" : ` The guard stands at ${limit.toFixed(digits)}.`}`;
}

function text(words, attributes) {
  const made = shape("text", attributes);
  made.textContent = words;
  return made;
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** An element with a class and a text. */
export function element(tag, className, words) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = words;
  return made;
}
