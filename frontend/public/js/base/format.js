// SPDX-License-Identifier: Apache-2.0
/** Numbers and names as the page writes them. Counts are never rounded; rates are, visibly. */

/** What the page writes where there is no number. */
export const NONE = "–";

/**
 * A count, exact, with thin spaces between thousands.
 * @param {number | null | undefined} count
 */
export function countText(count) {
  if (count === null || count === undefined) return NONE;
  return String(count).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/**
 * A rate per second: three significant digits, "0" only for none at all.
 * @param {number | null | undefined} rate
 */
export function rateText(rate) {
  if (rate === null || rate === undefined) return NONE;
  if (rate === 0) return "0";
  if (rate < 0.001) return "<0.001";
  return compact(rate);
}

/** @param {number} value */
function compact(value) {
  for (const [size, suffix] of /** @type {[number, string][]} */ ([
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ])) {
    if (value >= size * 0.9995) return `${significant(value / size)}\u2009${suffix}`;
  }
  return significant(value);
}

/**
 * A number with three digits, or two where it is small.
 * @param {number} value
 */
export function significant(value) {
  if (value >= 99.95) return value.toFixed(0);
  if (value >= 9.995) return value.toFixed(1);
  if (value >= 0.0995) return value.toFixed(2);
  return value.toPrecision(2);
}

/**
 * How long something took, three digits of it: "250 ns", "4.83 µs", "11.2 ms", "183 s".
 * @param {number | null | undefined} seconds
 */
export function secondsText(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds === 0) return "0 s";
  for (const [size, unit] of /** @type {[number, string][]} */ ([
    [1, "s"],
    [1e-3, "ms"],
    [1e-6, "µs"],
  ])) {
    if (seconds >= size * 0.9995) return `${significant(seconds / size)} ${unit}`;
  }
  return `${Math.round(seconds * 1e9)} ns`;
}

/**
 * A share of a whole: "12.3 %", "<0.1 %", "100 %".
 * @param {number} part
 * @param {number} whole
 */
export function shareText(part, whole) {
  if (whole <= 0) return NONE;
  const percent = (part / whole) * 100;
  if (part === 0) return "0 %";
  if (percent < 0.1) return "<0.1 %";
  if (part === whole) return "100 %";
  return percent > 99.9 ? ">99.9 %" : `${percent.toFixed(1)} %`;
}

/**
 * A size in bytes: "4 KiB" where it is a whole number of them, never rounded.
 * @param {number | null} bytes
 */
export function sizeText(bytes) {
  if (bytes === null) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && value % 1024 === 0 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value} ${units[unit]}`;
}

/**
 * About how many bytes, three digits of it: "1.50 GB".
 * @param {number | null} bytes
 */
export function aboutBytesText(bytes) {
  if (bytes === null) return NONE;
  return bytes < 999.5 ? `${Math.round(bytes)}\u2009B` : `${compact(bytes)}B`;
}

/**
 * "1 vCPU", "3 vCPUs".
 * @param {number} count
 * @param {string} noun
 */
export function plural(count, noun) {
  return `${countText(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/**
 * The form of a word or a sentence that goes with a count.
 * @param {number} count
 * @param {string} one
 * @param {string} many
 */
export function forCount(count, one, many) {
  return count === 1 ? one : many;
}

/**
 * A name that the API uses, as words: "no_memslot" gives "no memslot".
 * @param {string} key
 */
export function words(key) {
  return key.replaceAll("_", " ");
}

/**
 * Round steps for a value axis from 0: at most five, and the top above the highest value.
 * @param {number} highest
 * @returns {{top: number, ticks: {value: number, text: string}[]}}
 */
export function valueTicks(highest) {
  if (!(highest > 0))
    return {
      top: 1,
      ticks: [
        { value: 0, text: "0" },
        { value: 1, text: "1" },
      ],
    };
  const rough = highest / 4;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = magnitude * ([1, 2, 2.5, 5, 10].find((factor) => factor * magnitude >= rough * 0.999) ?? 10);
  const ticks = [];
  for (let index = 0; index * step < highest + step * 0.5; index += 1) {
    const value = Number((index * step).toPrecision(12));
    ticks.push({ value, text: tickText(value) });
  }
  return { top: Math.max(highest * 1.06, ticks.at(-1)?.value ?? 0), ticks };
}

/** @param {number} value */
function tickText(value) {
  for (const [size, suffix] of /** @type {[number, string][]} */ ([
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ])) {
    if (value >= size) return `${Number((value / size).toPrecision(3))}${suffix}`;
  }
  return String(Number(value.toPrecision(3)));
}
