// SPDX-License-Identifier: Apache-2.0
/** A plain table whose rows are kept by key. */

import { el, keyedList, setAttr, setShown, setText } from "../../base/dom.js";
import { card } from "../card.js";

/** @typedef {{text: string, title?: string, mark?: boolean}} Cell */
/** @typedef {{key: string, cells: Cell[]}} TableRow */

/**
 * @param {object} options
 * @param {string} options.id
 * @param {string} options.title
 * @param {string} options.note
 * @param {string} options.empty
 * @param {{label: string, kind?: "number" | "code"}[]} options.columns
 */
export function createCountsTable({ id, title, note, empty, columns }) {
  const body = el("tbody", {});
  const none = el("p", { class: "empty-note" }, empty);
  const rest = el("p", { class: "empty-note", hidden: true });
  const kindOf = (/** @type {number} */ at) => columns[at]?.kind ?? "";
  const heads = columns.map((column) => el("th", { scope: "col", class: column.kind ?? "" }, column.label));
  const table = el(
    "div",
    { class: "table-scroll" },
    el(
      "table",
      { class: "data", "aria-labelledby": `${id}-title` },
      el("thead", {}, el("tr", {}, ...heads)),
      body,
    ),
  );
  const show = keyedList(
    body,
    (/** @type {TableRow} */ row) => row.key,
    (row) => {
      const cells = row.cells.map((_, at) => el("td", { class: kindOf(at) }));
      return {
        root: el("tr", {}, ...cells),
        update(next) {
          next.cells.forEach((cell, at) => {
            const target = /** @type {HTMLElement} */ (cells[at]);
            setText(target, cell.text);
            setAttr(target, "title", cell.title);
            target.classList.toggle("has-exits", cell.mark === true);
          });
        },
      };
    },
  );
  return {
    root: card({ id, title, note }, table, none, rest),
    /** @param {TableRow[]} rows @param {string} [left] what is not listed */
    update(rows, left = "") {
      setText(rest, left);
      setShown(rest, left !== "");
      show(rows);
      setShown(table, rows.length > 0);
      setShown(none, rows.length === 0);
    },
  };
}
