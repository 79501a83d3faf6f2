// The page: a conversation, its list, and what a person does.

import * as api from "./api.js";
import { Documents } from "./documents.js";
import { announce, byId, dollars, el, set, tokens, write } from "./dom.js";
import * as threads from "./threads.js";
import { Turn } from "./turn.js";

const THEMES = ["auto", "light", "dark"];

class Page {
  constructor(settings) {
    this.settings = settings;
    this.thread = threads.current();
    this.turns = [];
    this.running = null;
    this.documents = new Documents(settings, () => this.thread, (text) => this.fail(text));
    byId("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask();
    });
    byId("question").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.ask();
      }
    });
    byId("stop").addEventListener("click", () => this.stop());
    byId("new").addEventListener("click", () => this.open(threads.begin()));
    byId("question").maxLength = settings.max_question_chars;
    this.welcome();
  }

  welcome() {
    const { examples, tools, keeps_threads: kept } = this.settings;
    byId("examples").replaceChildren(...examples.map((question) =>
      el("li", {}, el("button", { type: "button", onclick: () => { byId("question").value = question; this.ask(); } }, question))));
    const list = tools.map((tool) => el("li", {}, el("code", {}, tool.name), ` ${tool.description.split("\n")[0]}`));
    byId("tools").replaceChildren(...(list.length ? [el("h3", {}, "It can use"), el("ul", {}, ...list)] : []));
    write(byId("thread-note"), kept ? "" : "Conversations are kept until the server ends.");
  }

  /** Opens a conversation; what is running in the one before is stopped. */
  async open(id) {
    this.stop();
    this.thread = threads.choose(id);
    this.turns = [];
    byId("turns").replaceChildren();
    this.documents.show([]);
    this.fail("");
    this.list();
    this.spent();
    menu(false);
    byId("question").focus();
    if (threads.known().some((each) => each.id === id)) await this.load(id);
    byId("welcome").hidden = this.turns.length > 0;
  }

  async load(id) {
    try {
      const kept = await api.json("/page/thread", { thread: id });
      if (this.thread !== id) return;
      this.documents.show(kept.documents);
      for (const turn of kept.turns) this.add(turn.asked).show(turn);
      if (!kept.turns.length && !kept.documents.length) this.fail("This conversation is not kept any more.");
    } catch (error) {
      this.fail(error.message);
    }
  }

  add(asked) {
    const own = this.documents.some ? [this.settings.uploads] : [];
    const routes = [...new Set([...this.settings.tools.map((tool) => tool.name), ...own])];
    const turn = new Turn(asked, routes, {
      decide: (decisions) => this.run(turn, { decisions }),
      resume: () => this.run(turn, {}),
      spent: () => this.spent(),
    });
    this.turns.push(turn);
    byId("turns").append(turn.node);
    byId("welcome").hidden = true;
    return turn;
  }

  ask() {
    const question = byId("question").value.trim();
    if (!question || this.running) return;
    byId("question").value = "";
    this.fail("");
    threads.touch(this.thread, question);
    this.list();
    // What was stopped before is no part of the conversation any more.
    for (const turn of this.turns) turn.waiting.replaceChildren();
    const turn = this.add(question);
    turn.node.scrollIntoView({ block: "start", behavior: motion() });
    this.run(turn, { question, review: byId("review").checked });
  }

  /** Runs something and shows what comes of it; gives the reason where it was refused before it began. */
  async run(turn, body) {
    if (this.running) return "another question is being answered; wait for it, or stop it";
    const run = { stop: new AbortController(), begun: false };
    this.running = run;
    this.buttons();
    turn.begin();
    try {
      await api.stream(this.thread, body, run.stop.signal, (event) => {
        run.begun = true;
        run.ended ||= event.type === "end";
        turn.take(event);
      });
      if (!run.ended) turn.stopped("The connection broke off.");
      return "";
    } catch (error) {
      if (run.stop.signal.aborted) {
        turn.stopped("Stopped.");
        return "";
      }
      if (body.decisions && !run.begun) {
        turn.halt();
        return error.message;
      }
      turn.stopped(`It did not go well: ${error.message}`);
      return "";
    } finally {
      if (this.running === run) this.running = null;
      this.buttons();
    }
  }

  stop() {
    this.running?.stop.abort();
    this.running = null;
    this.buttons();
  }

  buttons() {
    const focused = document.activeElement === byId("stop");
    byId("stop").hidden = !this.running;
    byId("send").disabled = Boolean(this.running);
    if (focused && !this.running) byId("question").focus();
  }

  /** What the conversation has taken so far. */
  spent() {
    const used = this.turns.map((turn) => turn.usage).filter(Boolean);
    const sum = (name) => used.reduce((total, each) => total + (each[name] ?? 0), 0);
    const known = used.every((each) => each.usd !== null);
    const total = { tokens: sum("tokens"), usd: known ? sum("usd") : null, estimated: used.some((each) => each.estimated) };
    const cost = dollars(total);
    write(byId("spent"), total.tokens ? `${tokens(total)}${cost ? ` · ${cost}` : ""}` : "");
  }

  list() {
    const items = threads.known().map(({ id, title }) => {
      const open = el("button", { type: "button", class: "open", "aria-current": id === this.thread ? "true" : null, onclick: () => this.open(id) }, title);
      const remove = el("button", { type: "button", class: "quiet", "aria-label": `Delete: ${title}`, onclick: () => this.forget(id, remove) }, "×");
      return el("li", {}, open, remove);
    });
    byId("thread-list").replaceChildren(...items);
  }

  /** Deletes a conversation, at the second press. */
  async forget(id, button) {
    if (!button.classList.contains("danger")) {
      button.classList.add("danger");
      write(button, "Delete?");
      button.addEventListener("blur", () => this.list(), { once: true });
      return;
    }
    if (id === this.thread) this.stop();
    try {
      await api.json("/page/thread", { method: "DELETE", thread: id });
      threads.forget(id);
      announce("Deleted");
      if (id === this.thread) this.open(threads.begin());
      else this.list();
      byId("new").focus();
    } catch (error) {
      this.fail(error.message);
    }
  }

  fail(text) {
    write(byId("problem"), text);
  }
}

/** Goes along with what is added at the end, unless the person has gone up to read. */
function follow() {
  const page = document.scrollingElement;
  let last = true;
  addEventListener("scroll", () => { last = page.scrollHeight - page.scrollTop - innerHeight < 80; }, { passive: true });
  new ResizeObserver(() => { if (last) page.scrollTop = page.scrollHeight; }).observe(byId("turns"));
}

function motion() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
}

function theme() {
  const button = byId("theme");
  const show = (name) => {
    set(document.documentElement, { "data-theme": name === "auto" ? null : name });
    write(byId("theme-name"), name);
  };
  let name = localStorage.getItem("anabranch.theme") ?? "auto";
  show(name);
  button.addEventListener("click", () => {
    name = THEMES[(THEMES.indexOf(name) + 1) % THEMES.length];
    localStorage.setItem("anabranch.theme", name);
    show(name);
  });
}

function menu(open) {
  set(byId("menu"), { "aria-expanded": String(open) });
  byId("threads").classList.toggle("open", open);
}

theme();
follow();
byId("menu").addEventListener("click", () => menu(byId("menu").getAttribute("aria-expanded") !== "true"));
try {
  const page = new Page(await api.json("/page/settings"));
  await page.open(page.thread);
  document.documentElement.dataset.ready = "true";
} catch (error) {
  write(byId("problem"), `The page could not be set up: ${error.message}`);
}
