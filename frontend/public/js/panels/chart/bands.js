// SPDX-License-Identifier: Apache-2.0
/** Spans behind a plot, and what is written on them over it: time that is not covered, steps that are not exact. */

import { el, setChildren } from "../../base/dom.js";
import { timeScale } from "../../base/scale.js";

/** @typedef {import("./chart.js").ChartView} ChartView */
/** @typedef {{from: number, to: number, label: string, kind: "gap" | "older" | "inexact"}} Band */

const CHARACTER_PX = 6.5;
const PADDING_PX = 8;
/** Under this width not even an upright label fits; the cursor's reading says it. */
const UPRIGHT_PX = 18;

/** @param {{l: number, r: number, t: number, b: number}} margin of the plot in its frame */
export function createBands(margin) {
  const behind = el("div", { class: "bands", "aria-hidden": "true" });
  const over = el("div", { class: "bands", "aria-hidden": "true" });
  return {
    behind,
    over,
    /** @param {ChartView} view @param {number} width of the frame */
    place({ range, bands, marks }, width) {
      const { xOf } = timeScale(range, width, margin);
      const box = (
        /** @type {HTMLElement} */ element,
        /** @type {number} */ left,
        /** @type {number} */ wide,
      ) => {
        element.style.left = `${left}px`;
        element.style.width = `${wide}px`;
        element.style.top = `${margin.t}px`;
        element.style.bottom = `${margin.b}px`;
        return element;
      };
      const places = bands.map((band) => {
        const left = xOf(Math.max(range.from, band.from));
        return { ...band, left, wide: Math.max(1, xOf(Math.min(range.to, band.to)) - left) };
      });
      setChildren(
        behind,
        ...places.map(({ kind, left, wide }) => box(el("div", { class: `band ${kind}` }), left, wide)),
      );
      const lines = new Set(
        marks.filter((mark) => isIn(mark, range)).map((mark) => Math.round(xOf(mark.time))),
      );
      setChildren(
        over,
        ...[...lines].map((x) => box(el("div", { class: "mark-line" }), x, 1)),
        ...places
          .filter(({ wide }) => wide >= UPRIGHT_PX)
          .map((band) => box(bandLabel(band), band.left, band.wide)),
      );
    },
  };
}

/**
 * @param {{time: number}} mark
 * @param {import("../../model/types.js").Range} range
 */
export function isIn({ time }, range) {
  return time >= range.from && time < range.to;
}

/** @param {Band & {wide: number}} band */
function bandLabel({ label, wide, kind }) {
  const isNarrow = wide < label.length * CHARACTER_PX + PADDING_PX;
  return el(
    "div",
    { class: `band-place${isNarrow ? " narrow" : ""}` },
    el("span", { class: `band-label ${kind}-label` }, label),
  );
}
