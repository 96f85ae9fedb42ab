// SPDX-License-Identifier: Apache-2.0
/** The name of its column on each cell, for windows in which the columns stand below one another. */

import { NONE } from "../../base/format.js";

/**
 * @template T
 * @param {(item: T) => import("../../base/dom.js").Row<T>} createRow
 * @param {readonly string[]} columns
 * @returns {(item: T) => import("../../base/dom.js").Row<T>}
 */
export function withColumnNames(createRow, columns) {
  return (item) => {
    const row = createRow(item);
    [...row.root.children].forEach((cell, at) => {
      cell.setAttribute("data-label", columns[at] ?? "");
      // A line of its own that says nothing.
      cell.classList.toggle("is-none", cell.textContent === NONE);
    });
    return row;
  };
}
