/** Memory-fault, bare error and unclassified error exits, one row each, newest first. */

import { el, setAttr, setShown, setText } from "../base/dom.js";
import { EXIT_KINDS, kindText } from "../base/exit-words.js";
import { createCalmRows } from "./calm-rows.js";
import { card } from "./card.js";
import { createExitRow } from "./exit-row.js";

/** @typedef {import("./exit-row.js").KeyedExit} KeyedExit */

/** @type {[string, string][]} */
const KINDS = [["", "All"], ...EXIT_KINDS.map((kind) => /** @type {[string, string]} */ ([kind, label(kind)]))];

/** @param {string} kind */
function label(kind) {
  const text = kindText(kind);
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

const COLUMNS = ["Time", "vCPU", "Kind", "Reason", "Error", "GPA", "Size", "Flags", "Syndrome of the fault before"];
const NUMBERS = ["vCPU", "Size"];

/**
 * @param {object} options
 * @param {(kind: string) => void} options.onKind
 * @param {() => void} options.onMore
 */
export function createExits({ onKind, onMore }) {
  const rows = createCalmRows(createExitRow);
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
  const more = el("button", { type: "button", class: "button", click: onMore }, "Load older exits");
  const segments = el("div", { class: "segments", role: "group", "aria-label": "Kind of exit" }, ...kinds);
  const about = {
    id: "exits",
    title: "Memory-fault and error exits",
    controls: [rows.held, segments],
  };
  return {
    root: card(about, table, empty, el("div", { class: "more" }, more)),
    /**
     * @param {readonly KeyedExit[]} exits
     * @param {{kind: string, hasMore: boolean, isOther: boolean}} how isOther: another question than before
     */
    update(exits, { kind, hasMore, isOther }) {
      rows.update(exits, isOther);
      kinds.forEach((button) => setAttr(button, "aria-pressed", String(button.dataset.kind === kind)));
      setShown(more, hasMore);
      setShown(table, exits.length > 0);
      setShown(empty, exits.length === 0);
      setText(empty, kind === "" ? NO_EXIT : `No ${kindText(kind)} exit in this range.`);
    },
  };
}

const NO_EXIT = "This VM made no memory-fault or error exit in this range.";
