// When each sub-question ran: bars under each other, so that what ran at the same time can be seen.

import { el, seconds, set, write } from "./dom.js";

export class Timeline {
  constructor() {
    this.bars = new Map();
    this.list = el("div", { class: "bars", "aria-hidden": "true" });
    this.told = el("p", { class: "hidden" });
    this.end = el("span", { class: "dim" });
    this.node = el("figure", { class: "times", hidden: true }, el("figcaption", {}, "Time line ", this.end), this.list, this.told);
  }

  /** Shows the rows that were begun here, at `now` seconds of the run. */
  update(rows, now) {
    const begun = [...rows.values()].filter((row) => row.begin !== undefined);
    this.node.hidden = begun.length === 0;
    if (!begun.length) return;
    for (const [id, bar] of this.bars) {
      if (begun.some((row) => row.question.id === id)) continue;
      bar.closest(".lane").remove();
      this.bars.delete(id);
    }
    const first = Math.min(...begun.map((row) => row.begin));
    const last = Math.max(...begun.map((row) => row.end ?? now));
    const whole = Math.max(last - first, 0.001);
    write(this.end, `from ${seconds(first)} to ${seconds(last)}`);
    for (const row of begun) {
      const bar = this.bar(row.question.id);
      const end = row.end ?? now;
      set(bar, { "data-state": row.state });
      const left = ((row.begin - first) / whole) * 100;
      const width = Math.max(((end - row.begin) / whole) * 100, 0.5);
      bar.style.left = `${left}%`;
      bar.style.width = `${width}%`;
      // Where there is no room in it, the time stands beside the bar.
      bar.classList.toggle("short", width < 9);
      bar.classList.toggle("late", left > 80);
      write(bar.firstChild, seconds(end - row.begin));
    }
    if (begun.every((row) => row.end !== undefined)) {
      const each = begun.map((row) => `${row.question.id} from ${seconds(row.begin)} to ${seconds(row.end)}`);
      write(this.told, `Sub-questions ran: ${each.join("; ")}.`);
    }
  }

  bar(id) {
    if (!this.bars.has(id)) {
      const bar = el("div", { class: "bar" }, el("span", {}, ""));
      this.bars.set(id, bar);
      this.list.append(el("div", { class: "lane" }, el("span", { class: "number" }, String(id)), el("div", { class: "track" }, bar)));
    }
    return this.bars.get(id);
  }
}
