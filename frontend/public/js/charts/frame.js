// SPDX-License-Identifier: Apache-2.0
/** What charts over time have in common: the plot's place in its frame, and its two axes. */

import { timeTicks } from "../base/time.js";

/** @typedef {import("../model/types.js").Range} Range */
/** @typedef {{value: number, text: string}} Tick */

/** The plot's distance from its frame in pixels; the layers around it need it too. At the top is room for marks. */
export const MARGIN = { l: 52, r: 10, t: 22, b: 24 };
const TIME_LABEL_PX = 90;

/**
 * The layout of a chart over time, with labels of our own on both axes.
 * @param {Range} range
 * @param {number} width of the frame in pixels, for the number of labels
 * @param {{from: number | undefined, to: number | undefined, ticks: readonly Tick[]}} upright the other axis
 */
export function axes(range, width, upright) {
  const most = Math.max(2, Math.floor((width - MARGIN.l - MARGIN.r) / TIME_LABEL_PX));
  return {
    margin: MARGIN,
    xaxis: axis(range.from, range.to, timeTicks(range, most)),
    yaxis: axis(upright.from, upright.to, upright.ticks),
  };
}

/** @param {number | undefined} from @param {number | undefined} to @param {readonly Tick[]} ticks */
function axis(from, to, ticks) {
  return {
    type: "linear",
    range: [from, to],
    tickmode: "array",
    tickvals: ticks.map((tick) => tick.value),
    ticktext: ticks.map((tick) => tick.text),
  };
}
