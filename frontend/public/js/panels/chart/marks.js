// SPDX-License-Identifier: Apache-2.0
/** The strip over a plot on which events stand: each says itself when it is pointed at or focused. */

import { el, keyedList, setAttr, setChildren, setShown, setText } from "../../base/dom.js";
import { timeScale } from "../../base/scale.js";
import { groupMarks } from "../../model/marks.js";
import { isIn } from "./bands.js";

/** @typedef {import("./chart.js").ChartView} ChartView */
/** @typedef {import("../../model/marks.js").MarkGroup} MarkGroup */
/** @typedef {MarkGroup & {x: number}} Placed */

/** The width of a mark to hit; nearer ones are put together. */
const SIZE_PX = 24;
/** A tip with more lines than this would hide the chart. */
const MOST_LINES = 6;

/**
 * @param {object} options
 * @param {string} options.title of the chart
 * @param {{l: number, r: number, t: number, b: number}} options.margin
 * @param {() => void} options.onOpen a mark was chosen: all events are to be shown
 */
export function createChartMarks({ title, margin, onOpen }) {
  const tip = el("div", { class: "mark-tip", hidden: true, "aria-hidden": "true" });
  const strip = el("div", {
    class: "marks",
    role: "toolbar",
    "aria-label": `${title}: events`,
    hidden: true,
  });
  let width = 0;
  /** The key of the mark whose explanation is shown. */
  let shownKey = "";

  /** @param {Placed | null} group */
  function explain(group) {
    shownKey = group?.key ?? "";
    showTip(tip, group, width);
  }

  const show = keyedList(
    strip,
    (/** @type {Placed} */ group) => group.key,
    () => createMark(explain, onOpen),
  );
  strip.addEventListener("keydown", (event) => moveFocus(strip, event, () => explain(null)));
  return {
    roots: [strip, tip],
    /**
     * A live chart moves under a pointer that rests: only a pointer that moves away silences a mark.
     * @param {HTMLElement} area holds the roots
     */
    attach(area) {
      let place = "";
      area.addEventListener("pointermove", ({ target, clientX, clientY }) => {
        const hasMoved = place !== `${clientX} ${clientY}`;
        place = `${clientX} ${clientY}`;
        if (hasMoved && target instanceof Node && !strip.contains(target)) explain(null);
      });
      area.addEventListener("pointerleave", () => explain(null));
    },
    /** @param {ChartView} view @param {number} wide of the frame */
    place({ range, marks }, wide) {
      width = wide;
      const { xOf, timeAt } = timeScale(range, width, margin);
      const shown = marks.filter((mark) => isIn(mark, range));
      const groups = groupMarks(shown, timeAt(margin.l + SIZE_PX) - range.from);
      const placed = groups.map((group) => ({ ...group, x: xOf(group.time) }));
      show(placed);
      setShown(strip, placed.length > 0);
      explain(placed.find((group) => group.key === shownKey) ?? null);
      keepOneTabStop(strip);
    },
  };
}

/** @param {(group: Placed | null) => void} explain @param {() => void} onOpen @returns {import("../../base/dom.js").Row<Placed>} */
function createMark(explain, onOpen) {
  /** @type {Placed | null} */
  let group = null;
  const glyph = el("span", { class: "mark-glyph", "aria-hidden": "true" });
  const root = el("button", { type: "button", class: "mark", tabindex: -1, click: onOpen }, glyph);
  for (const event of ["pointerenter", "focus"]) root.addEventListener(event, () => explain(group));
  root.addEventListener("blur", () => explain(null));
  return {
    root,
    update(next) {
      group = next;
      setText(glyph, next.glyph);
      const { length } = next.texts;
      setAttr(root, "aria-label", (length > 1 ? `${length} events: ` : "") + next.texts.join("; "));
      setAttr(root, "data-tone", next.tone || null);
      root.classList.toggle("many", next.texts.length > 1);
      root.style.left = `${next.x - SIZE_PX / 2}px`;
    },
  };
}

/** @param {HTMLElement} tip @param {Placed | null} group @param {number} width */
function showTip(tip, group, width) {
  setShown(tip, group !== null);
  if (!group) return;
  const { texts, x } = group;
  const rest = texts.length - MOST_LINES;
  setChildren(
    tip,
    ...texts.slice(0, rest > 0 ? MOST_LINES - 1 : MOST_LINES).map((text) => el("p", {}, text)),
    rest > 0 && el("p", { class: "reading-note" }, `and ${rest + 1} more; choose it for all of them`),
  );
  const isRight = x > width / 2;
  tip.style.left = isRight ? "" : `${x + SIZE_PX / 2}px`;
  tip.style.right = isRight ? `${width - x + SIZE_PX / 2}px` : "";
}

// The strip is one stop for Tab; arrows go from mark to mark.
/** @param {HTMLElement} strip */
function keepOneTabStop(strip) {
  const marks = [...strip.querySelectorAll("button")];
  const stop =
    marks.find((mark) => mark === document.activeElement) ??
    marks.find((mark) => mark.tabIndex === 0) ??
    marks[0];
  for (const mark of marks) setAttr(mark, "tabindex", mark === stop ? 0 : -1);
}

/** @param {HTMLElement} strip @param {KeyboardEvent} event @param {() => void} hush */
function moveFocus(strip, event, hush) {
  const marks = [...strip.querySelectorAll("button")];
  const at = marks.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
  /** @type {Record<string, number>} */
  const targets = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: marks.length - 1 };
  const target = targets[event.key];
  if (event.key === "Escape") hush();
  if (target === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  marks[Math.max(0, Math.min(marks.length - 1, target))]?.focus();
  keepOneTabStop(strip);
}
