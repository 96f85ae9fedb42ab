// SPDX-License-Identifier: Apache-2.0
/** A dialog with a title and a way to close it: Escape, the button, a click beside it. */

import { el } from "../base/dom.js";

/**
 * @param {object} options
 * @param {string} options.id
 * @param {string} options.title
 * @param {string} options.kind class of its look
 * @param {...Node} content
 */
export function createDialog({ id, title, kind }, ...content) {
  /** @type {HTMLButtonElement} */
  const close = el(
    "button",
    { type: "button", class: "quiet close", "aria-label": "Close", click: () => root.close() },
    "✕",
  );
  const inner = el(
    "div",
    { class: "dialog-inner" },
    el(
      "div",
      { class: "card-head" },
      el("h2", { id: `${id}-title` }, title),
      el("span", { class: "spacer" }),
      close,
    ),
    ...content,
  );
  /** @type {HTMLDialogElement} */
  const root = el("dialog", { class: kind, id, "aria-labelledby": `${id}-title` }, inner);
  root.addEventListener("click", (event) => event.target === root && root.close());
  return {
    root,
    open: () => root.open || root.showModal(),
    close: () => root.close(),
  };
}
