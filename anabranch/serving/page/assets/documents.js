// Documents that are dropped onto the page or chosen: sent to the server, and searched in this conversation.

import * as api from "./api.js";
import { announce, byId, el } from "./dom.js";

export class Documents {
  constructor(settings, thread, fail) {
    this.settings = settings;
    this.thread = thread;
    this.fail = fail;
    const main = byId("main");
    byId("files").setAttribute("accept", settings.suffixes.join(","));
    byId("files").addEventListener("change", (event) => {
      this.add([...event.target.files]).finally(() => { event.target.value = ""; });
    });
    for (const type of ["dragenter", "dragover"]) {
      main.addEventListener(type, (event) => {
        if (![...event.dataTransfer.types].includes("Files")) return;
        event.preventDefault();
        main.classList.add("dropping");
      });
    }
    main.addEventListener("dragleave", (event) => {
      if (!main.contains(event.relatedTarget)) main.classList.remove("dropping");
    });
    main.addEventListener("drop", (event) => {
      event.preventDefault();
      main.classList.remove("dropping");
      this.add([...event.dataTransfer.files]);
    });
  }

  async add(files) {
    this.fail("");
    const problems = [];
    for (const file of files) {
      const chip = el("li", { class: "chip busy" }, `${file.name} …`);
      byId("documents").append(chip);
      try {
        const reply = await this.send(file);
        this.show(reply.documents);
        problems.push(...reply.notes.map((note) => `${file.name}: ${note}`));
        announce(`${file.name} is searched in this conversation`);
      } catch (error) {
        chip.remove();
        problems.push(error.message.startsWith(file.name) ? error.message : `${file.name}: ${error.message}`);
      }
    }
    this.fail(problems.join("; "));
  }

  send(file) {
    const most = this.settings.max_document_bytes;
    if (file.size > most) throw new Error(`it is larger than ${Math.round(most / 2 ** 20)} MiB`);
    return api.json(`/page/documents?name=${encodeURIComponent(file.name)}`, { method: "PUT", thread: this.thread(), body: file, type: "application/octet-stream" });
  }

  show(names) {
    byId("documents").replaceChildren(...names.map((name) => this.chip(name)));
  }

  get some() {
    return byId("documents").childNodes.length > 0;
  }

  chip(name) {
    const remove = el("button", { type: "button", class: "quiet", "aria-label": `Remove ${name}` }, "×");
    remove.addEventListener("click", async () => {
      try {
        const path = `/page/documents?name=${encodeURIComponent(name)}`;
        this.show((await api.json(path, { method: "DELETE", thread: this.thread() })).documents);
        byId("question").focus();
      } catch (error) {
        this.fail(error.message);
      }
    });
    return el("li", { class: "chip" }, name, " ", remove);
  }
}
