// SPDX-License-Identifier: Apache-2.0
/** All exits by reason, and vCPUs: of a VM, or of all VMs of a guest together. */

import { countText, plural } from "../base/format.js";
import { errnoText, reasonText } from "../model/exit-words.js";
import { createCountsTable } from "../panels/tables/counts-table.js";

/** @typedef {import("../model/types.js").VmDetail} VmDetail */
/** @typedef {Pick<VmDetail, "vcpus" | "vcpu_count" | "exit_reasons" | "exits_of_other_reasons">} Counted */

export function createReasons() {
  return createCountsTable({
    id: "reasons",
    title: "All exits to user space",
    note: "by reason and error",
    empty: "No exit to user space was seen in this range.",
    columns: [{ label: "Reason" }, { label: "Error" }, { label: "Count", kind: "number" }],
  });
}

/** @param {string} [note] */
export function createVcpus(note = "totals in the range") {
  return createCountsTable({
    id: "vcpus",
    title: "vCPUs",
    note,
    empty: "No fault or exit of any vCPU is known.",
    columns: [
      { label: "vCPU" },
      { label: "Faults", kind: "number" },
      { label: "Memory-fault exits", kind: "number" },
      { label: "Bare error exits", kind: "number" },
      { label: "Unclassified error exits", kind: "number" },
    ],
  });
}

/**
 * @param {Counted} counted
 * @returns {import("../panels/tables/counts-table.js").TableRow[]}
 */
export function reasonRows(counted) {
  const rows = counted.exit_reasons.map((item) => ({
    key: `${item.reason} ${item.errno}`,
    cells: [
      reasonText(item),
      { text: errnoText(item) },
      { text: countText(item.count), title: plural(item.count, "exit") },
    ],
  }));
  const others = counted.exits_of_other_reasons;
  if (others === 0) return rows;
  const cells = [{ text: "other reasons" }, { text: "" }, { text: countText(others), title: plural(others, "exit") }];
  return [...rows, { key: "others", cells }];
}

/**
 * @param {Counted} counted
 * @returns {import("../panels/tables/counts-table.js").TableRow[]}
 */
export function vcpuRows(counted) {
  return counted.vcpus.map((item) => ({
    key: String(item.vcpu),
    cells: [
      { text: String(item.vcpu) },
      { text: countText(item.faults) },
      { text: countText(item.memory_fault_exits), mark: item.memory_fault_exits > 0 },
      { text: countText(item.bare_error_exits), mark: item.bare_error_exits > 0 },
      { text: countText(item.unclassified_error_exits), mark: item.unclassified_error_exits > 0 },
    ],
  }));
}

/** @param {Counted} counted */
export function moreVcpus(counted) {
  const left = counted.vcpu_count - counted.vcpus.length;
  return left > 0 ? `and ${plural(left, "more vCPU")}` : "";
}
