// SPDX-License-Identifier: Apache-2.0
/** The box beside a chart's cursor: what each line is at that step. */

import { el, setChildren, setShown } from "../../base/dom.js";
import { swatch } from "./legend.js";

/** @typedef {import("../../charts/reading.js").Entry} Entry colour "" for none */
/** @typedef {import("../../charts/reading.js").Reading} Reading */

const DISTANCE_PX = 12;
const MOST_MARKS = 4;

export function createReadingBox() {
  const root = el("div", { class: "reading", hidden: true });
  return {
    root,
    /** @param {Reading | null} reading @param {number} x of the cursor @param {number} width of the frame */
    update(reading, x, width) {
      setShown(root, reading !== null);
      if (!reading) return;
      setChildren(
        root,
        el("div", { class: "reading-time" }, reading.time),
        ...reading.entries.map(row),
        reading.note ? el("div", { class: "reading-note" }, reading.note) : null,
        ...reading.marks.slice(0, MOST_MARKS).map((text) => el("p", { class: "reading-mark" }, text)),
      );
      const isRight = x > width / 2;
      root.style.left = isRight ? "" : `${x + DISTANCE_PX}px`;
      root.style.right = isRight ? `${width - x + DISTANCE_PX}px` : "";
    },
  };
}

/** @param {Entry} entry */
function row({ label, colour, dash, isArea, value }) {
  return el(
    "div",
    { class: "reading-row" },
    colour ? swatch(colour, dash, isArea) : el("span"),
    el("span", { class: "reading-label" }, label),
    el("span", { class: "reading-value" }, value),
  );
}
