// SPDX-License-Identifier: Apache-2.0
/** Times in an address, in every form that the API takes: RFC 3339, now-15m, milliseconds since the epoch. */

import { LAST_MS, parseSpan } from "./time.js";

/** @typedef {{span: number | null, from: number, to: number}} When span: live, the newest so many ms; else null */
/** @typedef {{at: number, isNow: boolean, back: number}} Read back: ms before now, of a relative time */

const RFC3339 = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[-+ ]\d{2}:\d{2})$/;
const FORMS = "write 2026-01-31T12:00:00Z, now-15m or milliseconds since 1970";

/**
 * Read one time.
 * @param {string} text
 * @param {number} now
 * @returns {Read | null}
 */
export function readTime(text, now) {
  if (text === "now") return { at: now, isNow: true, back: 0 };
  const relative = /^now-(.+)$/.exec(text);
  if (relative) {
    const back = parseSpan(relative[1] ?? "");
    return back === null ? null : { at: now - back, isNow: true, back };
  }
  if (/^\d{1,15}$/.test(text)) return { at: Number(text), isNow: false, back: 0 };
  // A space for the plus of an offset is a plus that was not escaped.
  const at = RFC3339.test(text) ? Date.parse(text.replace(/ (?=\d{2}:\d{2}$)/, "+").replace(" ", "T")) : NaN;
  return Number.isNaN(at) ? null : { at, isNow: false, back: 0 };
}

/**
 * What keeps two times from being a range, "" for nothing.
 * @param {number} from
 * @param {number} to
 */
function wrongWith(from, to) {
  if (from >= to) return "from is not before to";
  if (to > LAST_MS) return "to is after the year 9999";
  return to <= 0 ? "to is before the year 1970" : "";
}

/**
 * Read which time an address is about.
 * @param {URLSearchParams} query
 * @param {number} now
 * @param {number} usual ms, where it says nothing
 * @returns {{when: When, problem: string}} problem: what of it cannot be used, "" for nothing
 */
export function readRange(query, now, usual) {
  const [range, from, to] = [query.get("range"), query.get("from"), query.get("to")];
  const live = (/** @type {number} */ span, problem = "") => ({ when: { span, from: 0, to: 0 }, problem });
  if (from === null && to === null) {
    if (range === null) return live(usual);
    const span = parseSpan(range);
    return span === null ? live(usual, `range “${range}” is no length of time such as 15m, 6h or 1w`) : live(span);
  }
  const end = to === null ? readTime("now", now) : readTime(to, now);
  if (end === null) return live(usual, `to “${to}” is no time; ${FORMS}`);
  const start = from === null ? { at: end.at - usual, isNow: end.isNow, back: usual } : readTime(from, now);
  if (start === null) return live(usual, `from “${from}” is no time; ${FORMS}`);
  const wrong = wrongWith(start.at, end.at);
  if (wrong) return live(usual, wrong);
  if (start.isNow && end.isNow && end.back === 0) return live(start.back);
  const whole = (/** @type {number} */ time) => Math.max(0, time);
  return { when: { span: null, from: whole(start.at), to: whole(end.at) }, problem: "" };
}
