// SPDX-License-Identifier: Apache-2.0
/** Where nobody was reading: the time of a range that the hosts' coverage leaves open. */

/** @typedef {import("../model/types.js").Range} Range */
/** @typedef {import("../model/types.js").Span} Span */

/**
 * @typedef {object} Gap
 * @property {number} from
 * @property {number} to
 * @property {number} missing hosts that were not read
 * @property {number} hosts hosts that were read at any time of the range, at least 1
 */

/**
 * Find the gaps in a range, in order of time.
 *
 * The newest few seconds are still on their way, so a gap that reaches the present is one only where it is
 * longer than what may be on its way. A recording beside real hosts leaves no gap where it is silent.
 * @param {readonly Span[]} spans
 * @param {Range} range
 * @param {number} now
 * @param {number} [arrivingMs] how much of the newest time may still arrive
 * @returns {Gap[]}
 */
export function findGaps(spans, range, now, arrivingMs = 5000) {
  const live = spans.filter((span) => !span.is_recording);
  const coverage = live.length > 0 ? live : spans;
  const end = Math.min(range.to, now);
  const hosts = new Set(coverage.map((span) => span.host));
  const total = Math.max(1, hosts.size);
  const borders = new Set([range.from, end]);
  for (const span of coverage) {
    for (const time of [span.from_ms, span.to_ms]) if (time > range.from && time < end) borders.add(time);
  }
  const times = [...borders].sort((a, b) => a - b);
  /** @type {Gap[]} */
  const gaps = [];
  for (let index = 0; index + 1 < times.length; index += 1) {
    const from = /** @type {number} */ (times[index]);
    const to = /** @type {number} */ (times[index + 1]);
    const covered = coverage.filter((span) => span.from_ms <= from && span.to_ms >= to);
    addGap(gaps, { from, to, missing: total - new Set(covered.map((span) => span.host)).size, hosts: total });
  }
  return withoutArriving(gaps, end, now, arrivingMs);
}

// Hosts send their spans up to slightly different times, so what is on its way is a run of gaps, not one.
/** @param {Gap[]} gaps @param {number} end @param {number} now @param {number} arrivingMs */
function withoutArriving(gaps, end, now, arrivingMs) {
  if (end < now) return gaps;
  return gaps.filter((gap) => gap.from < now - arrivingMs);
}

/** @param {Gap[]} gaps @param {Gap} gap */
function addGap(gaps, gap) {
  if (gap.missing === 0 || gap.to <= gap.from) return;
  const last = gaps.at(-1);
  if (last && last.to === gap.from && last.missing === gap.missing) last.to = gap.to;
  else gaps.push(gap);
}

/**
 * What to write in a gap.
 * @param {Gap} gap
 */
export function gapLabel(gap) {
  return gap.missing === gap.hosts ? "not covered" : `${gap.missing} of ${gap.hosts} hosts not covered`;
}

/** What to write where counts are no longer kept in such steps. */
export const OLDER = "older than kept";

/**
 * @param {number} time
 * @param {number | null} keptFrom from when on counts are kept in such steps, null where always
 */
export function isOlder(time, keptFrom) {
  return keptFrom !== null && time < keptFrom;
}

/**
 * Tell whether nothing at all of a range was covered.
 * @param {readonly Span[]} coverage
 * @param {Range} range
 */
export function isUncovered(coverage, range) {
  return !coverage.some(
    (span) => span.to_ms > range.from && span.from_ms < range.to && span.to_ms > span.from_ms,
  );
}
