// SPDX-License-Identifier: Apache-2.0
/** The layer over a plot: a cursor that pointer and arrow keys move, its reading, and the selection of a span. */

import { el, setShown, setText } from "../../base/dom.js";
import { selectedRange, stepAt, timeScale } from "../../base/scale.js";
import { createReadingBox } from "./reading.js";

/** @typedef {import("./reading.js").Reading} Reading */
/** @typedef {import("./chart.js").ChartView} ChartView */
/** @typedef {import("../../model/types.js").Range} Range */

/**
 * @typedef {object} Cursor
 * @property {ChartView | null} view
 * @property {number} width of the frame
 * @property {number | null} time under the cursor
 * @property {number | null} mark where a selection began
 * @property {boolean} isOwn moved on this chart, not following another
 */

const LEAST_DRAG_PX = 6;

/**
 * @param {object} options
 * @param {{l: number, r: number, t: number, b: number}} options.margin
 * @param {(range: Range) => void} options.onZoom
 * @param {(time: number | null) => void} options.onCursor
 */
export function createCursor({ margin, onZoom, onCursor }) {
  /** @type {Cursor} */
  const cursor = { view: null, width: 0, time: null, mark: null, isOwn: false };
  const parts = createLayer(margin);
  const live = el("p", { class: "sr-only", "aria-live": "polite" });
  const scale = () => timeScale(cursor.view?.range ?? { from: 0, to: 1 }, cursor.width, margin);
  const show = () => showCursor(parts, cursor, scale());

  /** @param {number | null} time */
  function move(time) {
    cursor.time = time;
    cursor.isOwn = time !== null;
    onCursor(time);
    show();
  }

  function clear() {
    cursor.mark = null;
    move(null);
  }

  function zoom() {
    const { mark, time } = cursor;
    clear();
    if (mark !== null && time !== null) onZoom(selectedRange(mark, time));
  }

  return {
    layer: parts.layer,
    live,
    /** @param {HTMLElement} frame takes pointer and keys */
    attach(frame) {
      listenToPointer(frame, { cursor, scale, move, clear, zoom, show });
      frame.addEventListener("blur", clear);
      frame.addEventListener("keydown", (event) => {
        if (!runKey(event, cursor, { move, clear, zoom })) return;
        show();
        const reading = readingOf(cursor);
        if (reading) setText(live, sentence(reading));
      });
    },
    /** @param {ChartView} view @param {number} width */
    refresh(view, width) {
      cursor.view = view;
      cursor.width = width;
      show();
    },
    /**
     * Follow another chart's cursor, without a reading.
     * @param {number | null} time
     */
    follow(time) {
      cursor.time = time;
      cursor.isOwn = false;
      show();
    },
  };
}

/** @param {{t: number, b: number}} margin */
function createLayer(margin) {
  const line = el("div", { class: "cursor-line", hidden: true });
  const band = el("div", { class: "selection", hidden: true });
  const box = createReadingBox();
  for (const part of [line, band]) {
    part.style.top = `${margin.t}px`;
    part.style.bottom = `${margin.b}px`;
  }
  return {
    line,
    band,
    box,
    layer: el("div", { class: "cursor-layer", "aria-hidden": "true" }, band, line, box.root),
  };
}

/** @param {ReturnType<typeof createLayer>} parts @param {Cursor} cursor @param {import("../../base/scale.js").Scale} scale */
function showCursor({ line, band, box }, cursor, scale) {
  const { view, time, mark } = cursor;
  const isIn = view !== null && time !== null && time >= view.range.from && time <= view.range.to;
  setShown(line, isIn);
  setShown(band, isIn && mark !== null);
  box.update(
    isIn && cursor.isOwn ? readingOf(cursor) : null,
    time === null ? 0 : scale.xOf(time),
    cursor.width,
  );
  if (!isIn || time === null) return;
  line.style.left = `${scale.xOf(time)}px`;
  if (mark === null) return;
  band.style.left = `${scale.xOf(Math.min(mark, time))}px`;
  band.style.width = `${Math.abs(scale.xOf(time) - scale.xOf(mark))}px`;
}

/** @param {Cursor} cursor @returns {Reading | null} */
function readingOf({ view, time }) {
  if (!view || time === null) return null;
  const place = stepAt(view.times, view.stepMs, time);
  return place < 0 ? null : view.read(place);
}

/** @param {Reading} reading */
function sentence({ time, entries, note, marks }) {
  const values = entries.map((entry) => `${entry.label} ${entry.value}`);
  return [time, ...values, note, ...marks].filter(Boolean).join(", ");
}

/**
 * @param {HTMLElement} frame
 * @param {object} to
 * @param {Cursor} to.cursor
 * @param {() => import("../../base/scale.js").Scale} to.scale
 * @param {(time: number | null) => void} to.move
 * @param {() => void} to.clear
 * @param {() => void} to.zoom
 * @param {() => void} to.show
 */
function listenToPointer(frame, { cursor, scale, move, clear, zoom, show }) {
  const timeOf = (/** @type {PointerEvent} */ event) =>
    scale().timeAt(event.clientX - frame.getBoundingClientRect().left);
  frame.addEventListener("pointermove", (event) => {
    if (cursor.view) move(timeOf(event));
  });
  frame.addEventListener("pointerleave", () => {
    if (cursor.mark === null) move(null);
  });
  frame.addEventListener("pointerdown", (event) => {
    if (!cursor.view || event.button !== 0) return;
    cursor.mark = timeOf(event);
    frame.setPointerCapture(event.pointerId);
  });
  frame.addEventListener("pointerup", () => {
    const { mark, time } = cursor;
    if (mark === null || time === null) return;
    if (Math.abs(scale().xOf(time) - scale().xOf(mark)) >= LEAST_DRAG_PX) return zoom();
    cursor.mark = null;
    return show();
  });
  frame.addEventListener("pointercancel", clear);
}

/**
 * Do what a key says.
 * @param {KeyboardEvent} event
 * @param {Cursor} cursor
 * @param {{move: (time: number) => void, clear: () => void, zoom: () => void}} to
 * @returns {boolean} whether it says anything
 */
function runKey(event, cursor, { move, clear, zoom }) {
  const { view, time } = cursor;
  if (!view || event.ctrlKey || event.altKey || event.metaKey) return false;
  const step = view.stepMs * (event.shiftKey ? 10 : 1);
  const first = (view.times[0] ?? view.range.from) + view.stepMs / 2;
  const last = (view.times[view.times.length - 1] ?? view.range.from) + view.stepMs / 2;
  const within = (/** @type {number} */ wanted) => Math.min(last, Math.max(first, wanted));
  /** @type {Record<string, () => void>} */
  const actions = {
    ArrowLeft: () => move(within((time ?? last + step) - step)),
    ArrowRight: () => move(within((time ?? first - step) + step)),
    Home: () => move(first),
    End: () => move(last),
    Enter: () => {
      if (cursor.mark === null) cursor.mark = time;
      else zoom();
    },
    Escape: clear,
  };
  const action = actions[event.key];
  if (!action) return false;
  event.preventDefault();
  action();
  return true;
}
