// SPDX-License-Identifier: Apache-2.0
/** What a chart says, in words: its summary for a screen reader, one step under the cursor, its table. */

import { clockText, dateText } from "../base/time.js";
import { rateText } from "../base/format.js";
import { known, newest, sumOf } from "../base/values.js";
import { OLDER, gapLabel, isOlder } from "./gaps.js";
import { marksWithin } from "../model/marks.js";

/** @typedef {import("../model/types.js").Range} Range */
/** @typedef {import("./gaps.js").Gap} Gap */
/** @typedef {import("./series.js").NamedLine} NamedLine */

/** @typedef {{label: string, colour: string, dash: string, isArea: boolean, value: string}} Entry */
/** @typedef {{time: string, entries: Entry[], note: string, marks: string[]}} Reading marks: what else happened */

/**
 * @typedef {object} Plotted
 * @property {readonly number[]} times
 * @property {number} stepMs
 * @property {Range} range
 * @property {readonly NamedLine[]} lines
 * @property {readonly Gap[]} gaps
 * @property {number | null} keptFrom from when on counts are kept in such steps, null where always
 * @property {readonly import("../model/marks.js").Mark[]} marks
 * @property {boolean} stacked
 */

/**
 * Say a chart in a few sentences.
 * @param {string} what for example "Guest faults per second"
 * @param {Plotted} plotted
 */
export function summaryText(what, plotted) {
  const { range, lines, gaps, keptFrom, marks, times } = plotted;
  const span = `${what} from ${dateText(range.from)} to ${dateText(range.to)}.`;
  const sums = totalsAt(plotted);
  const highest = Math.max(...known(sums));
  if (known(sums).length === 0) return `${span} ${gaps.length > 0 ? "Not covered" : "No faults"}.`;
  const peakTime = clockText(times[sums.indexOf(highest)] ?? 0);
  const parts = [`Latest ${rateText(newest(sums))}, highest ${rateText(highest)} at ${peakTime}.`];
  if (lines.length > 1) parts.push(`By ${lines.map((line) => line.label).join(", ")}.`);
  if (isOlder(range.from, keptFrom)) parts.push(`Before ${dateText(Number(keptFrom))} ${OLDER}.`);
  for (const gap of gaps.slice(0, 4))
    parts.push(`${gapLabel(gap)} ${clockText(gap.from)} to ${clockText(gap.to)}.`);
  for (const mark of marks.slice(-4)) parts.push(`${mark.text}.`);
  return [span, ...parts].join(" ");
}

/**
 * The sum of a stacked chart's lines at each step; of others the highest.
 * @param {Plotted} plotted
 * @returns {(number | null)[]}
 */
export function totalsAt({ times, lines, stacked }) {
  return times.map((_, at) => {
    const values = known(lines.map((line) => line.values[at]));
    if (values.length === 0) return null;
    return stacked ? sumOf(values) : Math.max(...values);
  });
}

/**
 * Read one step.
 * @param {Plotted} plotted
 * @param {number} at the step's place
 * @returns {Reading}
 */
export function readStep(plotted, at) {
  const { times, stepMs, lines, stacked } = plotted;
  const from = times[at] ?? 0;
  const time = stepMs <= 1000 ? dateText(from) : `${dateText(from)} – ${clockText(from + stepMs)}`;
  const marks = marksWithin(plotted.marks, from, from + stepMs);
  const covered = lines.filter((line) => (line.values[at] ?? null) !== null);
  if (covered.length === 0) return { time, entries: [], note: noteAt(plotted, from), marks };
  const entries = covered.map((line) => entry(line, line.values[at] ?? null, stacked)).reverse();
  if (stacked && covered.length > 1) {
    const sum = sumOf(covered.map((line) => line.values[at]));
    entries.push({ label: "all", colour: "", dash: "", isArea: false, value: rateText(sum) });
  }
  return { time, entries, note: covered.length < lines.length ? "not covered for the others" : "", marks };
}

/** @param {NamedLine} line @param {number | null} value @param {boolean} isArea @returns {Entry} */
function entry({ label, colour, dash }, value, isArea) {
  return { label, colour, dash, isArea, value: rateText(value) };
}

// A step without a value that is in no gap is one whose counts are still on their way.
/** @param {Plotted} plotted @param {number} time */
function noteAt({ gaps, keptFrom, stepMs, lines, times }, time) {
  if (isOlder(time, keptFrom)) return OLDER;
  if (lines.length === 0) return "no faults";
  if (gaps.some((gap) => gap.from < time + stepMs && gap.to > time)) return "not covered";
  // Where something is known before and after, it is not the newest that lacks: the VM was not there.
  return times.some((later, at) => later > time && lines.some((line) => (line.values[at] ?? null) !== null))
    ? "the VM was not there yet"
    : "not yet complete, or the VM had ended";
}

/**
 * A chart as a table, newest step first.
 * @param {Plotted} plotted
 * @returns {{head: string[], rows: string[][]}}
 */
export function chartTable(plotted) {
  const { lines, marks, stepMs } = plotted;
  const hasNotes = marks.length > 0;
  const head = ["time", ...lines.map((line) => line.label), ...(hasNotes ? ["events"] : [])];
  const rows = plotted.times.map((time, at) => [
    dateText(time),
    ...lines.map((line) => rateText(line.values[at] ?? null)),
    ...(hasNotes ? [marksWithin(marks, time, time + stepMs).join("; ")] : []),
  ]);
  return { head, rows: rows.reverse() };
}
