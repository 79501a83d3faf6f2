// What a person decides: on a plan before it runs, and on actions before they are carried out.

import { el } from "./dom.js";
import { elicitationForm } from "./elicitation.js";
import { frame, fresh, labelled } from "./frame.js";

/** The form for what a run waits for; `decide` takes the decision. `before` is what was edited the last time. */
export function decisionForm(waiting, tools, decide, before) {
  if (waiting.action_requests) return actionsForm(waiting, decide);
  if (waiting.plan) return planForm(waiting, tools, decide, before);
  if (waiting.elicitation) return elicitationForm(waiting, decide, before);
  return replyForm(waiting, decide);
}

/** A plan, sub-question by sub-question. */
function planForm(waiting, tools, decide, before) {
  const original = waiting.plan.sub_questions;
  const list = el("ol", { class: "edit" });
  const routes = ["solve", ...tools];
  for (const question of before ?? original) list.append(planRow(question, routes));
  const message = el("input", { type: "text" });
  const form = frame(
    "Shall this plan run?",
    waiting,
    list,
    el("p", {}, el("button", { type: "button", onclick: () => add(list, routes) }, "Add a sub-question")),
    el(
      "div",
      { class: "actions" },
      el("button", { type: "submit", class: "primary" }, "Run the plan"),
      el("button", { type: "button", class: "danger", onclick: () => decide({ type: "reject" }) }, "Reject it"),
    ),
    el(
      "details",
      {},
      el("summary", {}, "Ask for another plan"),
      labelled("What should be different", message),
      el("button", {
        type: "button",
        onclick: () => {
          if (message.value.trim()) decide({ type: "respond", message: message.value.trim() });
          else message.focus();
        },
      }, "Plan again"),
    ),
  );
  form.addEventListener("submit", () => {
    const edited = [...list.children].map((row) => row.read());
    const same = JSON.stringify(edited) === JSON.stringify(original.map(({ id, text, route, depends_on }) => ({ id, text, route, depends_on })));
    decide(same ? { type: "approve" } : { type: "edit", plan: { sub_questions: edited } });
  });
  return form;
}

function planRow(question, routes) {
  const { id } = question;
  const text = el("textarea", { rows: "2", "aria-label": `Text of sub-question ${id}` });
  text.value = question.text;
  const known = routes.includes(question.route) ? routes : [...routes, question.route];
  const route = el("select", { "aria-label": `Who answers sub-question ${id}` }, ...known.map((name) => el("option", { value: name }, name === "solve" ? "model" : name)));
  route.value = question.route;
  const after = el("input", { type: "text", inputmode: "numeric", "aria-label": `Sub-question ${id} waits for`, placeholder: "none" });
  after.value = question.depends_on.join(", ");
  const remove = el("button", { type: "button", class: "quiet", "aria-label": `Remove sub-question ${id}` }, "Remove");
  const row = el(
    "li",
    {},
    el("span", { class: "number", "aria-hidden": "true" }, String(id)),
    text,
    el("span", { class: "with" }, el("label", {}, "answered by ", route), el("label", {}, "waits for ", after), remove),
  );
  remove.addEventListener("click", () => {
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    (next?.querySelector("textarea") ?? document.activeElement)?.focus();
  });
  row.number = id;
  row.read = () => ({
    id,
    text: text.value.trim(),
    route: route.value,
    depends_on: [...after.value.matchAll(/\d+/g)].map((match) => Number(match[0])),
  });
  return row;
}

function add(list, routes) {
  const id = Math.max(0, ...[...list.children].map((row) => row.number)) + 1;
  const row = planRow({ id, text: "", route: "solve", depends_on: [] }, routes);
  list.append(row);
  row.querySelector("textarea").focus();
}

/** Actions, each with its arguments. */
function actionsForm(waiting, decide) {
  const many = waiting.action_requests.length > 1;
  const parts = waiting.action_requests.map((action, place) => actionPart(action, place, many));
  const form = frame(
    many ? "Shall these actions be carried out?" : "Shall this action be carried out?",
    waiting,
    ...parts.map((part) => part.node),
    el("div", { class: "actions" }, el("button", { type: "submit", class: "primary" }, many ? "Send these decisions" : "Send this decision")),
  );
  form.addEventListener("submit", () => {
    form.problem.textContent = "";
    try {
      decide({ decisions: parts.map((part) => part.read()) });
    } catch (error) {
      form.problem.textContent = error.message;
    }
  });
  return form;
}

const CHOICES = [
  ["approve", "Carry it out"],
  ["edit", "Carry it out with other arguments"],
  ["respond", "Do not; I give its result"],
  ["reject", "Do not"],
];

function actionPart(action, place, many) {
  const name = fresh("choice");
  const text = el("textarea", { rows: "4", hidden: true, spellcheck: "false" });
  const radios = CHOICES.map(([type, label]) => {
    const radio = el("input", { type: "radio", name, value: type });
    radio.addEventListener("change", () => open(type));
    return el("label", { class: "check" }, radio, ` ${label}`);
  });

  function open(type) {
    text.hidden = type === "approve";
    text.setAttribute("aria-label", { edit: "Arguments as JSON", respond: "Its result", reject: "Why not (may be left empty)" }[type] ?? "");
    text.setAttribute("placeholder", text.getAttribute("aria-label"));
    text.value = type === "edit" ? JSON.stringify(action.args, null, 2) : "";
  }

  const rows = Object.entries(action.args).map(([key, value]) =>
    el("div", {}, el("dt", {}, key), el("dd", {}, typeof value === "string" ? value : JSON.stringify(value))));
  const node = el(
    "fieldset",
    { class: "action" },
    el("legend", {}, many ? `${place + 1}. ` : "", el("code", {}, action.name)),
    el("dl", {}, ...rows),
    el("p", { class: "dim about" }, action.description ?? ""),
    el("div", { class: "choices" }, ...radios),
    text,
  );

  function read() {
    const type = node.querySelector("input:checked")?.value;
    if (!type) throw new Error(`decide on action ${place + 1}, ${action.name}`);
    if (type === "approve") return { type };
    if (type === "reject") return { type, message: text.value.trim() };
    if (type === "respond") {
      if (!text.value.trim()) throw new Error(`write the result of action ${place + 1}`);
      return { type, message: text.value.trim() };
    }
    let args;
    try {
      args = JSON.parse(text.value);
    } catch {
      args = null;
    }
    if (args === null || typeof args !== "object" || Array.isArray(args)) throw new Error(`the arguments of action ${place + 1} are no JSON object`);
    return { type, edited_action: { name: action.name, args } };
  }

  return { node, read };
}

/** What a tool asks of a person by itself. */
function replyForm(waiting, decide) {
  const text = el("textarea", { rows: "3" });
  const form = frame(
    "A tool asks you something",
    waiting,
    el("p", { class: "about" }, waiting.value ?? ""),
    labelled("Your reply", text),
    el("div", { class: "actions" }, el("button", { type: "submit", class: "primary" }, "Send")),
  );
  form.addEventListener("submit", () => decide(text.value));
  return form;
}
