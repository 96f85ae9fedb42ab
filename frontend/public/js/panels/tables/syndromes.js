// SPDX-License-Identifier: Apache-2.0
/** Raw words with their counts; each opens to its bits. */

import { countText, forCount, plural, shareText } from "../../base/format.js";
import { el, keyedList, setAttr, setChildren, setShown, setText } from "../../base/dom.js";
import { card } from "../card.js";
import { createLoadMore } from "./load-more.js";

/** @typedef {import("../../model/types.js").Syndrome} Syndrome */
/** @typedef {import("../../model/types.js").DecodedWord} DecodedWord */
/** @typedef {import("../../model/types.js").SyndromePage} Page */

const FIRST_ROWS = 12;

/** @param {() => Promise<void>} onMore more words are wanted */
export function createSyndromes(onMore) {
  const body = el("div", { class: "rows" });
  const empty = el("p", { class: "empty-note" }, "No syndrome in this range.");
  const all = el("button", { type: "button", class: "quiet", click: showAll, hidden: true });
  const heads = ["", "Word", "Format", "Count", "Share", "Meaning"].map((text) => el("span", {}, text));
  const more = createLoadMore("Show more words", onMore);
  const note = "the hardware’s raw words; open one to see its bits";
  const root = card(
    { id: "syndromes", title: "Syndromes", note, controls: [all] },
    el("div", { class: "syndrome-head", "aria-hidden": "true" }, ...heads),
    body,
    empty,
    more.root,
  );
  let total = 0;
  let isAll = false;
  /** @type {Page} */
  let page = { items: [], words: 0, count: 0, counted: null, warnings: [], warnings_left_out: 0, next_cursor: null };
  const show = keyedList(body, keyOf, () => createSyndromeRow(() => total));

  function showAll() {
    isAll = !isAll;
    render();
  }

  function render() {
    const { items, words } = page;
    show(isAll ? items : items.slice(0, FIRST_ROWS));
    setShown(all, items.length > FIRST_ROWS);
    const listed = `${words > items.length ? "The first" : "All"} ${countText(items.length)}`;
    setText(all, isAll ? `Only the first ${FIRST_ROWS}` : listed);
    setShown(empty, items.length === 0);
    more.update(isAll && page.next_cursor !== null, isAll ? leftText(page) : "");
  }

  return {
    root,
    /** @param {Page} next @param {number} whole */
    update(next, whole) {
      page = next;
      total = whole;
      render();
    },
  };
}

/**
 * Which words are not listed, and what they come to.
 * @param {Page} page
 */
export function leftText({ items, words, count }) {
  const left = words - items.length;
  if (left <= 0) return "";
  const faults = count - items.reduce((sum, item) => sum + item.count, 0);
  return `and ${plural(left, "more word")}, ${forCount(left, "with", "together with")} ${plural(faults, "fault")}`;
}

/** @param {Syndrome} item */
function keyOf(item) {
  return `${item.format ?? "none"} ${item.word ?? ""}`;
}

/** @param {() => number} total @returns {import("../../base/dom.js").Row<Syndrome>} */
function createSyndromeRow(total) {
  const word = el("code", {});
  const format = el("span", { class: "badge outline" });
  const count = el("span", { class: "number" });
  const share = el("span", { class: "number muted" });
  const summary = el("span", { class: "syndrome-summary" });
  const bits = el("div", { class: "bits" });
  const root = el(
    "details",
    { class: "syndrome" },
    el("summary", {}, word, el("span", {}, format), count, share, summary),
    bits,
  );
  /** @type {Syndrome | null} */
  let item = null;
  root.addEventListener("toggle", () => {
    if (root.open && bits.childElementCount === 0 && item) setChildren(bits, ...bitTable(item.decoded));
  });
  return {
    root,
    update(next) {
      item = next;
      setText(word, next.word ?? "none");
      setText(format, next.format ?? "no syndrome");
      setText(count, countText(next.count));
      setText(share, shareText(next.count, total()));
      setText(summary, next.decoded?.summary ?? "the kernel showed no syndrome for these faults");
      setAttr(root, "data-word", next.word);
    },
  };
}

/** @param {DecodedWord | null} decoded */
function bitTable(decoded) {
  if (!decoded) return [el("p", { class: "empty-note" }, "There is no word to decode.")];
  const isSet = (/** @type {import("../../model/types.js").WordField} */ field) => !/^0x0*$/.test(field.value);
  const rows = [...decoded.fields]
    .sort((a, b) => a.low - b.low)
    .map((field) =>
      el(
        "tr",
        { class: isSet(field) && field.defined ? "set" : "clear" },
        el("td", { class: "number" }, field.bits),
        el("td", {}, el("code", {}, field.name)),
        el("td", {}, el("code", {}, field.value)),
        el("td", {}, field.meaning, field.proposed ? el("span", { class: "badge warn" }, "proposed") : null),
        el("td", { class: "source" }, field.source),
      ),
    );
  const unknown = decoded.unknown_bits.map((bit) =>
    el(
      "tr",
      { class: "set unknown" },
      el("td", { class: "number" }, String(bit)),
      el("td", {}, el("code", {}, `bit ${bit}`)),
      el("td", {}, el("code", {}, "0x1")),
      el("td", {}, "no meaning known for this bit"),
      el("td", { class: "source" }, ""),
    ),
  );
  const head = ["Bits", "Field", "Value", "Meaning", "Source"].map((text) =>
    el("th", { scope: "col" }, text),
  );
  return [
    el(
      "div",
      { class: "table-scroll" },
      el(
        "table",
        { class: "data" },
        el("thead", {}, el("tr", {}, ...head)),
        el("tbody", {}, ...rows, ...unknown),
      ),
    ),
  ];
}
