// SPDX-License-Identifier: Apache-2.0
/** How the range of a view moves: it is paused and resumed, shifted, scaled. */

import { LAST_MS, alignRange, stepFor } from "../base/time.js";

/** @typedef {import("../state.js").View} View */
/** @typedef {Pick<View, "span" | "from" | "to">} When */

/** Lengths that a live range usually has, ms. */
const USUAL_MS = [60_000, 300_000, 900_000, 3_600_000, 21_600_000, 86_400_000, 604_800_000];

/**
 * The range that a view is about, in whole steps where it is live.
 * @param {When} view
 * @param {number} now
 */
export function rangeOf(view, now) {
  if (view.span === null)
    return { range: { from: view.from, to: view.to }, stepMs: stepFor(view.to - view.from) };
  const stepMs = stepFor(view.span);
  return { range: alignRange({ from: Math.max(0, now - view.span), to: now }, stepMs), stepMs };
}

/**
 * The length that a range had when it was live. A live range is widened to whole steps.
 * @param {When} view
 */
export function resumedSpan({ from, to }) {
  const length = to - from;
  const usual = USUAL_MS.find((span) => length >= span && length - span < 2 * stepFor(span));
  return usual ?? Math.max(60_000, length);
}

/**
 * Shift or scale: standing still, but for a wider live one.
 * @param {When} view
 * @param {number} now
 * @param {number} shift in lengths of the range
 * @param {number} scale
 * @returns {Partial<View>}
 */
export function moved(view, now, shift, scale) {
  const { range } = rangeOf(view, now);
  const length = range.to - range.from;
  if (view.span !== null && shift === 0)
    return { span: Math.min(Math.floor(now / 1000) * 1000, Math.max(10_000, Math.round((view.span * scale) / 1000) * 1000)) };
  const middle = (range.from + range.to) / 2 + shift * length;
  const half = Math.max(1000, Math.round((length * scale) / 2000) * 1000);
  const from = Math.max(0, Math.round(middle / 1000) * 1000 - half);
  return { span: null, from, to: Math.min(LAST_MS, from + 2 * half) };
}
