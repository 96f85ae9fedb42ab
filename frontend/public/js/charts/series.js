// SPDX-License-Identifier: Apache-2.0
/** From an answer of /rates to the lines of a chart: names, looks, and a "rest" for what is too many. */

import { REST, looksOf } from "../base/color.js";
import { countText, forCount } from "../base/format.js";
import { sumOf } from "../base/values.js";

/** @typedef {import("../model/types.js").Series} Series */
/** @typedef {import("./rate.js").Line & {key: string, total: number}} NamedLine */

/** The key of the line that sums the series too many to show. */
export const REST_KEY = "~rest";

/**
 * The keys of the biggest series.
 * @param {readonly Series[]} all
 * @param {number} most
 */
export function biggestKeys(all, most) {
  const ranked = [...all].sort((a, b) => b.total - a.total || a.key.localeCompare(b.key));
  return ranked.slice(0, most).map((series) => series.key);
}

/**
 * Name and order series for a chart. Series that are not placed are added up into one line, the rest.
 * @param {readonly Series[]} all
 * @param {import("../model/types.js").OtherSeries | null} others what the server added up already
 * @param {ReadonlyMap<string, number>} places which series get a line of their own, and in which order
 * @param {(series: Series) => string} labelOf
 * @returns {NamedLine[]}
 */
export function namedLines(all, others, places, labelOf) {
  const looks = looksOf(places);
  const placed = all.filter((series) => places.has(series.key));
  placed.sort((a, b) => (places.get(a.key) ?? 0) - (places.get(b.key) ?? 0));
  const lines = placed.map((series) => ({
    key: series.key,
    label: labelOf(series),
    values: series.values,
    total: series.total,
    ...(looks.get(series.key) ?? REST),
  }));
  const rest = all.filter((series) => !places.has(series.key));
  const count = rest.length + (others?.count ?? 0);
  return count > 0 ? [...lines, restLine(others ? [...rest, others] : rest, count)] : lines;
}

/**
 * @param {readonly {values: (number | null)[], total: number}[]} rest
 * @param {number} count
 * @returns {NamedLine}
 */
function restLine(rest, count) {
  const length = rest[0]?.values.length ?? 0;
  const values = Array.from({ length }, (_, at) => sumOf(rest.map((series) => series.values[at])));
  const total = rest.reduce((sum, series) => sum + series.total, 0);
  return { key: REST_KEY, label: forCount(count, "1 other", `all ${countText(count)} others`), values, total, ...REST };
}
