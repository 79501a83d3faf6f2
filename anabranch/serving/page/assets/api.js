// What the server is asked: with the key of this tab, where it wants one, and the thread in a header.

import { byId } from "./dom.js";

const KEY = "anabranch.key";

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function headers(thread, more = {}) {
  const key = sessionStorage.getItem(KEY);
  return {
    ...(thread ? { "Anabranch-Thread": thread } : {}),
    ...(key ? { Authorization: `Bearer ${key}` } : {}),
    ...more,
  };
}

async function refusal(response) {
  let message = `the server answered with status ${response.status}`;
  try {
    message = (await response.json()).error.message;
  } catch { /* it was no JSON */ }
  return new Refused(response.status, message);
}

/** Sends a request; asks the person for a key where the server wants one, and sends it again. */
async function ask(path, options, thread, more) {
  for (;;) {
    const response = await fetch(path, { ...options, headers: headers(thread, more) });
    if (response.status !== 401) {
      if (!response.ok) throw await refusal(response);
      return response;
    }
    await askForKey((await refusal(response)).message);
  }
}

let asking = null;

function askForKey(problem) {
  asking ??= new Promise((resolve) => {
    const dialog = byId("key");
    byId("key-problem").textContent = sessionStorage.getItem(KEY) ? problem : "";
    // Only a key lets anybody in.
    const stay = (event) => event.preventDefault();
    dialog.addEventListener("cancel", stay);
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(KEY, byId("key-text").value.trim());
      dialog.removeEventListener("cancel", stay);
      asking = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

export async function json(path, { method = "GET", thread, body, type } = {}) {
  const response = await ask(path, { method, body }, thread, type ? { "Content-Type": type } : {});
  return response.status === 204 ? null : response.json();
}

/** Runs something on a thread and hands over its events as they come; ends early, without an error, by `signal`. */
export async function stream(thread, body, signal, take) {
  const options = { method: "POST", body: JSON.stringify(body), signal };
  const response = await ask("/page/runs", options, thread, { "Content-Type": "application/json" });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (waiting + value).split("\n\n");
    waiting = parts.pop();
    for (const part of parts) {
      const lines = part.split("\n").filter((line) => line.startsWith("data:"));
      if (!lines.length) continue;
      const event = JSON.parse(lines.map((line) => line.slice(5)).join("\n"));
      if (!event.type && event.error) throw new Refused(0, event.error.message);
      take(event);
    }
  }
}
