/** Rows that do not move under the reader: new ones wait, counted, until they are asked for. */

import { countText } from "../base/format.js";
import { el, keyedList, setShown, setText } from "../base/dom.js";

/**
 * @template {{key: string}} T
 * @param {(item: T) => import("../base/dom.js").Row<T>} createRow
 */
export function createCalmRows(createRow) {
  const body = el("tbody", {});
  const held = el("button", { type: "button", class: "held", click: showAll, hidden: true });
  const show = keyedList(body, (/** @type {T} */ item) => item.key, createRow);
  /** @type {readonly T[]} */
  let newest = [];
  let top = "";

  function showAll() {
    setShown(held, false);
    show(newest);
    top = newest[0]?.key ?? "";
  }

  return {
    body,
    held,
    /** @param {readonly T[]} items newest first @param {boolean} isOther an answer to another question than before */
    update(items, isOther) {
      newest = items;
      const fresh = items.findIndex((item) => item.key === top);
      if (isOther || fresh <= 0 || !isBeingRead(body)) return showAll();
      setText(held, `${countText(fresh)} new – show`);
      setShown(held, true);
      return show(items.slice(fresh));
    },
  };
}

/** @param {HTMLElement} body */
function isBeingRead(body) {
  const selection = getSelection();
  const isSelected = selection !== null && !selection.isCollapsed && body.contains(selection.anchorNode);
  return isSelected || body.matches(":hover") || body.contains(document.activeElement);
}
