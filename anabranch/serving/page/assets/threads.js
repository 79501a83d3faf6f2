// The conversations that this browser knows. Their ids are secrets: whoever has one may read the conversation.

const LIST = "anabranch.threads";
const CURRENT = "anabranch.current";
const MOST = 50;
const MAX_TITLE = 80;

/** An id of 144 random bits. */
function fresh() {
  const bytes = crypto.getRandomValues(new Uint8Array(18));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}

export function known() {
  try {
    const list = JSON.parse(localStorage.getItem(LIST) ?? "[]");
    return Array.isArray(list) ? list.filter((each) => typeof each?.id === "string" && typeof each.title === "string") : [];
  } catch {
    return [];
  }
}

function keep(list) {
  localStorage.setItem(LIST, JSON.stringify(list.slice(0, MOST)));
}

/** The conversation of this tab; a new one if there is none. */
export function current() {
  const id = sessionStorage.getItem(CURRENT);
  return id ?? choose(fresh());
}

export function choose(id) {
  sessionStorage.setItem(CURRENT, id);
  return id;
}

export function begin() {
  return choose(fresh());
}

/** Puts a conversation at the top of the list, under the first thing that was asked. */
export function touch(id, question) {
  const list = known();
  const found = list.find((each) => each.id === id);
  const title = found?.title ?? (question.length > MAX_TITLE ? `${question.slice(0, MAX_TITLE - 1)}…` : question);
  keep([{ id, title }, ...list.filter((each) => each.id !== id)]);
}

export function forget(id) {
  keep(known().filter((each) => each.id !== id));
}
