/** What the overview derives from the answers: rows, key figures, the state in words. */

import { exitsOf } from "../base/exit-words.js";
import { countText, rateText } from "../base/format.js";
import { parseSort } from "../base/sort.js";
import { isUncovered } from "../charts/gaps.js";
import { sparkShape } from "../charts/spark.js";
import { SPARK } from "../panels/vm-table.js";
import { aheadMessage, emptyMessage, latestLabel, uncoveredMessage } from "./messages.js";

/** @typedef {import("../base/types.js").VmPage} VmPage */
/** @typedef {import("../base/types.js").Rates} Rates */
/** @typedef {import("../panels/vm-table.js").VmRow} VmRow */
/** @typedef {import("./context.js").Request} Request */

/**
 * @typedef {object} Answer
 * @property {VmPage} vms
 * @property {Map<string, (number | null)[]>} trends by VM
 * @property {Rates} rates split as the chart is
 * @property {string} by
 * @property {import("../base/host-types.js").Ledger} ledger
 * @property {import("../base/host-events.js").ReadEvent[]} events
 * @property {Request} request
 */

const TEXT_COLUMNS = ["name", "host", "arch"];

/**
 * The sort after a click on a column: numbers begin with the highest, texts with the first.
 * @param {string} current
 * @param {string} column
 */
export function sortAfterClick(current, column) {
  const sort = parseSort(current);
  const descending = sort.column === column ? !sort.descending : !TEXT_COLUMNS.includes(column);
  return `${descending ? "-" : ""}${column}`;
}

/**
 * @param {Answer} answer
 * @param {(vm: string) => string} hrefOf
 * @returns {VmRow[]}
 */
export function rowsOf({ vms, trends }, hrefOf) {
  return vms.items.map((vm) => {
    const spark = sparkShape(trends.get(vm.id) ?? [], SPARK.width, SPARK.height);
    return { vm, spark, href: hrefOf(vm.id) };
  });
}

/**
 * @param {Answer} answer
 * @returns {import("../panels/figures.js").Figure[]}
 */
export function figuresOf({ vms: { totals }, rates, request }) {
  // Of time that was not covered nothing is known, which is not zero.
  const known = (/** @type {number} */ count) => countText(rates.coverage.length > 0 ? count : null);
  const note = request.view.filter || request.view.state ? "of the VMs found" : "";
  const title = "In the range, exact";
  return [
    {
      key: "rate",
      label: latestLabel("Guest faults", request.view),
      value: rateText(totals.rate_at_end),
      unit: "/s",
      title: "All VMs that run at the range’s end, in the newest covered step",
    },
    { key: "faults", label: "Guest faults", value: known(totals.faults), note, title },
    {
      key: "exits",
      label: "Memory-fault exits",
      value: known(totals.memory_fault_exits),
      tone: totals.memory_fault_exits > 0 ? "warn" : "",
      ...{ note, title },
    },
    {
      key: "bare",
      label: "Bare error exits",
      value: known(totals.bare_error_exits),
      tone: totals.bare_error_exits > 0 ? "bad" : "",
      ...{ note, title },
    },
    {
      key: "untold",
      label: "Unclassified error exits",
      value: known(totals.untold_error_exits),
      tone: totals.untold_error_exits > 0 ? "bad" : "",
      note,
      title: "Memory-fault exits or bare error exits, of recordings that do not show which",
    },
    {
      key: "vms",
      label: "VMs running",
      value: countText(totals.running),
      unit: ` of ${countText(totals.vms)}`,
      title: "At the range’s end, of the VMs that existed in the range",
    },
    { key: "hosts", label: "Hosts with VMs", value: countText(totals.hosts) },
  ];
}

/**
 * What is to be said where there is nothing to see.
 * @param {Answer} answer
 * @param {import("../state.js").State} state
 */
export function messageOf({ vms: { totals }, rates, request }, state) {
  if (request.range.from >= request.now) return aheadMessage(state);
  const isChosen = request.view.filter !== "" || request.view.state !== "";
  // Where no VM is as it was chosen, there is none to tell anything of; the table says so.
  if (totals.vms === 0 && isChosen) return null;
  if (isUncovered(rates.coverage, request.range)) return uncoveredMessage(request, state);
  if (totals.faults + exitsOf(totals) === 0)
    return emptyMessage("No VM has faulted in this range.", request, state);
  return null;
}
