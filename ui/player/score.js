// The printed tune: abcjs draws it, we light up notes and find the note under a pointer.
// Only ABCJS.renderAbc is used; abcjs's own synthesiser would fetch sounds from the network.

const TEXT_FIELDS = /^[TCOBNZSRHDFGWPQ]:/; // shown beside the score, not in it
const BAR_LINE = /:*\|+[\]:]?|::|\[\|/g;
const PICK_REACH = 28; // px between a press and the note it means
const SKELETON_SYSTEMS = 4;
const SYSTEM_HEIGHT = 96; // px from staff to staff in a usual tune

/**
 * The text that abcjs gets: header texts become comments of the same length, and with
 * `barsPerLine` long lines are broken after that many bars.
 * @returns {{text: string, breaks: {at: number, length: number}[]}} breaks: what was put in, by offset in `abc`
 */
export function printable(abc, barsPerLine = 0) {
  const breaks = [];
  let text = "";
  let offset = 0;
  let inHeader = true;
  const lines = abc.split(/(?<=\n)/);
  for (const line of lines) {
    if (inHeader && TEXT_FIELDS.test(line)) text += "%" + line.slice(1);
    else if (inHeader || /^[A-Za-z]:|^%/.test(line)) text += line;
    else if (isPickUp(line, lines)) text += line.replace("\n", " "); // it stands before the first full line
    else text += barsPerLine ? broken(line, offset, barsPerLine, breaks) : line;
    if (/^K:/.test(line)) inHeader = false;
    offset += line.length;
  }
  return { text, breaks };
}

const BREAK = "\n";
const ENDING_BREAK = "\n["; // "|1" may not be parted, "|" and "[1" may
const NOTE = /[_^=]*[A-Ga-gzx][,']*(\d*)(?:\/(\d*))?/g;

function broken(line, offset, barsPerLine, breaks) {
  const bars = barsOf(line);
  const full = Math.max(...bars.map((bar) => bar.length));
  const hasPickUp = bars.length > 1 && bars[0].length < 0.6 * full;
  let text = "";
  let from = 0;
  // No bar stays alone on a line: the last line takes it in.
  for (let last = barsPerLine - 1 + (hasPickUp ? 1 : 0); last < bars.length - 2; last += barsPerLine) {
    const end = bars[last].end;
    const inserted = /^\d/.test(line.slice(end)) ? ENDING_BREAK : BREAK;
    text += line.slice(from, end) + inserted;
    breaks.push({ at: offset + end, length: inserted.length });
    from = end;
  }
  return text + line.slice(from);
}

/** A line that holds one short bar and nothing else: the canonical text puts a pick-up there. */
function isPickUp(line, lines) {
  const bars = barsOf(line);
  if (bars.length !== 1) return false;
  return lines.some((other) => other !== line && barsOf(other).some((bar) => bar.length > 1.6 * bars[0].length));
}

/** The bars of a line that hold notes: where they end, and their length in units. */
function barsOf(line) {
  if (/^[A-Za-z]:|^%/.test(line)) return [];
  // Quoted text and inline fields hide bar lines and letters that are no music.
  const music = line.replace(/"[^"]*"|\[[A-Za-z]:[^\]]*\]|![^!]*!/g, (part) => "-".repeat(part.length));
  const bars = [];
  let start = 0;
  for (const match of music.matchAll(BAR_LINE)) {
    const length = roughLength(music.slice(start, match.index));
    start = match.index + match[0].length;
    if (length > 0) bars.push({ end: start, length });
  }
  return bars;
}

function roughLength(music) {
  let sum = 0;
  for (const [, times, parts] of music.matchAll(NOTE)) sum += (Number(times) || 1) / (parts === undefined ? 1 : Number(parts) || 2);
  return sum;
}

/** Offset in the drawn text -> offset in the tune's own text. */
export function sourceOffset(breaks, drawn) {
  let shift = 0;
  for (const each of breaks) {
    if (each.at + shift + each.length > drawn) break;
    shift += each.length;
  }
  return drawn - shift;
}

export class Score {
  /** @param {HTMLElement} element its content is replaced by the drawing */
  constructor(element) {
    this.element = element;
    this.element.classList.add("score");
    this.notes = []; // {start, end, groups, line} in the order of the text
    this.lit = [];
    this.abc = null;
    this.width = 0;
    this.ahead = null; // the drawing of the tune that comes next
    this.watcher = new ResizeObserver(() => this.refit());
    this.watcher.observe(element);
    this.showStaves();
  }

  /** Empty staves, so that nothing jumps when the notes arrive. */
  showStaves() {
    const lines = [];
    for (let system = 0; system < SKELETON_SYSTEMS; system += 1) {
      for (let line = 0; line < 5; line += 1) lines.push(34 + system * SYSTEM_HEIGHT + line * 7.75);
    }
    const height = SKELETON_SYSTEMS * SYSTEM_HEIGHT;
    this.element.innerHTML =
      `<svg class="staves" width="100%" height="${height}" aria-hidden="true">` +
      lines.map((y) => `<line x1="0" x2="100%" y1="${y}" y2="${y}"/>`).join("") +
      "</svg>";
    this.abc = null;
    this.notes = [];
    this.lit = [];
    this.ahead = null;
  }

  /** Draw a tune. Returns false, and leaves empty staves, when abcjs is not there. */
  draw(abc) {
    this.abc = abc;
    this.width = this.element.clientWidth;
    const ahead = this.ahead?.abc === abc && this.ahead.width === this.width ? this.ahead : this.drawing(abc);
    this.ahead?.paper.remove();
    this.ahead = null;
    if (!ahead) return false;
    ahead.paper.className = "";
    this.element.replaceChildren(ahead.paper);
    this.notes = ahead.notes;
    this.lit = [];
    return true;
  }

  /** Draw the tune that comes next out of sight, so that draw() only has to show it. */
  prepare(abc) {
    if (this.ahead?.abc === abc && this.ahead.width === this.element.clientWidth) return;
    this.ahead?.paper.remove();
    this.ahead = this.drawing(abc);
  }

  /** {abc, width, paper, notes}: a drawing that takes no room yet; null when abcjs is not there. */
  drawing(abc) {
    const width = this.element.clientWidth;
    if (!window.ABCJS || !width) return null;
    const narrow = width < 560;
    const scale = narrow ? 0.8 : Math.min(1, Math.max(0.85, width / 860));
    const { text, breaks } = printable(abc, narrow ? 2 : 0);
    const paper = document.createElement("div");
    paper.className = "ahead";
    this.element.append(paper); // abcjs measures text, so it draws inside the page
    const [drawn] = window.ABCJS.renderAbc(paper, text, {
      add_classes: true,
      staffwidth: width - 2, // abcjs divides by the scale
      scale,
      paddingleft: 0,
      paddingright: 0,
      paddingtop: 4,
      paddingbottom: 4,
      selectTypes: false,
      format: { stretchlast: 0.5 },
    });
    const svg = paper.querySelector("svg");
    if (svg) {
      // abcjs scales by a style; a view box does the same and stays with a saved picture.
      const [wide, high] = ["width", "height"].map((side) => Number(svg.getAttribute(side)));
      svg.removeAttribute("style");
      svg.setAttribute("viewBox", `0 0 ${wide} ${high}`);
      const fit = Math.min(scale, width / wide); // bars too full for the width make abcjs draw wider
      svg.setAttribute("width", wide * fit);
      svg.setAttribute("height", high * fit);
      svg.setAttribute("aria-label", "Score");
      svg.querySelector("title")?.remove(); // else it pops up over the notes
    }
    paper.removeAttribute("style"); // abcjs sets a height and hides what stands out
    return { abc, width, paper, notes: drawnNotes(drawn, breaks) };
  }

  refit() {
    if (this.abc !== null && Math.abs(this.element.clientWidth - this.width) > 4) {
      const offsets = this.lit.map((note) => note.start);
      this.draw(this.abc);
      this.light(offsets);
    }
  }

  /** Light the notes whose text holds one of the offsets, put out all others. */
  light(offsets) {
    const next = offsets.map((offset) => this.noteAt(offset)).filter(Boolean);
    for (const note of this.lit) if (!next.includes(note)) mark(note, false);
    for (const note of next) mark(note, true);
    this.lit = next;
    return next;
  }

  /** The drawn note whose text holds `offset`, or undefined. */
  noteAt(offset) {
    let low = 0;
    let high = this.notes.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const note = this.notes[middle];
      if (offset < note.start) high = middle - 1;
      else if (offset >= note.end) low = middle + 1;
      else return note;
    }
    return undefined;
  }

  /** The drawn note nearest to a point of the window, or undefined when none is near. */
  noteNear(x, y) {
    let best;
    let least = PICK_REACH;
    for (const note of this.notes) {
      const box = note.groups[0].getBoundingClientRect();
      const dx = Math.max(box.left - x, 0, x - box.right);
      const dy = Math.max(box.top - y, 0, y - box.bottom);
      const distance = Math.hypot(dx, dy) + Math.abs((box.left + box.right) / 2 - x) / 8;
      if (distance < least) [best, least] = [note, distance];
    }
    return best;
  }

  /** Where a staff line lies in the window: {top, bottom}, notes included. */
  lineBox(line) {
    return this.element.querySelector(`.abcjs-staff-wrapper.abcjs-l${line}`)?.getBoundingClientRect();
  }

  get svg() {
    return this.element.querySelector(":scope > div:not(.ahead) > svg");
  }
}

function drawnNotes(drawn, breaks) {
  const notes = [];
  drawn.lines.forEach((line) => {
    for (const staff of line.staff ?? []) {
      for (const voice of staff.voices) {
        for (const element of voice) {
          const groups = element.abselem?.elemset?.filter(Boolean) ?? [];
          if (element.el_type !== "note" || groups.length === 0) continue;
          notes.push({
            start: sourceOffset(breaks, element.startChar),
            end: sourceOffset(breaks, element.endChar),
            rest: Boolean(element.rest),
            groups,
            line: Number(/abcjs-l(\d+)/.exec(groups[0].getAttribute("class"))?.[1] ?? 0),
          });
        }
      }
    }
  });
  return notes.sort((a, b) => a.start - b.start);
}

function mark(note, on) {
  for (const group of note.groups) group.classList.toggle("sounding", on);
}
