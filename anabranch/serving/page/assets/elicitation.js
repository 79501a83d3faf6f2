// What an MCP server asks in the middle of a call: a form by the schema of the values that it wants.

import { el, set } from "./dom.js";
import { frame, labelled } from "./frame.js";

/** The form; `decide` takes the reply. `before` are the values that were given the last time, which did not fit. */
export function elicitationForm(waiting, decide, before) {
  const { server, message, requestedSchema: schema } = waiting.elicitation;
  const required = schema.required ?? [];
  const fields = Object.entries(schema.properties ?? {}).map(([name, rules]) =>
    field(name, rules, required.includes(name), before ? before[name] : rules.default));
  const form = frame(
    `${server} asks you`,
    waiting,
    el("p", { class: "about" }, message),
    ...fields.map((each) => each.node),
    el("p", { class: "dim" }, `What you send goes to ${server}, an MCP server.`),
    el(
      "div",
      { class: "actions" },
      el("button", { type: "submit", class: "primary" }, "Send"),
      el("button", { type: "button", onclick: () => decide({ action: "decline" }) }, "Decline"),
      el("button", { type: "button", onclick: () => decide({ action: "cancel" }) }, "Cancel"),
    ),
  );
  form.addEventListener("submit", () => {
    form.problem.textContent = "";
    const wrong = fields.find((each) => !each.check());
    if (!wrong) {
      const told = fields.map((each) => [each.name, each.read()]).filter(([, value]) => value !== undefined);
      decide({ action: "accept", content: Object.fromEntries(told) });
      return;
    }
    form.problem.textContent = `${wrong.label}: ${wrong.control.validationMessage}`;
    wrong.control.focus();
  });
  return form;
}

function field(name, rules, required, value) {
  const label = rules.title ?? name;
  const title = required ? label : `${label} (optional)`;
  const made = kind(rules, required, value, title);
  set(made.control, { "aria-invalid": null });
  const check = () => {
    const fits = made.control.checkValidity();
    set(made.control, { "aria-invalid": fits ? null : "true" });
    return fits;
  };
  return { name, label, check, ...made };
}

function kind(rules, required, value, title) {
  const hint = rules.description ?? "";
  if (rules.type === "array") return severalField(rules, value, title, hint);
  if (rules.type === "boolean") return checkField(value, title.replace(" (optional)", ""), hint);
  const choices = choicesOf(rules);
  if (choices) return choiceField(choices, required, value, title, hint);
  if (rules.type === "number" || rules.type === "integer") return numberField(rules, required, value, title, hint);
  return textField(rules, required, value, title, hint);
}

/** The values of a schema with choices, each with what it is called; null if it has none. */
function choicesOf(rules) {
  const titled = rules.oneOf ?? rules.anyOf;
  if (titled) return titled.map((each) => [each.const, each.title ?? String(each.const)]);
  return rules.enum ? rules.enum.map((each, place) => [each, rules.enumNames?.[place] ?? String(each)]) : null;
}

function choiceField(choices, required, value, title, hint) {
  const options = choices.map(([, name], place) => el("option", { value: String(place) }, name));
  const control = el("select", { required }, el("option", { value: "" }, required ? "Choose one" : "None"), ...options);
  const place = choices.findIndex(([each]) => each === value);
  control.value = place < 0 ? "" : String(place);
  return { control, node: labelled(title, control, hint), read: () => (control.value ? choices[Number(control.value)][0] : undefined) };
}

function severalField(rules, value, title, hint) {
  const chosen = Array.isArray(value) ? value : [];
  const choices = choicesOf(rules.items ?? {}) ?? [];
  const boxes = choices.map(([each]) => el("input", { type: "checkbox", checked: chosen.includes(each) }));
  const labels = choices.map(([, name], place) => el("label", { class: "check" }, boxes[place], ` ${name}`));
  const control = boxes[0] ?? el("input", { type: "hidden" });
  const read = () => {
    const picked = choices.filter((_, place) => boxes[place].checked).map(([each]) => each);
    return picked.length || !title.endsWith("(optional)") ? picked : undefined;
  };
  const node = el("fieldset", { class: "action" }, el("legend", {}, title), hint ? el("p", { class: "dim" }, hint) : null, el("div", { class: "choices" }, ...labels));
  return { control, node, read };
}

function checkField(value, title, hint) {
  const control = el("input", { type: "checkbox", checked: value === true });
  const node = el("p", { class: "field" }, el("label", { class: "check" }, control, ` ${title}`), hint ? el("span", { class: "dim" }, hint) : null);
  return { control, node, read: () => control.checked };
}

function numberField(rules, required, value, title, hint) {
  const step = rules.type === "integer" ? "1" : "any";
  const control = el("input", { type: "number", required, step, min: rules.minimum, max: rules.maximum });
  control.value = value ?? "";
  return { control, node: labelled(title, control, hint), read: () => (control.value === "" ? undefined : Number(control.value)) };
}

const KINDS = { email: "email", uri: "url", date: "date" };

function textField(rules, required, value, title, hint) {
  const sizes = { required, minlength: rules.minLength, maxlength: rules.maxLength };
  const long = !rules.format && (rules.maxLength ?? 0) > 200;
  const control = long ? el("textarea", { rows: "3", ...sizes }) : el("input", { type: KINDS[rules.format] ?? "text", ...sizes });
  if (rules.format === "date-time") set(control, { placeholder: "2026-01-31T09:30:00Z" });
  control.value = value ?? "";
  return { control, node: labelled(title, control, hint), read: () => (control.value === "" ? undefined : control.value) };
}
