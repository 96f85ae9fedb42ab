// SPDX-License-Identifier: Apache-2.0
/** Whether the counts of a range are exact, and what of it they are counts of. */

import { lackText } from "../model/inexact.js";
import { durationText, isArriving } from "../base/time.js";
import { findGaps, isUncovered } from "../charts/gaps.js";

/** @typedef {import("../model/types.js").Span} Span */

/**
 * @typedef {object} Counted what counts are of
 * @property {readonly Span[]} coverage
 * @property {import("../model/host-types.js").Ledger} ledger
 * @property {import("./context.js").Request} request
 */

/**
 * The gaps of a range, as its chart has them.
 * @param {readonly Span[]} coverage
 * @param {import("./context.js").Request} request
 */
export function gapsOf(coverage, { range, now, stepMs }) {
  return findGaps(coverage, range, now, Math.max(5000, stepMs));
}

/**
 * @param {Counted} counted
 * @param {import("../model/inexact.js").Subject} subject
 * @returns {{note: string, title: string}} a word beside a count, and the whole of it
 */
export function exactness({ coverage, ledger, request }, subject) {
  if (isUncovered(coverage, request.range)) return { note: "", title: "Nobody was reading: nothing is known" };
  const lack = lackText(ledger, subject);
  const gaps = gapsOf(coverage, request);
  const missed = gaps.reduce((sum, { from, to }) => sum + to - from, 0);
  const isAll = gaps.every((gap) => gap.missing === gap.hosts);
  const nobody = isAll ? "nobody was reading" : "not every host was read";
  const covered = `counted while covered: for ${durationText(missed)} of the range ${nobody}`;
  if (lack) return { note: "not exact", title: `Too low, lost: ${lack}${missed > 0 ? `; ${covered}` : ""}` };
  if (missed > 0) return { note: "while covered", title: `Exact, and ${covered}` };
  return { note: "", title: "In the range, exact" };
}

/**
 * What was covered, where it is shorter than a step: the chart shows one bar, however much was in it.
 * @param {readonly Span[]} coverage
 * @param {import("./context.js").Request} request
 * @returns {import("../model/types.js").Range | null}
 */
export function shortSpan(coverage, { range, stepMs, now }) {
  const within = spansWithin(coverage, range);
  if (within.length === 0) return null;
  const from = Math.max(range.from, Math.min(...within.map((span) => span.from_ms)));
  const to = Math.min(range.to, Math.max(...within.map((span) => span.to_ms)));
  return to - from < stepMs && !isArriving(to, now, stepMs) ? { from, to } : null;
}

/**
 * The recordings that are shorter than a step, where others were read as well: among their bars one more is not noticed.
 * @param {readonly Span[]} coverage
 * @param {import("./context.js").Request} request
 * @returns {{host: string, from: number, to: number}[]} in order of time
 */
export function shortRecordings(coverage, { range, stepMs }) {
  /** @type {Map<string, {host: string, from: number, to: number}>} */
  const found = new Map();
  for (const { host, from_ms: from, to_ms: to } of spansWithin(coverage, range).filter((span) => span.is_recording)) {
    const known = found.get(host) ?? { host, from, to };
    found.set(host, { host, from: Math.min(known.from, from), to: Math.max(known.to, to) });
  }
  return [...found.values()].filter(({ from, to }) => to - from < stepMs).sort((a, b) => a.from - b.from);
}

/** @param {readonly Span[]} coverage @param {import("../model/types.js").Range} range */
function spansWithin(coverage, range) {
  return coverage.filter(({ from_ms: from, to_ms: to }) => to > range.from && from < range.to && to > from);
}
