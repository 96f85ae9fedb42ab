// SPDX-License-Identifier: Apache-2.0
/** What charts of a page have in common: bands of time of which not all is known, and lines that are switched off. */

import { OLDER, gapLabel, isOlder } from "../charts/gaps.js";
import { inexactLabel } from "../model/inexact.js";

/**
 * @param {readonly import("../charts/gaps.js").Gap[]} gaps
 * @param {readonly import("../model/inexact.js").Inexact[]} inexact
 * @returns {import("../panels/chart/bands.js").Band[]}
 */
export function bandsOf(gaps, inexact) {
  return [
    ...gaps.map((gap) => ({ ...gap, label: gapLabel(gap), kind: /** @type {const} */ ("gap") })),
    ...inexact
      .filter((run) => run.isTooLow)
      .map((run) => ({ ...run, label: inexactLabel(run), kind: /** @type {const} */ ("inexact") })),
  ];
}

/**
 * @param {import("../model/types.js").Range} range
 * @param {number | null} keptFrom
 * @returns {import("../panels/chart/bands.js").Band[]}
 */
export function olderBands(range, keptFrom) {
  return isOlder(range.from, keptFrom)
    ? [{ from: range.from, to: Math.min(range.to, Number(keptFrom)), label: OLDER, kind: "older" }]
    : [];
}

/**
 * A list with a key more, or without it.
 * @param {string} list keys with commas between
 * @param {string} key
 */
export function toggled(list, key) {
  const keys = new Set(list.split(",").filter(Boolean));
  if (!keys.delete(key)) keys.add(key);
  return [...keys].join(",");
}
