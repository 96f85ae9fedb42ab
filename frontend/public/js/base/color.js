// SPDX-License-Identifier: Apache-2.0
/** Which colour and which dash a series has: fixed for known keys, so that "write" looks the same everywhere. */

/** @typedef {{colour: string, dash: string}} Look colour is the name of a token, dash a Plotly dash */

const PALETTE = [
  "series-1",
  "series-2",
  "series-3",
  "series-4",
  "series-5",
  "series-6",
  "series-7",
  "series-8",
];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];

/** @type {Record<string, Look>} */
const KNOWN = {
  read: { colour: "series-1", dash: "solid" },
  write: { colour: "series-2", dash: "dash" },
  execute: { colour: "series-3", dash: "dot" },
  other: { colour: "series-5", dash: "dashdot" },
  unknown: { colour: "series-rest", dash: "longdash" },
  "4k": { colour: "series-1", dash: "solid" },
  "2m": { colour: "series-3", dash: "dash" },
  "1g": { colour: "series-4", dash: "dot" },
  memory_fault: { colour: "series-2", dash: "solid" },
  bare_error: { colour: "series-4", dash: "dash" },
  unclassified_error: { colour: "series-5", dash: "dot" },
};

/** The look of everything that has no place of its own. */
export const REST = { colour: "series-rest", dash: "longdash" };

/**
 * The look that a key has wherever it is shown, if it has one.
 * @param {string} key
 * @returns {Look | undefined}
 */
export function knownLook(key) {
  return KNOWN[key];
}

/**
 * The looks of a chart's series: by their keys where these are known, else by their places, and no two alike.
 * @param {ReadonlyMap<string, number>} places from 0
 * @returns {Map<string, Look>}
 */
export function looksOf(places) {
  const taken = new Set([...places.keys()].map((key) => KNOWN[key]?.colour));
  const free = PALETTE.filter((colour) => !taken.has(colour));
  return new Map([...places].map(([key, place]) => [key, KNOWN[key] ?? lookAt(place, free)]));
}

// A colour that comes again has another dash than the round before.
/** @param {number} place @param {readonly string[]} colours @returns {Look} */
function lookAt(place, colours) {
  const round = Math.floor(place / colours.length);
  const colour = place % colours.length;
  return { colour: colours[colour] ?? "series-1", dash: DASHES[(colour + round) % DASHES.length] ?? "solid" };
}

/** @type {Record<string, string>} SVG dash arrays for legends, as Plotly draws them at 2 px */
const DASH_ARRAYS = { solid: "none", dash: "5 3", dot: "2 2", dashdot: "5 2 2 2", longdash: "8 3" };

/**
 * The SVG dash array of a Plotly dash.
 * @param {string} dash
 */
export function dashArray(dash) {
  return DASH_ARRAYS[dash] ?? "none";
}

/**
 * Relative luminance contrast of two #rrggbb colours, as WCAG 2.2 defines it: 1 to 21.
 * @param {string} first
 * @param {string} second
 */
export function contrast(first, second) {
  const [high, low] = [luminance(first), luminance(second)].sort((a, b) => b - a);
  return ((high ?? 0) + 0.05) / ((low ?? 0) + 0.05);
}

/** @param {string} colour */
function luminance(colour) {
  const part = (/** @type {number} */ at) => {
    const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5);
}

/**
 * Places for series that come and go: a key keeps its place, and so its colour, while it is listed.
 * @returns {(keys: readonly string[]) => Map<string, number>}
 */
export function stickyPlaces() {
  /** @type {Map<string, number>} */
  let places = new Map();
  return (keys) => {
    const kept = new Map([...places].filter(([key]) => keys.includes(key)));
    const taken = new Set(kept.values());
    let free = 0;
    for (const key of keys) {
      if (kept.has(key)) continue;
      while (taken.has(free)) free += 1;
      kept.set(key, free);
      taken.add(free);
    }
    places = kept;
    return kept;
  };
}
