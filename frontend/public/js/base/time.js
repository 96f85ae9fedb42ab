// SPDX-License-Identifier: Apache-2.0
/** Times and ranges: parsing, naming, the width of a step. Milliseconds UTC unless the name says otherwise. */

/** @typedef {import("../model/types.js").Range} Range */

const UNITS_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 10800, 21600, 43200, 86400];
const MAX_STEPS = 360;
const DAY_MS = 86_400_000;
/** The last millisecond that an address can have: of the year 9999, the last that the server reads. */
export const LAST_MS = 253_402_300_799_999;

/**
 * Read a length of time such as "15m".
 * @param {string | null} text
 * @returns {number | null} milliseconds, null where it is no such length
 */
export function parseSpan(text) {
  const match = /^(\d{1,6})([smhdw])$/.exec(text ?? "");
  if (!match) return null;
  const unit = UNITS_MS[/** @type {keyof typeof UNITS_MS} */ (match[2])];
  const length = Number(match[1]) * unit;
  return length > 0 ? length : null;
}

/**
 * Write a length of time in its largest whole unit: 900000 gives "15m".
 * @param {number} lengthMs
 */
export function spanText(lengthMs) {
  const seconds = Math.max(1, Math.round(lengthMs / 1000));
  for (const unit of /** @type {const} */ (["d", "h", "m"])) {
    const size = UNITS_MS[unit] / 1000;
    if (seconds >= size && seconds % size === 0) return `${seconds / size}${unit}`;
  }
  return `${seconds}s`;
}

/**
 * Say a length of time as people do: "120 ms", "45 s", "3 min", "2 h 5 min", "4 d".
 * @param {number} lengthMs
 */
export function durationText(lengthMs) {
  if (lengthMs > 0 && lengthMs < 1000) return `${Math.ceil(lengthMs)} ms`;
  const seconds = Math.max(0, Math.round(lengthMs / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/**
 * Say how long ago a time was.
 * @param {number} timeMs
 * @param {number} nowMs
 */
export function agoText(timeMs, nowMs) {
  return nowMs - timeMs < 1500 ? "just now" : `${durationText(nowMs - timeMs)} ago`;
}

/**
 * Choose the width of a step, so that a range has at most 360 of them.
 * @param {number} lengthMs
 */
export function stepFor(lengthMs) {
  const seconds = STEPS_S.find((step) => lengthMs / (step * 1000) <= MAX_STEPS);
  return (seconds ?? Math.ceil(lengthMs / (MAX_STEPS * DAY_MS)) * (DAY_MS / 1000)) * 1000;
}

/**
 * Whether more may come of what ends at a time: it is of the present.
 * @param {number} timeMs
 * @param {number} nowMs
 * @param {number} stepMs
 */
export function isArriving(timeMs, nowMs, stepMs) {
  return nowMs - timeMs < 2 * Math.max(5000, stepMs);
}

/**
 * Widen a range to whole steps, so that live steps keep their borders as time passes.
 * @param {Range} range
 * @param {number} stepMs
 * @returns {Range}
 */
export function alignRange(range, stepMs) {
  return {
    from: Math.floor(range.from / stepMs) * stepMs,
    to: Math.ceil(range.to / stepMs) * stepMs,
  };
}

/** @param {number} value @param {number} [digits] */
const padded = (value, digits = 2) => String(value).padStart(digits, "0");

/**
 * Wall-clock time in the viewer's zone, to the second: "19:02:07".
 * @param {number} timeMs
 */
export function clockText(timeMs) {
  const date = new Date(timeMs);
  return `${padded(date.getHours())}:${padded(date.getMinutes())}:${padded(date.getSeconds())}`;
}

/**
 * Day and wall-clock time in the viewer's zone: "2026-11-22 19:02:07".
 * @param {number} timeMs
 */
export function dateText(timeMs) {
  const date = new Date(timeMs);
  return `${date.getFullYear()}-${padded(date.getMonth() + 1)}-${padded(date.getDate())} ${clockText(timeMs)}`;
}

/**
 * Clock time where both ends are on the viewer's today, else with the day.
 * @param {number} timeMs
 * @param {number} nowMs
 */
export function whenText(timeMs, nowMs) {
  return sameDay(timeMs, nowMs) ? clockText(timeMs) : dateText(timeMs);
}

/**
 * Both ends of a range, with no day said that goes without saying.
 * @param {Range} range
 * @param {number} nowMs
 */
export function rangeText({ from, to }, nowMs) {
  return `${whenText(from, nowMs)} – ${sameDay(from, to) ? clockText(to) : whenText(to, nowMs)}`;
}

/** @param {number} first @param {number} second */
function sameDay(first, second) {
  return new Date(first).toDateString() === new Date(second).toDateString();
}

/**
 * An RFC 3339 time in the viewer's zone: to the millisecond, and the six digits after it.
 * @param {string} text
 * @returns {[string, string]}
 */
export function exactTimeTexts(text) {
  const fraction = (/\.(\d+)/.exec(text)?.[1] ?? "").padEnd(9, "0").slice(0, 9);
  return [`${dateText(Date.parse(text))}.${fraction.slice(0, 3)}`, fraction.slice(3)];
}

/**
 * A form field's local time, as <input type="datetime-local" step="1"> wants it.
 * @param {number} timeMs
 */
export function toLocalInput(timeMs) {
  return dateText(timeMs).replace(" ", "T");
}

/**
 * The name of the viewer's time zone: "Europe/Berlin".
 */
export function zoneName() {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

const TICK_STEPS_S = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800,
];

/**
 * Places for labels on a time axis: on whole minutes, hours and days of the viewer's zone.
 * @param {Range} range
 * @param {number} most how many labels fit
 * @returns {{value: number, text: string}[]}
 */
export function timeTicks(range, most) {
  const length = range.to - range.from;
  const seconds = TICK_STEPS_S.find((step) => length / (step * 1000) <= most + 0.5) ?? 2_592_000;
  const step = seconds * 1000;
  // Labels sit on round local times, so days and hours are counted from local midnight.
  const offset = new Date(range.from).getTimezoneOffset() * 60_000;
  const ticks = [];
  // A label at the very edge would stand in the corner of the other axis.
  const first = range.from + length * 0.015;
  for (let time = Math.ceil((first - offset) / step) * step + offset; time < range.to; time += step) {
    ticks.push({ value: time, text: tickText(time, seconds) });
  }
  return ticks;
}

/** @param {number} timeMs @param {number} stepS */
function tickText(timeMs, stepS) {
  const text = dateText(timeMs);
  if (stepS >= 86_400) return text.slice(5, 10);
  if (stepS < 60) return text.slice(11);
  return text.slice(11, 16) === "00:00" ? text.slice(5, 10) : text.slice(11, 16);
}
