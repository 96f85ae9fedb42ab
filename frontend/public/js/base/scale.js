// SPDX-License-Identifier: Apache-2.0
/** Between time and place on a chart whose plot has a fixed distance from its frame. */

/** @typedef {import("../model/types.js").Range} Range */
/** @typedef {{xOf: (time: number) => number, timeAt: (x: number) => number}} Scale pixels from the frame's left */

/**
 * @param {Range} range
 * @param {number} width of the frame
 * @param {{l: number, r: number}} margin
 * @returns {Scale} timeAt stays in the range
 */
export function timeScale(range, width, margin) {
  const inner = Math.max(1, width - margin.l - margin.r);
  const length = range.to - range.from;
  return {
    xOf: (time) => margin.l + ((time - range.from) / length) * inner,
    timeAt: (x) => range.from + Math.min(1, Math.max(0, (x - margin.l) / inner)) * length,
  };
}

/**
 * The place of the step that holds a time, -1 where none does.
 * @param {readonly number[]} times start of each step
 * @param {number} stepMs
 * @param {number} time
 */
export function stepAt(times, stepMs, time) {
  const place = Math.floor((time - (times[0] ?? 0)) / stepMs);
  return place >= 0 && place < times.length ? place : -1;
}

/**
 * A span that was pointed out, in whole seconds, as counts are kept, and of two at least.
 * @param {number} start either end
 * @param {number} end
 * @returns {Range}
 */
export function selectedRange(start, end) {
  const from = Math.floor(Math.min(start, end) / 1000) * 1000;
  return { from, to: Math.max(from + 2000, Math.ceil(Math.max(start, end) / 1000) * 1000) };
}
