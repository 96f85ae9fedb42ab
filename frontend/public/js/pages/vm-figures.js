/** What a VM's page derives from the answers: key figures, lines and rows. */

import { knownLook } from "../base/color.js";
import { errnoText, kindText, reasonText } from "../base/exit-words.js";
import { countText, plural, rateText } from "../base/format.js";
import { newest } from "../base/values.js";
import { isStale } from "./freshness.js";
import { latestLabel } from "./messages.js";
import { createCountsTable } from "../panels/counts-table.js";

/** @typedef {import("./vm.js").Answer} Answer */
/** @typedef {import("../base/types.js").VmDetail} VmDetail */
/** @typedef {import("../charts/series.js").NamedLine} NamedLine */

/**
 * @param {Answer} answer
 * @returns {import("../panels/figures.js").Figure[]}
 */
export function figuresOf({ vm, whole, request }) {
  // What has ended has no rate now, and of what is not read any more it is not known.
  const hasNow = vm.ended_at === null && !isStale(whole.coverage, request);
  const latest = hasNow ? newest(whole.series[0]?.values ?? []) : null;
  // Of time that was not covered nothing is known, which is not zero.
  const known = (/** @type {number} */ count) => countText(whole.coverage.length > 0 ? count : null);
  return [
    {
      key: "rate",
      label: latestLabel("Guest faults", request.view),
      value: rateText(latest),
      unit: "/s",
      title: "In the newest covered step",
    },
    {
      key: "mean",
      label: "Mean rate",
      value: rateText(vm.fault_rate),
      unit: "/s",
      title: "Per second of covered time in the range",
    },
    { key: "faults", label: "Guest faults", value: known(vm.faults), title: "In the range, exact" },
    {
      key: "exits",
      label: "Memory-fault exits",
      value: known(vm.memory_fault_exits),
      note: `${rateText(vm.exit_rate)} /s`,
      tone: vm.memory_fault_exits > 0 ? "warn" : "",
    },
    {
      key: "bare",
      label: "Bare error exits",
      value: known(vm.bare_error_exits),
      tone: vm.bare_error_exits > 0 ? "bad" : "",
    },
    {
      key: "untold",
      label: "Unclassified error exits",
      value: known(vm.untold_error_exits),
      tone: vm.untold_error_exits > 0 ? "bad" : "",
      title: "Memory-fault exits or bare errors, of a recording that does not show which",
    },
    { key: "vcpus", label: "vCPUs that counted", value: countText(vm.vcpu_count) },
  ];
}

/**
 * The kinds of exits as lines.
 * @param {Pick<Answer, "exitRates">} answer
 * @returns {NamedLine[]}
 */
export function exitLines({ exitRates }) {
  return exitRates.map(({ kind, rates }) => exitLine(kind, kindText(kind), rates));
}

/** @param {string} key @param {string} label @param {import("../base/types.js").Rates} rates @returns {NamedLine} */
function exitLine(key, label, rates) {
  const series = rates.series[0];
  const values = series?.values ?? rates.times_ms.map(() => null);
  const look = knownLook(key) ?? { colour: "series-1", dash: "solid" };
  return { key, label, values, total: series?.total ?? 0, ...look };
}

export function createReasons() {
  return createCountsTable({
    id: "reasons",
    title: "All exits to user space",
    note: "by reason and error",
    empty: "No exit to user space in this range.",
    columns: [{ label: "Reason" }, { label: "Error" }, { label: "Count", kind: "number" }],
  });
}

export function createVcpus() {
  return createCountsTable({
    id: "vcpus",
    title: "vCPUs",
    note: "totals in the range",
    empty: "No vCPU has counted anything.",
    columns: [
      { label: "vCPU" },
      { label: "Faults", kind: "number" },
      { label: "MF exits", kind: "number" },
      { label: "Bare errors", kind: "number" },
      { label: "Unclassified", kind: "number" },
    ],
  });
}

/**
 * @param {VmDetail} vm
 * @returns {import("../panels/counts-table.js").TableRow[]}
 */
export function reasonRows(vm) {
  return vm.exit_reasons.map((item) => ({
    key: `${item.reason} ${item.errno}`,
    cells: [
      reasonText(item),
      { text: errnoText(item) },
      { text: countText(item.count), title: plural(item.count, "exit") },
    ],
  }));
}

/**
 * @param {VmDetail} vm
 * @returns {import("../panels/counts-table.js").TableRow[]}
 */
export function vcpuRows(vm) {
  return vm.vcpus.map((item) => ({
    key: String(item.vcpu),
    cells: [
      { text: String(item.vcpu) },
      { text: countText(item.faults) },
      { text: countText(item.memory_fault_exits), mark: item.memory_fault_exits > 0 },
      { text: countText(item.bare_error_exits), mark: item.bare_error_exits > 0 },
      { text: countText(item.untold_error_exits), mark: item.untold_error_exits > 0 },
    ],
  }));
}
