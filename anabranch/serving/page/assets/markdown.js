// The Markdown that models write, as elements: headings, lists, code, bold, italics, links. No HTML in it is ever markup.

import { el } from "./dom.js";

const FENCE = /^\s*(```|~~~)/;
const ITEM = /^\s*(?:[-*+]|(\d+)[.)])\s+(.*)$/;
const HEADING = /^#{1,6}\s+(.*?)\s*#*$/;
const INLINE = /`([^`\n]+)`|\*\*([^*\n]+)\*\*|\*([^*\s][^*\n]*)\*|\[([^\]\n]+)\]\(([^)\s]+)\)/g;

/** A text as a list of blocks. */
export function markdown(text) {
  const lines = text.split("\n");
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) {
      at += 1;
    } else if (FENCE.test(lines[at])) {
      const end = lines.findIndex((line, place) => place > at && FENCE.test(line));
      const stop = end < 0 ? lines.length : end;
      blocks.push(el("pre", { tabindex: "0" }, el("code", {}, lines.slice(at + 1, stop).join("\n"))));
      at = stop + 1;
    } else if (HEADING.test(lines[at])) {
      blocks.push(el("p", { class: "heading" }, ...inline(HEADING.exec(lines[at])[1])));
      at += 1;
    } else if (ITEM.test(lines[at])) {
      const ordered = ITEM.exec(lines[at])[1];
      const list = ordered ? el("ol", { start: ordered }) : el("ul");
      for (; at < lines.length && ITEM.test(lines[at]); at += 1) list.append(el("li", {}, ...inline(ITEM.exec(lines[at])[2])));
      blocks.push(list);
    } else {
      const begin = at;
      while (at < lines.length && lines[at].trim() && !FENCE.test(lines[at]) && !ITEM.test(lines[at]) && !HEADING.test(lines[at])) at += 1;
      blocks.push(el("p", {}, ...inline(lines.slice(begin, at).join("\n"))));
    }
  }
  return blocks;
}

function inline(text) {
  const parts = [];
  let place = 0;
  for (const match of text.matchAll(INLINE)) {
    const [whole, code, bold, italic, label, target] = match;
    parts.push(text.slice(place, match.index));
    if (code) parts.push(el("code", {}, code));
    else if (bold) parts.push(el("strong", {}, bold));
    else if (italic) parts.push(el("em", {}, italic));
    else parts.push(link(label, target));
    place = match.index + whole.length;
  }
  return [...parts, text.slice(place)].filter(Boolean);
}

/** A link, if it leads to a web page; anything else stays the text that it is. */
export function link(label, target) {
  if (!/^https?:\/\/[^\s]+$/i.test(target)) return label === target ? label : `${label} (${target})`;
  return el("a", { href: target, rel: "noopener noreferrer nofollow", target: "_blank" }, label);
}
