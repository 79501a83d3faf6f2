// One question of a conversation: its plan, its time line, what waits for a decision, and its answer.

import { label, passage } from "./card.js";
import { announce, dollars, el, tokens, write } from "./dom.js";
import { markdown } from "./markdown.js";
import { PlanView } from "./plan.js";
import { decisionForm } from "./review.js";
import { Timeline } from "./timeline.js";

const STATUS = {
  partial: "Something is missing from this answer.",
  not_found: "No look-up found an answer.",
  refused: "The model would not answer.",
  failed: "There is no answer.",
};

let turns = 0;

export class Turn {
  /** `does` has what a person can do: `decide(decisions)`, `resume()`; `tools` are the names for plans. */
  constructor(asked, tools, does) {
    turns += 1;
    this.number = turns;
    this.tools = tools;
    this.does = does;
    this.rows = new Map();
    this.replans = [];
    this.usage = null;
    this.text = "";
    this.message = null;
    this.base = 0;
    this.edited = {};
    this.plan = new PlanView();
    this.times = new Timeline();
    this.heading = el("h2", { class: "asked", tabindex: "-1" }, asked);
    this.understood = el("p", { class: "dim", hidden: true });
    this.phase = el("p", { class: "phase", hidden: true });
    this.notes = el("div", { class: "notes" });
    this.waiting = el("div");
    this.answer = el("div", { class: "answer-text" });
    this.status = el("p", { class: "ended", hidden: true });
    this.sources = el("div", { class: "sources" });
    this.foot = el("p", { class: "dim foot" });
    this.node = el(
      "article",
      { class: "turn", "aria-label": `Question: ${asked}` },
      this.heading,
      this.understood,
      this.plan.node,
      this.times.node,
      this.notes,
      this.phase,
      this.waiting,
      el("section", { class: "result", "aria-label": "Answer" }, this.answer, this.status, this.sources, this.foot),
    );
  }

  /** A turn as the server keeps it. */
  show(kept) {
    this.understand(kept.asked, kept.question);
    this.planned(kept.plan.sub_questions);
    for (const answer of kept.answers) this.answered(answer);
    this.used(kept.usage);
    if (kept.interrupts?.length) this.ask(kept.interrupts);
    else if (kept.unfinished) this.stopped("This was stopped before it was answered.");
    if (kept.answer) this.end(kept);
    this.draw();
    return this;
  }

  /** The run begins, or goes on. */
  begin() {
    // What has the focus goes away, and it should not go back to the beginning of the page.
    if (this.waiting.contains(document.activeElement)) this.heading.focus();
    this.waiting.replaceChildren();
    this.running = true;
    this.begun = performance.now();
    this.phaseIs("planning");
    this.tick();
  }

  tick() {
    if (!this.running) return;
    this.draw();
    setTimeout(() => this.tick(), 200);
  }

  now() {
    return this.base + (performance.now() - this.begun) / 1000;
  }

  take(event) {
    const known = {
      begin: () => { this.base = this.rows.size ? this.last ?? 0 : 0; this.begun = performance.now(); },
      question: () => this.understand(event.asked, event.question),
      draft: () => this.drafted(event.sub_questions),
      plan: () => this.written(event),
      sub_question: () => this.moved(event),
      replan: () => this.again(event.reason),
      delta: () => this.wrote(event),
      answer: () => this.end(event),
      interrupts: () => this.ask(event.interrupts),
      end: () => this.used(event.usage),
    };
    known[event.type]?.();
    this.draw();
  }

  understand(asked, question) {
    this.understood.hidden = !question || question === asked;
    write(this.understood, `Understood as: ${question}`);
  }

  get round() {
    return this.replans.length;
  }

  row(question, state) {
    const row = this.rows.get(question.id) ?? { round: this.round, anchor: `turn-${this.number}-${question.id}` };
    row.question = question;
    row.state = row.answer ? row.answer.status : row.begin !== undefined ? "running" : state;
    return row;
  }

  /** What is written so far stands after what was planned before, in place of an earlier draft. */
  drafted(questions) {
    const kept = [...this.rows].filter(([, row]) => row.state !== "draft");
    const drafts = questions.filter((question) => !kept.some(([id]) => id === question.id));
    this.rows = new Map([...kept, ...drafts.map((question) => [question.id, this.row(question, "draft")])]);
    this.phaseIs("writing the plan");
  }

  planned(questions) {
    this.rows = new Map(questions.map((question) => [question.id, this.row(question, "pending")]));
  }

  written(event) {
    this.planned(event.plan.sub_questions);
    for (const problem of event.problems) this.notes.append(el("p", { class: "dim" }, problem));
    const count = event.new.length;
    this.phaseIs(count ? "answering" : this.rows.size ? "joining the answers" : "answering directly");
    announce(count ? `The plan has ${count} sub-question${count === 1 ? "" : "s"}` : "Answered without a plan");
  }

  moved(event) {
    const row = this.rows.get(event.id);
    if (!row) return;
    if (event.status === "started") {
      row.begin = this.base + event.at;
      row.end = undefined;
      row.answer = undefined;
      row.state = "running";
      return;
    }
    this.answered(event);
    if (row.begin !== undefined) row.end = this.base + event.at;
    this.last = this.base + event.at;
    if (event.status === "waiting") row.begin = row.end = undefined;
    const outcome = { done: event.text, failed: `failed, ${event.error}`, waiting: "waits for you" }[event.status];
    announce(`Sub-question ${event.id}: ${outcome.slice(0, 300)}`);
    if ([...this.rows.values()].every((each) => each.answer)) this.phaseIs("joining the answers");
  }

  answered(answer) {
    const row = this.rows.get(answer.id);
    if (!row) return;
    row.answer = answer;
    row.state = answer.status;
  }

  again(reason) {
    this.replans.push(reason);
    this.phaseIs("planning again");
    announce(`Planned again: ${reason}`);
  }

  wrote(event) {
    if (event.message !== this.message) {
      this.message = event.message;
      this.text = "";
    }
    this.text += event.content;
    this.longer ||= Boolean(event.content);
    this.phaseIs(event.content ? "writing the answer" : "thinking");
  }

  /** Decisions are asked for; they are sent when there is one on each. */
  ask(interrupts) {
    this.halt();
    for (const row of this.rows.values()) {
      if (row.state !== "running") continue;
      row.state = "waiting";
      row.begin = row.end = undefined;
    }
    const decisions = {};
    const forms = interrupts.map((waiting) => {
      const before = waiting.error ? this.edited[subject(waiting)] : null;
      const form = decisionForm(waiting, this.tools, (decision) => {
        this.edited[subject(waiting)] = decision?.plan?.sub_questions ?? decision?.content ?? null;
        decisions[waiting.id] = decision;
        const next = forms[interrupts.findIndex(({ id }) => !(id in decisions))];
        if (!next) {
          this.decided(decisions, forms);
          return;
        }
        form.remove();
        next.heading.focus();
      }, before);
      return form;
    });
    this.waiting.replaceChildren(...forms);
    announce(forms[0].heading.textContent);
    forms[0].heading.focus();
  }

  async decided(decisions, forms) {
    const refused = await this.does.decide(decisions);
    if (!refused) return;
    // The forms are there again with what was edited.
    this.waiting.replaceChildren(...forms);
    forms[0].problem.textContent = refused;
    forms[0].heading.focus();
  }

  /** The run has stopped without an answer: it can be gone on with. */
  stopped(why) {
    this.halt();
    for (const row of this.rows.values()) {
      if (row.state === "running" || row.state === "draft") {
        row.state = "pending";
        row.begin = row.end = undefined;
      }
    }
    const go = el("button", { type: "button", class: "primary", onclick: () => this.does.resume() }, "Go on");
    this.waiting.replaceChildren(el("div", { class: "decision" }, el("p", {}, why), el("div", { class: "actions" }, go)));
    announce(why);
    this.draw();
  }

  halt() {
    this.running = false;
    this.phase.hidden = true;
  }

  end(ended) {
    this.halt();
    this.waiting.replaceChildren();
    this.answer.replaceChildren(...markdown(ended.answer));
    this.status.hidden = !STATUS[ended.status];
    write(this.status, STATUS[ended.status] ?? "");
    this.sources.replaceChildren(...sources(ended.sources ?? [], this.rows));
    if (!ended.asked) announce(`Answer: ${ended.answer.slice(0, 1000)}`);
  }

  used(usage) {
    if (!usage?.total) return;
    this.usage = usage.total;
    const roles = Object.entries(usage).filter(([role]) => role !== "total");
    const parts = roles.map(([role, used]) => `${role} ${(used.input_tokens + used.output_tokens).toLocaleString("en")}`);
    const cost = dollars(usage.total);
    write(this.foot, usage.total.calls ? `${tokens(usage.total)} (${parts.join(", ")})${cost ? ` · ${cost}` : ""}` : "");
    this.does.spent();
  }

  phaseIs(text) {
    this.phase.hidden = !this.running;
    write(this.phase, `${text} …`);
  }

  /** Draws what is new, once a frame however many events there are. */
  draw() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.drawn();
    });
  }

  drawn() {
    if (this.running && this.longer) this.answer.replaceChildren(...markdown(this.text));
    this.longer = false;
    this.plan.update(this.rows, this.replans);
    this.times.update(this.rows, this.running ? this.now() : this.last ?? 0);
  }
}

/** What is asked; a server that asks again, since the values did not fit, asks under another id. */
function subject(waiting) {
  return waiting.elicitation ? JSON.stringify(waiting.elicitation) : waiting.id;
}

/** The passages behind the answer, each file and page once; what tools only computed is none. */
function sources(found, rows) {
  const shown = found.filter((source) => source.text && source.tool !== "calculator" && source.tool !== "python");
  if (!shown.length) return [];
  const places = [...new Set(shown.map(label))];
  return [
    el("h3", {}, "Sources"),
    el("p", {}, places.join(" · ")),
    el("details", {}, el("summary", {}, `${shown.length} passage${shown.length === 1 ? "" : "s"}`), ...shown.map(passage)),
  ];
}
