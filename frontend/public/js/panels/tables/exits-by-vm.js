// SPDX-License-Identifier: Apache-2.0
/** Which VMs exited, how often, first and last, with a link to each one's page. */

import { countText, plural } from "../../base/format.js";
import { el, keyedList, setAttr, setShown, setText } from "../../base/dom.js";
import { dateText, durationText, whenText } from "../../base/time.js";
import { kindText } from "../../model/exit-words.js";
import { card } from "../card.js";

/** @typedef {import("../../model/exits-by-vm.js").VmExits} VmExits */
/** @typedef {VmExits & {why: string, href: string, stepMs: number, now: number}} ExitsRow */

const COLUMNS = ["VM", "Kind", "Exits", "First", "Last", "Causes of the VM’s exits"];
const NUMBERS = ["Exits"];
const numberOf = (/** @type {string} */ column) => (NUMBERS.includes(column) ? "number" : "");

/** @param {(vm: string) => void} onOpen */
export function createExitsByVm(onOpen) {
  const body = el("tbody", {});
  const heads = COLUMNS.map((text) => el("th", { scope: "col", class: numberOf(text) }, text));
  const rest = el("p", { class: "empty-note", hidden: true });
  const table = el(
    "table",
    { class: "data", "aria-labelledby": "exits-by-vm-title" },
    el("thead", {}, el("tr", {}, ...heads)),
    body,
  );
  const root = card(
    { id: "exits-by-vm", title: "Exits by VM", note: "the last to exit first" },
    el("div", { class: "table-scroll" }, table),
    rest,
  );
  const show = keyedList(
    body,
    (/** @type {ExitsRow} */ row) => `${row.vm} ${row.kind}`,
    () => createRow(onOpen),
  );
  return {
    root,
    /** @param {readonly ExitsRow[]} rows @param {number} unnamed VMs that are not listed */
    update(rows, unnamed) {
      show(rows);
      setText(rest, unnamed > 0 ? `and ${plural(unnamed, "more VM")}` : "");
      setShown(rest, unnamed > 0);
    },
  };
}

/** @param {(vm: string) => void} onOpen @returns {import("../../base/dom.js").Row<ExitsRow>} */
function createRow(onOpen) {
  let id = "";
  const link = el("a", {
    click: (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      onOpen(id);
    },
  });
  const [kind, count, first, last, why] = COLUMNS.slice(1).map((text) => el("td", { class: numberOf(text) }));
  return {
    root: el("tr", {}, el("td", {}, link), kind, count, first, last, why),
    update(row) {
      id = row.vm;
      setText(link, row.label);
      setAttr(link, "href", row.href);
      if (kind) setText(kind, kindText(row.kind));
      if (why) setText(why, row.why);
      if (count) setText(count, countText(row.count));
      if (first) showStep(first, row.firstMs, row);
      if (last) showStep(last, row.lastMs, row);
    },
  };
}

/** @param {HTMLElement} cell @param {number} timeMs @param {ExitsRow} row */
function showStep(cell, timeMs, { stepMs, now }) {
  setText(cell, whenText(timeMs, now));
  setAttr(cell, "title", `in the ${durationText(stepMs)} from ${dateText(timeMs)} on`);
}
