// SPDX-License-Identifier: Apache-2.0
/** Rates over time: each step is drawn as the flat span that it is, and time that is not covered stays empty. */

import { valueTicks } from "../base/format.js";
import { axes } from "./frame.js";

/** @typedef {import("../model/types.js").Range} Range */
/** @typedef {Record<string, string>} Tokens */
/** @typedef {{label: string, colour: string, dash: string, values: (number | null)[]}} Line */
/** @typedef {{data: object[], layout: object}} Figure */

/** In a stack an area has a pattern where a line would have a dash. */
const PATTERNS = /** @type {Record<string, object>} */ ({
  solid: { shape: "" },
  dash: { shape: "/", size: 7, solidity: 0.16 },
  dot: { shape: ".", size: 5, solidity: 0.2 },
  dashdot: { shape: "\\", size: 7, solidity: 0.16 },
  longdash: { shape: "x", size: 7, solidity: 0.12 },
});

/**
 * Draw series over time.
 * @param {object} view
 * @param {readonly number[]} view.times start of each step
 * @param {number} view.stepMs
 * @param {Range} view.range
 * @param {readonly Line[]} view.lines bottom first; colour is a token's name
 * @param {boolean} view.stacked whether the series add up to a whole
 * @param {Tokens} view.tokens
 * @param {number} view.width of the frame in pixels, for the number of labels
 * @returns {Figure}
 */
export function rateFigure({ times, stepMs, range, lines, stacked, tokens, width }) {
  const tops = stacked ? cumulate(lines, times.length) : lines.map((line) => line.values);
  const highest = Math.max(0, ...tops.flat().map((value) => value ?? 0));
  const data = lines.flatMap((line, index) => {
    const top = tops[index] ?? [];
    const colour = tokens[line.colour] ?? "#888888";
    if (!stacked)
      return [edgeTrace(line, colour, stepPath(times, stepMs, top), { dash: line.dash, width: 1.6 })];
    const edge = edgeTrace(line, colour, stepPath(times, stepMs, ownEdge(line, index, top)), {
      dash: "solid",
      width: 1.1,
    });
    const floor = index > 0 ? (tops[index - 1] ?? []) : top.map((value) => (value === null ? null : 0));
    return [areaTrace(line, colour, bandPath(times, stepMs, floor, top)), edge];
  });
  const { top, ticks } = valueTicks(highest);
  return { data, layout: axes(range, width, { from: 0, to: top, ticks }) };
}

/** @param {Line} line @param {string} colour @param {Path} path @param {{dash: string, width: number}} stroke */
function edgeTrace(line, colour, path, { dash, width }) {
  return {
    type: "scatter",
    mode: "lines",
    name: line.label,
    x: path.x,
    y: path.y,
    line: { color: colour, width, dash },
    hoverinfo: "skip",
    connectgaps: false,
  };
}

/** @param {Line} line @param {string} colour @param {Path} path */
function areaTrace(line, colour, path) {
  return {
    type: "scatter",
    mode: "lines",
    name: line.label,
    x: path.x,
    y: path.y,
    fill: "toself",
    fillcolor: withAlpha(colour, 0.34),
    line: { width: 0 },
    hoverinfo: "skip",
    fillpattern: {
      ...PATTERNS[line.dash],
      fillmode: "replace",
      bgcolor: withAlpha(colour, 0.34),
      fgcolor: withAlpha(colour, 0.75),
    },
  };
}

/**
 * Sum series from the bottom up. Where no series has a value the sum is null too.
 * @param {readonly Line[]} lines
 * @param {number} length
 * @returns {(number | null)[][]}
 */
export function cumulate(lines, length) {
  const covered = Array.from({ length }, (_, at) => lines.some((line) => (line.values[at] ?? null) !== null));
  const sums = new Array(length).fill(0);
  return lines.map((line) =>
    covered.map((isCovered, at) => {
      sums[at] += line.values[at] ?? 0;
      return isCovered ? sums[at] : null;
    }),
  );
}

// Where a line adds nothing, its edge would hide that of the line under it. The lowest one draws the zero.
/** @param {Line} line @param {number} index @param {readonly (number | null)[]} top */
function ownEdge(line, index, top) {
  return index === 0 ? top : top.map((value, at) => (line.values[at] ? value : null));
}

/** @typedef {{x: (number | null)[], y: (number | null)[]}} Path null separates parts */

/**
 * The upper edge of steps, with a break wherever a value is null.
 * @param {readonly number[]} times
 * @param {number} stepMs
 * @param {readonly (number | null)[]} values
 * @returns {Path}
 */
export function stepPath(times, stepMs, values) {
  /** @type {Path} */
  const path = { x: [], y: [] };
  for (const [first, end] of runs(values)) {
    if (path.x.length > 0) lift(path);
    for (let at = first; at < end; at += 1) {
      const value = /** @type {number} */ (values[at]);
      // A corner is drawn only where the value changes, which keeps flat stretches at two points.
      if (at === first || value !== values[at - 1]) push(path, times[at] ?? 0, value);
      if (at + 1 === end || value !== values[at + 1]) push(path, (times[at] ?? 0) + stepMs, value);
    }
  }
  return path;
}

/**
 * The closed outline between two edges that are null at the same places: one polygon per covered stretch.
 * @param {readonly number[]} times
 * @param {number} stepMs
 * @param {readonly (number | null)[]} floor
 * @param {readonly (number | null)[]} top
 * @returns {Path}
 */
export function bandPath(times, stepMs, floor, top) {
  /** @type {Path} */
  const path = { x: [], y: [] };
  for (const [first, end] of runs(top)) {
    if (path.x.length > 0) lift(path);
    const cut = (/** @type {readonly (number | null)[]} */ edge) =>
      stepPath(times.slice(first, end), stepMs, edge.slice(first, end));
    const [upper, lower] = [cut(top), cut(floor)];
    path.x.push(...upper.x, ...lower.x.reverse());
    path.y.push(...upper.y, ...lower.y.reverse());
  }
  return path;
}

/** @param {Path} path @param {number} x @param {number} y */
function push(path, x, y) {
  path.x.push(x);
  path.y.push(y);
}

/** @param {Path} path */
function lift(path) {
  path.x.push(null);
  path.y.push(null);
}

/**
 * Stretches without null, as [first, end) places.
 * @param {readonly (number | null)[]} values
 * @returns {[number, number][]}
 */
function runs(values) {
  /** @type {[number, number][]} */
  const found = [];
  let first = -1;
  values.forEach((value, at) => {
    if (value !== null && first < 0) first = at;
    if (value === null && first >= 0) {
      found.push([first, at]);
      first = -1;
    }
  });
  if (first >= 0) found.push([first, values.length]);
  return found;
}

/**
 * A colour that lets what is under it through.
 * @param {string} colour #rrggbb
 * @param {number} alpha
 */
export function withAlpha(colour, alpha) {
  const part = (/** @type {number} */ at) => Number.parseInt(colour.slice(at, at + 2), 16);
  return `rgba(${part(1)}, ${part(3)}, ${part(5)}, ${alpha})`;
}
