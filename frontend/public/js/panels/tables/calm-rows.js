// SPDX-License-Identifier: Apache-2.0
/** Rows that do not move under the reader: new ones wait, counted, until they are asked for. */

import { countText } from "../../base/format.js";
import { el, keyedList, setShown, setText } from "../../base/dom.js";
import { isBeingRead } from "../being-read.js";

/**
 * @template {{key: string}} T
 * @param {(item: T) => import("../../base/dom.js").Row<T>} createRow
 */
export function createCalmRows(createRow) {
  const body = el("tbody", {});
  const held = el("button", { type: "button", class: "held", click: showAll, hidden: true });
  const show = keyedList(body, (/** @type {T} */ item) => item.key, createRow);
  /** @type {readonly T[]} */
  let newest = [];
  /** @type {readonly T[]} */
  let shown = [];

  function showAll() {
    setShown(held, false);
    show(newest);
    shown = newest;
  }

  return {
    body,
    held,
    /** @param {readonly T[]} items newest first @param {boolean} isOther an answer to another question than before */
    update(items, isOther) {
      newest = items;
      const place = items.findIndex((item) => item.key === shown[0]?.key);
      const isSame = place === 0 && items.length >= shown.length;
      if (isOther || shown.length === 0 || isSame || !isBeingRead(body)) return showAll();
      // What is read stays whole, also where newer records have pushed it off the page that was asked for.
      setText(held, `${place < 0 ? `${countText(items.length)} or more` : countText(place)} new – show`);
      return setShown(held, true);
    },
  };
}
