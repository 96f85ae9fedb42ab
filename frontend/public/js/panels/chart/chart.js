// SPDX-License-Identifier: Apache-2.0
/** A chart's frame: title, plot, bands, marks, cursor, selection, and the same as a table. */

import { el, setAttr, setChildren, setShown } from "../../base/dom.js";
import { card } from "../card.js";
import { createBands } from "./bands.js";
import { createCursor } from "./cursor.js";
import { createChartMarks } from "./marks.js";

/**
 * @typedef {object} ChartView
 * @property {import("../../model/types.js").Range} range
 * @property {readonly number[]} times
 * @property {number} stepMs
 * @property {readonly import("./bands.js").Band[]} bands
 * @property {readonly import("../../model/marks.js").Mark[]} marks
 * @property {string} summary the chart in words
 * @property {(width: number) => void} draw
 * @property {(at: number) => import("./reading.js").Reading} read
 * @property {() => {head: string[], rows: string[][]}} table
 */

/**
 * @param {object} options
 * @param {string} options.id
 * @param {string} options.title
 * @param {string} options.unit
 * @param {{l: number, r: number, t: number, b: number}} options.margin of the plot in its frame
 * @param {(range: import("../../model/types.js").Range) => void} options.onZoom a span was selected
 * @param {(time: number | null) => void} options.onCursor the cursor moved here
 * @param {() => void} options.onMarks all events are to be shown
 * @param {Node[]} [options.controls] at the right of the title
 * @param {Node} options.below under the plot
 */
export function createChart({ id, title, unit, margin, onZoom, onCursor, onMarks, controls = [], below }) {
  const plot = el("div", { class: "plot", "aria-hidden": "true" });
  const bands = createBands(margin);
  const marks = createChartMarks({ title, margin, onOpen: onMarks });
  const cursor = createCursor({ margin, onZoom, onCursor });
  const frame = el(
    "div",
    { class: "chart-frame", role: "img", tabindex: 0, "aria-describedby": `${id}-keys` },
    bands.behind,
    plot,
    bands.over,
    cursor.layer,
  );
  // Marks are controls, and a picture has none in it: they lie over it.
  const area = el("div", { class: "chart-area" }, frame, ...marks.roots);
  const twin = createTableTwin(title);
  const keys = el("p", { class: "sr-only", id: `${id}-keys` }, KEYS);
  const about = { id, title, note: unit, controls: [...controls, twin.toggle] };
  /** @type {ChartView | null} */
  let view = null;
  cursor.attach(frame);
  marks.attach(area);

  function redraw() {
    if (!view || frame.clientWidth === 0) return;
    bands.place(view, frame.clientWidth);
    marks.place(view, frame.clientWidth);
    view.draw(frame.clientWidth);
    cursor.refresh(view, frame.clientWidth);
  }
  const resized = new ResizeObserver(redraw);
  resized.observe(frame);

  return {
    root: card(about, area, twin.root, below, keys, cursor.live),
    plot,
    /** @param {ChartView} next */
    update(next) {
      view = next;
      setAttr(frame, "aria-label", next.summary);
      redraw();
      twin.update(next.table);
    },
    /** @param {number | null} time */
    setCursor: (time) => cursor.follow(time),
    destroy: () => resized.disconnect(),
  };
}

const KEYS =
  "Left and right arrows move the cursor, Enter marks a start and then zooms to the end, Escape clears.";

/**
 * The same as a table, for those who read rather than look.
 * @param {string} title
 */
function createTableTwin(title) {
  const root = el("div", { class: "chart-table", hidden: true, tabindex: 0, role: "region" });
  const toggle = el(
    "button",
    { type: "button", class: "quiet", "aria-expanded": "false", "aria-label": `${title}: show as table` },
    "Table",
  );
  setAttr(root, "aria-label", `${title} as a table`);
  /** @type {ChartView["table"] | null} */
  let source = null;

  function fill() {
    if (root.hidden || !source) return;
    const { head, rows } = source();
    const heads = head.map((text) => el("th", { scope: "col" }, text));
    const lines = rows.map((row) => el("tr", {}, ...row.map((text) => el("td", {}, text))));
    const top = el("thead", {}, el("tr", {}, ...heads));
    setChildren(root, el("table", { class: "data" }, top, el("tbody", {}, ...lines)));
  }

  toggle.addEventListener("click", () => {
    setShown(root, root.hidden !== false);
    setAttr(toggle, "aria-expanded", String(!root.hidden));
    fill();
  });
  return {
    root,
    toggle,
    /** @param {ChartView["table"]} next */
    update(next) {
      source = next;
      // A table that is being read stays as it is until the reader leaves it.
      if (!root.matches(":hover, :focus")) fill();
    },
  };
}

/** @typedef {ReturnType<typeof createChart>} Chart */
