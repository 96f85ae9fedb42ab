// SPDX-License-Identifier: Apache-2.0
/** A button that puts a text into the clipboard, and says whether it could. */

import { el, setText } from "../base/dom.js";

const SAID_MS = 2000;

/** @param {string} text */
export function copyButton(text) {
  const button = el("button", { type: "button", class: "button copy", click: () => void copy() }, "Copy");
  async function copy() {
    try {
      // Where the page came without TLS from another machine, browsers have no clipboard.
      await navigator.clipboard.writeText(text);
      setText(button, "Copied");
    } catch {
      setText(button, "Not copied: select it");
    }
    setTimeout(() => setText(button, "Copy"), SAID_MS);
  }
  return button;
}
