// SPDX-License-Identifier: Apache-2.0
/** What happened on the time line beside the counts: events of hosts and steps that are not exact, in groups. */

import { clockText } from "../base/time.js";
import { inexactText } from "./inexact.js";

/** @typedef {import("./host-events.js").ReadEvent} ReadEvent */
/** @typedef {import("./inexact.js").Inexact} Inexact */

/** @typedef {{time: number, to: number, glyph: string, tone: "" | "warn" | "bad", text: string}} Mark to: last ms */

/**
 * @typedef {object} MarkGroup
 * @property {string} key
 * @property {number} time of the first
 * @property {string} glyph
 * @property {string} tone
 * @property {string[]} texts
 */

/**
 * @param {readonly ReadEvent[]} events
 * @param {readonly Inexact[]} inexact
 * @param {import("./inexact.js").Subject} subject of the chart: where it is all VMs, hosts are named
 * @returns {Mark[]} in order of time
 */
export function marksOf(events, inexact, subject) {
  const marks = [
    ...events.map(({ time, glyph, tone, text, host }) => ({
      ...{ time, to: time, glyph, tone },
      text: `${clockText(time)} ${isOfMany(subject) ? `${host}: ` : ""}${text}`,
    })),
    ...inexact.map((run) => ({
      ...{ time: run.from, to: run.to - 1, glyph: "≈" },
      tone: /** @type {"" | "bad"} */ (run.isTooLow ? "bad" : ""),
      text: inexactText(run, subject),
    })),
  ];
  return marks.sort((a, b) => a.time - b.time);
}

/** @param {import("./inexact.js").Subject} subject */
function isOfMany(subject) {
  return subject === "all faults" || subject === "some faults";
}

/**
 * When a VM began and ended, as marks: before and after, that it did not fault says nothing.
 * @param {Pick<import("./types.js").Vm, "started_at" | "ended_at">} vm
 * @returns {Mark[]}
 */
export function lifeMarks({ started_at: started, ended_at: ended }) {
  const mark = (/** @type {string} */ at, /** @type {string} */ glyph, /** @type {string} */ what) => {
    const time = Date.parse(at);
    return { time, to: time, glyph, tone: /** @type {const} */ (""), text: `${clockText(time)} the VM ${what}` };
  };
  return [mark(started, "▷", "started"), ...(ended === null ? [] : [mark(ended, "□", "ended")])];
}

const RANK = /** @type {Record<string, number>} */ ({ bad: 2, warn: 1, "": 0 });

/**
 * Put marks that would touch one another together. A group stands at its first mark's time.
 * @param {readonly Mark[]} marks in order of time
 * @param {number} leastMs two groups are at least so far apart
 * @returns {MarkGroup[]}
 */
export function groupMarks(marks, leastMs) {
  /** @type {Mark[][]} */
  const groups = [];
  for (const mark of marks) {
    const last = groups.at(-1);
    if (last?.[0] && mark.time - last[0].time < leastMs) last.push(mark);
    else groups.push([mark]);
  }
  return groups.map((group) => {
    const first = /** @type {Mark} */ (group[0]);
    const worst = group.reduce((a, b) => ((RANK[b.tone] ?? 0) > (RANK[a.tone] ?? 0) ? b : a));
    return {
      key: `${first.time} ${first.text}`,
      time: first.time,
      glyph: group.length > 1 ? String(group.length) : first.glyph,
      tone: worst.tone,
      texts: group.map((mark) => mark.text),
    };
  });
}

/**
 * The words of the marks that fall into a step.
 * @param {readonly Mark[]} marks
 * @param {number} from
 * @param {number} to
 */
export function marksWithin(marks, from, to) {
  return marks.filter((mark) => mark.time < to && mark.to >= from).map((mark) => mark.text);
}
