// The plan as a graph: what can run at the same time stands side by side, below what it waits for.

import { Card } from "./card.js";
import { el, set } from "./dom.js";

const COLUMNS = 6;
const MOST_BESIDE = 3;
const SVG = "http://www.w3.org/2000/svg";

export class PlanView {
  constructor() {
    this.cards = new Map();
    this.notes = [];
    this.list = el("ol", { class: "plan" });
    this.edges = document.createElementNS(SVG, "svg");
    set(this.edges, { class: "edges", "aria-hidden": "true" });
    this.node = el("div", { class: "graph", hidden: true }, this.edges, this.list);
    this.rows = new Map();
    new ResizeObserver(() => this.connect()).observe(this.list);
  }

  /** Shows rows (by id, in plan order) in their rounds; `replans` says before which round and why it was planned again. */
  update(rows, replans) {
    this.rows = rows;
    for (const [id, card] of this.cards) {
      if (!rows.has(id)) {
        card.node.remove();
        this.cards.delete(id);
      }
    }
    let line = 1;
    for (let round = 0; round <= replans.length; round += 1) {
      if (round) {
        if (!this.notes[round]) {
          this.notes[round] = el("li", { class: "replan" }, el("strong", {}, "Planned again"), `: ${replans[round - 1]}`);
          this.list.append(this.notes[round]);
        }
        this.notes[round].style.gridRow = String(line);
        line += 1;
      }
      line = this.place([...rows.values()].filter((row) => row.round === round), line);
    }
    this.node.hidden = !rows.size && !replans.length;
    this.connect();
  }

  place(rows, line) {
    for (const layer of layers(rows)) {
      for (let from = 0; from < layer.length; from += MOST_BESIDE) {
        const beside = layer.slice(from, from + MOST_BESIDE);
        // One alone leaves room at its sides.
        const span = beside.length === 1 ? 4 : COLUMNS / beside.length;
        const first = beside.length === 1 ? 2 : 1;
        beside.forEach((row, place) => {
          const card = this.card(row);
          row.line = line;
          card.style.gridRow = String(line);
          card.style.gridColumn = `${first + place * span} / span ${span}`;
        });
        line += 1;
      }
    }
    return line;
  }

  card(row) {
    const id = row.question.id;
    if (!this.cards.has(id)) this.cards.set(id, new Card(row));
    const card = this.cards.get(id);
    card.update(row, this.rows);
    // Only where it is not there already: what is moved loses the focus.
    if (card.node.parentNode !== this.list) this.list.append(card.node);
    return card.node;
  }

  /** Draws the lines from each sub-question to those that use its answer. */
  connect() {
    const links = [...this.rows.values()].flatMap((row) => row.question.depends_on.map((id) => [this.rows.get(id), row]));
    this.list.classList.toggle("skips", links.some(([from, to]) => from && to.line - from.line > 1));
    const box = this.list.getBoundingClientRect();
    if (!box.width) return;
    const narrow = getComputedStyle(this.list).gridTemplateColumns.split(" ").length === 1;
    set(this.edges, { width: box.width, height: box.height, viewBox: `0 0 ${box.width} ${box.height}` });
    const paths = [];
    for (const [from, to] of links) {
      if (!from) continue;
      const ends = [from, to].map((row) => rectangle(this.cards.get(row.question.id).node, box));
      const line = narrow ? beside(...ends) : to.line - from.line > 1 ? around(...ends, box.width) : below(...ends);
      const path = document.createElementNS(SVG, "path");
      paths.push(set(path, { d: line, class: `edge ${from.state}` }));
    }
    this.edges.replaceChildren(...paths);
  }
}

/** Rows that wait for none of the same round, then those that wait for these, and so on. */
function layers(rows) {
  const depth = new Map();
  const found = [];
  for (const row of rows) {
    const below = row.question.depends_on.filter((id) => depth.has(id)).map((id) => depth.get(id) + 1);
    const level = Math.max(0, ...below);
    depth.set(row.question.id, level);
    (found[level] ??= []).push(row);
  }
  return found.filter(Boolean);
}

function rectangle(node, box) {
  const own = node.getBoundingClientRect();
  return { left: own.left - box.left, top: own.top - box.top, width: own.width, height: own.height };
}

/** From card to card in one column: along its left side. */
function beside(from, to) {
  const [y1, y2] = [from.top + from.height / 2, to.top + to.height / 2];
  return `M${from.left} ${y1} C${from.left - 16} ${y1} ${to.left - 16} ${y2} ${to.left} ${y2}`;
}

/** To the next line. */
function below(from, to) {
  const [x1, y1] = [from.left + from.width / 2, from.top + from.height];
  const [x2, y2] = [to.left + to.width / 2, to.top];
  const middle = (y2 - y1) * 0.6;
  return `M${x1} ${y1} C${x1} ${y1 + middle} ${x2} ${y2 - middle} ${x2} ${y2}`;
}

/** Past the lines between, in the lane at the right. */
function around(from, to, width) {
  const [x1, y1] = [from.left + from.width * 0.9, from.top + from.height];
  const [x2, y2] = [to.left + to.width, to.top + Math.min(to.height / 2, 24)];
  const lane = width - 5;
  return `M${x1} ${y1} Q${x1} ${y1 + 12} ${x1 + 12} ${y1 + 12} H${lane - 8} Q${lane} ${y1 + 12} ${lane} ${y1 + 20} V${y2 - 8} Q${lane} ${y2} ${lane - 8} ${y2} H${x2}`;
}
