// SPDX-License-Identifier: Apache-2.0
/** A button that brings more of a list, and says why where it could not. */

import { el, setShown, setText } from "../../base/dom.js";

/**
 * @param {string} label
 * @param {() => Promise<unknown>} onMore rejects where nothing could be brought
 */
export function createLoadMore(label, onMore) {
  const button = el("button", { type: "button", class: "button", click: () => void bring() }, label);
  const problem = el("p", { class: "form-problem", role: "alert", hidden: true });
  const rest = el("p", { class: "hint", hidden: true });
  let isAsking = false;

  async function bring() {
    if (isAsking) return;
    isAsking = true;
    try {
      await onMore();
      say("");
    } catch (failure) {
      say(`Not loaded: ${failure instanceof Error ? failure.message : String(failure)}.`);
    }
    isAsking = false;
  }

  /** @param {string} text */
  function say(text) {
    setText(problem, text);
    setShown(problem, text !== "");
  }

  return {
    root: el("div", { class: "more" }, button, rest, problem),
    /**
     * @param {boolean} hasMore whether the button can bring some
     * @param {string} [left] what is not listed, where that is to be said
     * @param {string} [next] another label
     */
    update(hasMore, left = "", next = label) {
      setText(button, next);
      setShown(button, hasMore);
      setText(rest, left);
      setShown(rest, left !== "");
      if (!hasMore) say("");
    },
  };
}
