// SPDX-License-Identifier: Apache-2.0
/** How a sort is written: a column, with "-" in front where the greatest come first. */

/**
 * Read a sort such as "-faults".
 * @param {string} text
 * @returns {{column: string, descending: boolean}}
 */
export function parseSort(text) {
  return text.startsWith("-")
    ? { column: text.slice(1), descending: true }
    : { column: text, descending: false };
}
