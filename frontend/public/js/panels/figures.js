// SPDX-License-Identifier: Apache-2.0
/** Key figures in a row: a value, what it is, and a word on it. */

import { el, keyedList, setAttr, setShown, setText } from "../base/dom.js";

/**
 * @typedef {object} Figure
 * @property {string} key
 * @property {string} label
 * @property {string} value
 * @property {string} [unit]
 * @property {string} [note]
 * @property {string} [title]
 * @property {"" | "warn" | "bad"} [tone]
 * @property {string} [leadsTo] id of what says more on the page
 */

export function createFigures() {
  const root = el("dl", { class: "figures" });
  const update = keyedList(
    root,
    (/** @type {Figure} */ figure) => figure.key,
    (figure) => {
      const value = el("span", { class: "figure-value" });
      const unit = el("span", { class: "figure-unit" });
      const note = el("dd", { class: "figure-note" });
      const label = el("dt", {});
      const link = el("a", { click: goTo });
      const box = el(
        "div",
        { class: "figure", "data-figure": figure.key },
        label,
        el("dd", {}, value, unit),
        note,
      );
      return {
        root: box,
        update(next) {
          showLabel(label, link, next);
          setText(value, next.value);
          setText(unit, next.unit ?? "");
          setText(note, next.note ?? "");
          setShown(note, Boolean(next.note));
          setAttr(box, "title", next.title);
          setAttr(box, "data-tone", next.tone || null);
        },
      };
    },
  );
  return { root, update };
}

/** @param {HTMLElement} label @param {HTMLAnchorElement} link @param {Figure} figure */
function showLabel(label, link, { label: text, leadsTo }) {
  if (!leadsTo) link.remove();
  else if (link.parentNode !== label) label.replaceChildren(link);
  setAttr(link, "href", leadsTo && `#${leadsTo}`);
  setText(leadsTo ? link : label, text);
}

// The address of the page is what it shows, so it stays as it is.
/** @param {Event} event */
function goTo(event) {
  event.preventDefault();
  const link = /** @type {HTMLAnchorElement} */ (event.currentTarget);
  document.getElementById(link.hash.slice(1))?.scrollIntoView();
}
