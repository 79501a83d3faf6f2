// One sub-question: what is asked, who answers it, what became of it, and what the answer rests on.

import { dollars, el, seconds, set, tokens, write } from "./dom.js";
import { link } from "./markdown.js";

const STATES = {
  draft: ["✎", "being written"],
  pending: ["○", "to be asked"],
  running: ["◐", "running"],
  done: ["✓", "answered"],
  failed: ["✗", "failed"],
  waiting: ["?", "waits for you"],
};

export class Card {
  constructor(row) {
    this.number = el("span", { class: "number" });
    this.route = el("span", { class: "route" });
    this.state = el("span", { class: "state" });
    this.text = el("p", { class: "text" });
    this.answer = el("p", { class: "answer" });
    this.summary = el("summary");
    this.body = el("div");
    this.details = el("details", { hidden: true }, this.summary, this.body);
    this.node = el(
      "li",
      { class: "card" },
      el("p", { class: "head" }, this.number, " ", this.route, " ", this.state),
      this.text,
      this.answer,
      this.details,
    );
    this.told = null;
    this.update(row, new Map());
  }

  update(row, rows) {
    const { question, answer } = row;
    const [sign, word] = STATES[row.state];
    set(this.node, { "data-state": row.state, id: row.anchor });
    write(this.number, String(question.id));
    write(this.route, question.route === "solve" ? "model" : question.route);
    const after = question.depends_on.filter((id) => rows.get(id)?.state !== "done");
    const waits = row.state === "pending" && after.length ? `waits for ${after.join(", ")}` : word;
    const time = answer && row.state !== "waiting" ? ` · ${seconds(answer.seconds)}` : "";
    this.state.replaceChildren(el("span", { "aria-hidden": "true", class: "sign" }, sign), ` ${waits}${time}`);
    this.text.replaceChildren(...filled(question.text, rows));
    if (!answer || answer === this.told) return;
    this.told = answer;
    write(this.answer, answer.status === "done" ? answer.text : answer.error ?? "");
    this.body.replaceChildren(...rest(answer));
    const count = answer.sources?.length ?? 0;
    write(this.summary, count ? `What it rests on (${count})` : "Details");
    this.details.hidden = !this.body.childNodes.length;
  }
}

/** A sub-question's text, with the answers that are known in its slots. */
function filled(text, rows) {
  const parts = [];
  let place = 0;
  for (const match of text.matchAll(/\{\{|\}\}|\{(\d+)\}/g)) {
    parts.push(text.slice(place, match.index));
    place = match.index + match[0].length;
    if (match[1] === undefined) {
      parts.push(match[0][0]);
      continue;
    }
    const answer = rows.get(Number(match[1]))?.answer;
    const known = answer?.status === "done" ? answer.text : null;
    parts.push(el("span", { class: known ? "slot known" : "slot" }, known ?? `answer ${match[1]}`));
  }
  return [...parts, text.slice(place)].filter(Boolean);
}

function rest(answer) {
  const parts = [];
  if (answer.arguments) parts.push(el("p", {}, "Called with ", el("code", {}, JSON.stringify(answer.arguments))));
  if (answer.cut) parts.push(el("p", {}, "The reply was cut off."));
  for (const source of answer.sources ?? []) parts.push(passage(source));
  const used = answer.usage;
  if (used?.calls) {
    const cost = dollars(used);
    parts.push(el("p", { class: "dim" }, `${used.calls} model ${used.calls === 1 ? "call" : "calls"}, ${tokens(used)}${cost ? `, ${cost}` : ""}`));
  }
  return parts;
}

/** Where a source stands, in a few words. */
export function label(source) {
  const place = source.source || source.title || source.tool;
  return source.page === null || source.page === undefined ? place : `${place}, page ${source.page}`;
}

export function passage(source) {
  const place = label(source);
  return el(
    "figure",
    { class: "passage" },
    el("figcaption", {}, link(place, place), source.section ? el("span", { class: "dim" }, ` · ${source.section}`) : null),
    el("blockquote", {}, source.text),
  );
}
