// SPDX-License-Identifier: Apache-2.0
/** The name of its column on each cell, for windows in which the columns stand below one another. */

/**
 * @template T
 * @param {(item: T) => import("../../base/dom.js").Row<T>} createRow
 * @param {readonly string[]} columns
 * @returns {(item: T) => import("../../base/dom.js").Row<T>}
 */
export function withColumnNames(createRow, columns) {
  return (item) => {
    const row = createRow(item);
    [...row.root.children].forEach((cell, at) => cell.setAttribute("data-label", columns[at] ?? ""));
    return row;
  };
}
