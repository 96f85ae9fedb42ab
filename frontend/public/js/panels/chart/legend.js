// SPDX-License-Identifier: Apache-2.0
/** The lines of a chart, named, each a switch. */

import { dashArray } from "../../base/color.js";
import { el, keyedList, setAttr, setText, svg } from "../../base/dom.js";

/**
 * @typedef {object} LegendItem
 * @property {string} key
 * @property {string} label
 * @property {string} value
 * @property {string} title
 * @property {string} colour name of a token
 * @property {string} dash
 * @property {boolean} isArea
 * @property {boolean} hidden
 */

/**
 * A sample of a series: a line with its dash, or an area with the pattern that it has for that dash.
 * @param {string} colour name of a token
 * @param {string} dash
 * @param {boolean} isArea
 */
export function swatch(colour, dash, isArea) {
  if (isArea) {
    const area = el("span", { class: "swatch area", "data-dash": dash, "aria-hidden": "true" });
    area.style.color = `var(--${colour})`;
    return area;
  }
  const line = svg("line", {
    x1: 1,
    y1: 6,
    x2: 19,
    y2: 6,
    "stroke-width": 3,
    "stroke-dasharray": dashArray(dash),
  });
  line.style.stroke = `var(--${colour})`;
  return svg(
    "svg",
    { class: "swatch", width: 20, height: 12, viewBox: "0 0 20 12", "aria-hidden": "true" },
    line,
  );
}

/**
 * @param {(key: string) => void} onToggle
 */
export function createLegend(onToggle) {
  const root = el("ul", { class: "legend" });
  const show = keyedList(
    root,
    (/** @type {LegendItem} */ item) => `${item.key} ${item.colour} ${item.dash} ${item.isArea}`,
    (item) => {
      const name = el("span", { class: "legend-name" });
      const value = el("span", { class: "legend-value" });
      const button = el(
        "button",
        { type: "button", class: "legend-item", click: () => onToggle(item.key) },
        swatch(item.colour, item.dash, item.isArea),
        name,
        value,
      );
      return {
        root: el("li", {}, button),
        update(next) {
          setText(name, next.label);
          setText(value, next.value);
          setAttr(button, "title", next.title);
          setAttr(button, "aria-pressed", String(!next.hidden));
        },
      };
    },
  );
  return { root, update: show };
}
