// SPDX-License-Identifier: Apache-2.0
/** The table of VMs: sortable, a small line each. Its rows hold still while they are being read. */

import { parseSort } from "../../base/sort.js";
import { el, keyedList, setAttr, setShown, setText } from "../../base/dom.js";
import { isBeingRead } from "../being-read.js";
import { createVmRow } from "./vm-row.js";

/** @typedef {import("./vm-row.js").VmRow} VmRow */

export { SPARK } from "./vm-row.js";

/** By the names that the server sorts by, "" for what is not sorted by. */
/** @type {{column: string, label: string, title: string, number: boolean}[]} */
const COLUMNS = [
  { column: "name", label: "VM", title: "Name, kind of VMM, process id and UUID", number: false },
  { column: "host", label: "Host", title: "The host that it runs on", number: false },
  { column: "arch", label: "Arch", title: "Architecture", number: false },
  {
    column: "rate_at_end",
    label: "",
    title: "Guest faults per second in the newest covered step; none of a VM that had ended",
    number: true,
  },
  {
    column: "fault_rate",
    label: "Faults/s mean",
    title: "Guest faults per second of covered time in the range",
    number: true,
  },
  {
    column: "",
    label: "Trend",
    title: "Faults per second over the range; each line has its own scale",
    number: false,
  },
  { column: "faults", label: "Faults", title: "Guest faults in the range", number: true },
  {
    column: "memory_fault_exits",
    label: "Memory-fault exits",
    title: "Exits with KVM_EXIT_MEMORY_FAULT in the range",
    number: true,
  },
  {
    column: "exit_rate",
    label: "per s",
    title: "Memory-fault exits per second of covered time",
    number: true,
  },
  {
    column: "bare_error_exits",
    label: "Bare error exits",
    title: "KVM_RUN failed with EFAULT and no annotated exit",
    number: true,
  },
  {
    column: "unclassified_error_exits",
    label: "Unclassified error exits",
    title: "Error exits of a recording that does not show the reason: memory-fault or bare error exits",
    number: true,
  },
];

/**
 * @param {object} options
 * @param {(column: string) => void} options.onSort
 * @param {(vm: string) => void} options.onOpen
 */
export function createVmTable({ onSort, onOpen }) {
  const body = el("tbody", {});
  const heads = COLUMNS.map((column) => headCell(column, onSort));
  const latest = COLUMNS.findIndex(({ column }) => column === "rate_at_end");
  const empty = el("p", { class: "empty-note" });
  const held = el("button", { type: "button", class: "held", click: showNewest, hidden: true }, "New order – show");
  const root = el(
    "div",
    { class: "table-scroll" },
    el(
      "table",
      { class: "data vms", "aria-label": "Virtual machines" },
      el("thead", {}, el("tr", {}, ...heads)),
      body,
    ),
    empty,
  );
  const show = keyedList(
    body,
    (/** @type {VmRow} */ row) => row.vm.id,
    () => createVmRow(onOpen),
  );
  /** @type {VmRow[]} */
  let newest = [];
  /** @type {VmRow[]} */
  let shown = [];
  let question = "";
  let total = 0;

  function showNewest() {
    setShown(held, false);
    show(newest);
    shown = newest;
  }

  // The order stays, and so does who is in it; what is known of each is the newest.
  function hold() {
    const known = new Map(newest.map((row) => [row.vm.id, row]));
    shown = shown.map((row) => known.get(row.vm.id) ?? row);
    show(shown);
    setShown(held, shown.some((row, at) => row.vm.id !== newest[at]?.vm.id) || shown.length !== newest.length);
  }

  body.addEventListener("pointerleave", () => !isBeingRead(body) && !held.hidden && showNewest());
  return {
    root,
    held,
    /**
     * @param {VmRow[]} rows in the order to show
     * @param {object} about
     * @param {string} about.sort
     * @param {string} about.question what the rows answer: to another one they come at once
     * @param {number} about.total how many VMs were found, listed or not
     * @param {boolean} about.isFiltered there may be VMs beside these
     * @param {string} about.latestLabel what the newest rate is called
     */
    update(rows, about) {
      const sort = parseSort(about.sort);
      setText(empty, about.isFiltered ? "No VM matches the filter." : "No VM is known in this range.");
      setShown(empty, rows.length === 0);
      setText(/** @type {Element} */ (heads[latest]?.firstElementChild), about.latestLabel);
      COLUMNS.forEach(({ column }, at) => {
        const isSorted = column !== "" && column === sort.column;
        setAttr(
          /** @type {Element} */ (heads[at]),
          "aria-sort",
          column === "" ? null : isSorted ? (sort.descending ? "descending" : "ascending") : "none",
        );
      });
      root.classList.toggle("none-unclassified", rows.every(({ vm }) => vm.unclassified_error_exits === 0));
      newest = rows;
      total = about.total;
      const isSame = about.question === question;
      question = about.question;
      if (isSame && shown.length > 0 && isBeingRead(body)) hold();
      else showNewest();
    },
    /** Open the only VM there is, if it is the only one. */
    openOnly() {
      const [only] = newest;
      if (only && total === 1) onOpen(only.vm.id);
    },
  };
}

/** @param {typeof COLUMNS[number]} column @param {(column: string) => void} onSort */
function headCell({ column, label, title, number }, onSort) {
  const name = column === "" ? label : el("button", { type: "button", click: () => onSort(column) }, label);
  return el("th", { scope: "col", class: `col-${column || "trend"}${number ? " number" : ""}`, title }, name);
}
