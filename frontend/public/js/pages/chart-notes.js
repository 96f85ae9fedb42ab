// SPDX-License-Identifier: Apache-2.0
/** What a chart leaves out, in sentences under it. */

import { forCount, plural } from "../base/format.js";
import { dateText, durationText } from "../base/time.js";

/** As many events as are asked for. */
export const MOST_EVENTS = 500;

/**
 * @param {object} about
 * @param {boolean} about.hasMoreEvents
 * @param {number} [about.recordings] whose losses were not asked for
 * @param {number} [about.vms] that the server did not look through
 * @param {import("../../../api-types.js").Counted | null} [about.counted] the range that totals are of, where it is another one
 * @returns {string[]}
 */
export function leftOutNotes({ hasMoreEvents, recordings = 0, vms = 0, counted = null }) {
  return [
    vms > 0 ? vmsLeftOut(vms) : "",
    counted ? countedNote(counted) : "",
    hasMoreEvents ? `Only the newest ${MOST_EVENTS} events are marked; choose a shorter range for those before.` : "",
    recordings > 0 ? `And ${plural(recordings, "more recording")}, whose losses are not marked here.` : "",
  ].filter(Boolean);
}

/** @param {import("../../../api-types.js").Counted} counted */
function countedNote({ from_ms: from, to_ms: to }) {
  const span = [from === null ? "" : `from ${dateText(from)}`, to === null ? "" : `to ${dateText(to)}`];
  return `Totals are ${span.filter(Boolean).join(" ")}: counts so old are kept in longer buckets, or no more.`;
}

/** @param {number} count */
export function vmsLeftOut(count) {
  return (
    `And ${plural(count, "more VM")} of this range, which the server did not look through: ` +
    `${forCount(count, "it is", "they are")} in no figure, line or row. Choose a shorter range.`
  );
}

/**
 * @param {readonly {host: string, from: number, to: number}[]} recordings shorter than a step
 * @param {number} stepMs
 */
export function recordingsNote(recordings, stepMs) {
  const [first] = recordings;
  if (!first) return "";
  const step = durationText(stepMs);
  if (recordings.length > 1)
    return `${plural(recordings.length, "recording")} took less than a step of ${step} each: each of them is one bar, or two.`;
  return `The recording ${first.host} took ${durationText(first.to - first.from)}, less than a step of ${step}: it is one bar, or two.`;
}

/**
 * @param {import("../model/types.js").Range} span all that was covered
 * @param {number} stepMs
 */
export function shortNote({ from, to }, stepMs) {
  const step = durationText(stepMs);
  return (
    `All that was covered of this range took ${durationText(to - from)}, less than a step of ${step}: ` +
    "it is one bar, or two. Single faults and exits have their own times."
  );
}
