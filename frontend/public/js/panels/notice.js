// SPDX-License-Identifier: Apache-2.0
/** What is wrong with what is on show, in a bar above it. */

import { el, setShown, setText } from "../base/dom.js";

/** @param {() => void} onRetry */
export function createNotice(onRetry) {
  const text = el("p", {});
  const retry = el("button", { type: "button", class: "button", click: onRetry }, "Try again");
  const root = el("div", { class: "notice", role: "status", hidden: true }, text, retry);
  return {
    root,
    /** @param {string} message "" for none */
    update(message) {
      setShown(root, message !== "");
      setText(text, message);
    },
  };
}
