// Elements out of data. Text only ever becomes text nodes: nothing that a model, a tool or a document wrote is markup.

/** An element with attributes, listeners (`onclick`) and children (strings, elements, or nothing). */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  set(node, attributes);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Sets attributes; `false`, `null` and `undefined` take them away. */
export function set(node, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === false || value === null || value === undefined) node.removeAttribute(key);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  return node;
}

/** Replaces an element's text, if it is another. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
  return node;
}

export function byId(id) {
  return document.getElementById(id);
}

const MOST_SAID = 20;

/** Tells screen readers what happened: each in a line of its own, so that what comes fast is read one after the other. */
export function announce(text) {
  const status = byId("status");
  status.append(el("span", {}, text));
  while (status.childNodes.length > MOST_SAID) status.firstChild.remove();
}

export function seconds(value) {
  return value < 10 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;
}

export function tokens(usage) {
  const count = (usage.tokens ?? usage.input_tokens + usage.output_tokens).toLocaleString("en");
  return `${usage.estimated ? "about " : ""}${count} tokens`;
}

/** A cost, where the prices of all models that were called are known and one of them costs something. */
export function dollars(usage) {
  if (!usage.usd) return "";
  return `$${usage.usd < 0.01 ? usage.usd.toPrecision(2) : usage.usd.toFixed(2)}`;
}
