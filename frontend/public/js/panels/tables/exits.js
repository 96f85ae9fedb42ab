// SPDX-License-Identifier: Apache-2.0
/** Memory-fault, bare error and unclassified error exits, one row each, newest first. */

import { el, setAttr, setChildren, setShown, setText } from "../../base/dom.js";
import { causesOf } from "../../model/exit-causes.js";
import { EXIT_KINDS, kindText } from "../../model/exit-words.js";
import { countText } from "../../base/format.js";
import { MOST_ROWS } from "../../base/paged-list.js";
import { nameAddresses } from "./address-cell.js";
import { createCalmRows } from "./calm-rows.js";
import { card } from "../card.js";
import { withColumnNames } from "./column-names.js";
import { createExitRow } from "./exit-row.js";
import { createLoadMore } from "./load-more.js";

/** @typedef {import("./exit-row.js").KeyedExit} KeyedExit */

/** @type {[string, string][]} */
const KINDS = [["", "All"], ...EXIT_KINDS.map((kind) => /** @type {[string, string]} */ ([kind, label(kind)]))];

/** @param {string} kind */
function label(kind) {
  const text = kindText(kind);
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

const COLUMNS = ["Time", "vCPU", "Kind", "Reason", "Error", "Cause", "GPA", "Size", "Flags", "Syndrome of the fault before"];
const NUMBERS = ["vCPU", "Size"];
const FULL = `No more than ${countText(MOST_ROWS)} are listed: choose an earlier range for those before.`;

/**
 * @param {object} options
 * @param {(kind: string) => void} options.onKind
 * @param {() => Promise<void>} options.onMore
 */
export function createExits({ onKind, onMore }) {
  const rows = createCalmRows(withColumnNames(createExitRow, COLUMNS));
  const kinds = KINDS.map(([kind, label]) =>
    el("button", { type: "button", "data-kind": kind, click: () => onKind(kind) }, label),
  );
  const heads = COLUMNS.map((text) =>
    el("th", { scope: "col", class: NUMBERS.includes(text) ? "number" : "" }, text),
  );
  const table = el(
    "div",
    { class: "table-scroll" },
    el(
      "table",
      { class: "data exits", "aria-labelledby": "exits-title" },
      el("thead", {}, el("tr", {}, ...heads)),
      rows.body,
    ),
  );
  const empty = el("p", { class: "empty-note" });
  const more = createLoadMore("Load older exits", onMore);
  const causes = el("div", { class: "causes" });
  let said = "";
  const segments = el("div", { class: "segments", role: "group", "aria-label": "Kind of exit" }, ...kinds);
  const about = {
    id: "exits",
    title: "Memory-fault and error exits",
    controls: [rows.held, segments],
  };
  return {
    root: card(about, causes, table, empty, more.root),
    /**
     * @param {readonly KeyedExit[]} exits
     * @param {object} how
     * @param {string} how.kind
     * @param {number} how.pid
     * @param {boolean} how.hasMore
     * @param {boolean} how.isOther another question than before
     * @param {import("../../model/memslots.js").NameOf} [how.nameOf]
     * @param {boolean} [how.isExplained] their causes are known: the usual ones say nothing more
     */
    update(exits, { kind, pid, hasMore, isOther, nameOf = () => "", isExplained = false }) {
      const texts = isExplained ? [] : causesOf(exits, pid);
      if (texts.join() !== said) setChildren(causes, ...texts.map((text) => el("p", { class: "card-note" }, text)));
      said = texts.join();
      rows.update(exits, isOther);
      nameAddresses(rows.body, nameOf);
      kinds.forEach((button) => setAttr(button, "aria-pressed", String(button.dataset.kind === kind)));
      more.update(hasMore && exits.length < MOST_ROWS, hasMore && exits.length >= MOST_ROWS ? FULL : "");
      setShown(table, exits.length > 0);
      setShown(empty, exits.length === 0);
      setText(empty, kind === "" ? NO_EXIT : `No ${kindText(kind)} exit was seen in this range.`);
    },
  };
}

const NO_EXIT = "No memory-fault or error exit of this VM was seen in this range.";
