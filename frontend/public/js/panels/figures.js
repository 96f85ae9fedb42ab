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
          setText(label, next.label);
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
