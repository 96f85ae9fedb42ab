// SPDX-License-Identifier: Apache-2.0
/** A state in words, in place of or above the data: what is the case, and what to do. */

import { el, setChildren, setShown, setText } from "../base/dom.js";

/** @typedef {{title: string, text: string, actions?: {label: string, act: () => void}[]}} Message */

/** @param {"h1" | "h2"} [level] of the heading: the page's own where nothing else is on it */
export function createMessage(level = "h2") {
  const title = el(level, {});
  const text = el("p", {});
  const actions = el("div", { class: "actions" });
  const root = el("section", { class: "message", hidden: true, "aria-live": "polite" }, title, text, actions);
  let shown = "";
  /** @type {NonNullable<Message["actions"]>} */
  let newest = [];
  return {
    root,
    /** @param {Message | null} message */
    update(message) {
      setShown(root, message !== null);
      if (!message) return;
      setText(title, message.title);
      setText(text, message.text);
      newest = message.actions ?? [];
      const labels = newest.map((action) => action.label).join("|");
      if (labels === shown) return;
      shown = labels;
      setChildren(
        actions,
        ...newest.map(({ label }, at) =>
          el("button", { type: "button", class: "button", click: () => newest[at]?.act() }, label),
        ),
      );
    },
  };
}
