// SPDX-License-Identifier: Apache-2.0
/** A small line without axes: SVG path data for a series, in a box of a given size. */

/** @typedef {{line: string, area: string, peak: number}} Spark */

/**
 * Shape a series. Its own highest value is the top; where it is null the line breaks.
 * @param {readonly (number | null)[]} values
 * @param {number} width
 * @param {number} height
 * @returns {Spark}
 */
export function sparkShape(values, width, height) {
  const peak = Math.max(0, ...values.map((value) => value ?? 0));
  const step = width / Math.max(1, values.length);
  const y = (/** @type {number} */ value) => round(height - 1 - (peak > 0 ? value / peak : 0) * (height - 2));
  const isNull = (/** @type {number} */ at) => (values[at] ?? null) === null;
  let [line, area] = ["", ""];
  values.forEach((value, at) => {
    if (value === null) return;
    const right = `H${round((at + 1) * step)}`;
    const isFirst = isNull(at - 1);
    line += (isFirst ? `M${round(at * step)} ${y(value)}` : `V${y(value)}`) + right;
    area += (isFirst ? `M${round(at * step)} ${height}` : "") + `V${y(value)}${right}`;
    if (isNull(at + 1)) area += `V${height}Z`;
  });
  return { line, area, peak };
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 10) / 10;
}
