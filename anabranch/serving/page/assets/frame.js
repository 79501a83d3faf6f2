// What the forms have in common in which a run waits for a person.

import { el } from "./dom.js";

let forms = 0;

/** An id that no other part of the page has. */
export function fresh(name) {
  forms += 1;
  return `${name}-${forms}`;
}

/** A form with a heading, what was wrong the last time, and its parts. */
export function frame(title, waiting, ...parts) {
  const id = fresh("decision");
  const problem = el("p", { class: "problem", role: "alert" }, waiting.error ?? "");
  const heading = el("h3", { id, tabindex: "-1" }, title);
  const form = el("form", { class: "decision", "aria-labelledby": id, novalidate: true }, heading, problem, ...parts);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.problem = problem;
  form.heading = heading;
  return form;
}

/** A field with its label, and a hint that is read with it. */
export function labelled(text, field, hint) {
  field.id = fresh("field");
  const about = hint ? el("span", { class: "dim", id: `${field.id}-hint` }, hint) : null;
  if (about) field.setAttribute("aria-describedby", about.id);
  return el("p", { class: "field" }, el("label", { for: field.id }, text), field, about);
}
