// SPDX-License-Identifier: Apache-2.0
/** Counts as bars, with their share of a whole: flags, outcomes. */

import { countText, shareText, words } from "../base/format.js";
import { el, keyedList, setAttr, setShown, setText } from "../base/dom.js";

/** @typedef {{flag: string, count: number, bit: number | null, meaning: string}} Item */

/**
 * @param {object} options
 * @param {string} options.title
 * @param {string} options.note what the counts are of
 * @param {string} options.empty what to say where there are none
 */
export function createBreakdown({ title, note, empty }) {
  const list = el("ul", { class: "bars" });
  const none = el("p", { class: "empty-note" }, empty);
  const root = el(
    "section",
    { class: "breakdown", "aria-label": title },
    el("h3", {}, title, el("span", { class: "unit" }, note)),
    list,
    none,
  );
  let total = 0;
  const show = keyedList(
    list,
    (/** @type {Item} */ item) => item.flag,
    () => createBar(() => total),
  );
  return {
    root,
    /** @param {readonly Item[]} items @param {number} whole what 100 % is */
    update(items, whole) {
      total = whole;
      show(items);
      setShown(none, items.length === 0);
    },
  };
}

/** @param {() => number} total @returns {import("../base/dom.js").Row<Item>} */
function createBar(total) {
  const name = el("span", { class: "bar-name" });
  const bit = el("span", { class: "bar-bit" });
  const fill = el("span", { class: "bar-fill" });
  const count = el("span", { class: "bar-count" });
  const share = el("span", { class: "bar-share" });
  const meaning = el("span", { class: "bar-meaning" });
  const track = el("span", { class: "bar-track", "aria-hidden": "true" }, fill);
  const root = el(
    "li",
    { class: "bar" },
    el("span", { class: "bar-label" }, name, bit),
    track,
    count,
    share,
    meaning,
  );
  return {
    root,
    update(item) {
      const isUnknown = item.flag.startsWith("bit") || item.flag.startsWith("unknown");
      setText(name, words(item.flag));
      setText(bit, item.bit === null || isUnknown ? "" : `bit ${item.bit}`);
      setText(count, countText(item.count));
      setText(share, shareText(item.count, total()));
      setText(meaning, item.meaning);
      setAttr(root, "title", item.meaning);
      setAttr(root, "data-flag", item.flag);
      root.classList.toggle("unknown", isUnknown);
      // At least a hair of width, so that a count of one shows beside a million.
      const width = total() > 0 ? Math.min(100, (item.count / total()) * 100) : 0;
      fill.style.width = item.count > 0 ? `max(2px, ${width.toFixed(2)}%)` : "0";
    },
  };
}
