/** What the overview derives from the answers: rows and their order, key figures, the state in words. */

import { getHostEvents, getLedger, getVms } from "../api.js";
import { exitsOf } from "../base/exit-words.js";
import { countText, rateText } from "../base/format.js";
import { readEvents } from "../base/host-events.js";
import { parseSort, sorted } from "../base/sort.js";
import { newest, sumOf } from "../base/values.js";
import { searchText, vmTitle } from "../base/vm.js";
import { isUncovered } from "../charts/gaps.js";
import { quietValues } from "../charts/series.js";
import { sparkShape } from "../charts/spark.js";
import { SPARK } from "../panels/vm-table.js";
import { isStale } from "./freshness.js";
import { emptyMessage, latestLabel, uncoveredMessage } from "./messages.js";

/** @typedef {import("../base/types.js").Vm} Vm */
/** @typedef {import("../base/types.js").Rates} Rates */
/** @typedef {import("../panels/vm-table.js").VmRow} VmRow */
/** @typedef {import("./context.js").Request} Request */

/**
 * @typedef {object} Answer
 * @property {Vm[]} vms
 * @property {boolean} hasMore
 * @property {Rates} byVm
 * @property {Rates} split the same faults, split as the chart is
 * @property {string} by
 * @property {import("../base/host-types.js").Ledger} ledger
 * @property {import("../base/host-events.js").ReadEvent[]} events
 * @property {Request} request
 */

const PAGE_SIZE = 500;
const MOST_EVENTS = 500;
/** As many VMs as one question for the ledger may name. */
const MOST_ACCOUNTS = 100;

/** @type {Record<string, (row: VmRow) => string | number | null>} */
const SORT_VALUES = {
  name: ({ vm }) => vmTitle(vm),
  host: ({ vm }) => vm.host,
  arch: ({ vm }) => vm.arch,
  latest: ({ latest }) => latest,
  rate: ({ vm }) => vm.fault_rate,
  faults: ({ vm }) => vm.faults,
  exits: ({ vm }) => vm.memory_fault_exits,
  exit_rate: ({ vm }) => vm.exit_rate,
  bare: ({ vm }) => vm.bare_error_exits,
  untold: ({ vm }) => vm.untold_error_exits,
};

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
export function rowsOf({ vms, byVm, request }, hrefOf) {
  const series = new Map(byVm.series.map((one) => [one.key, one.values]));
  const stale = staleHosts(byVm, request);
  return vms.map((vm) => {
    const values = series.get(vm.id) ?? (byVm.others && vm.faults > 0 ? [] : quietOf(vm, byVm));
    const spark = sparkShape(values, SPARK.width, SPARK.height);
    // What has ended has no rate now, and of what is not read any more it is not known.
    const latest = vm.ended_at === null && !stale.has(vm.host) ? newest(values) : null;
    return { vm, latest, spark, href: hrefOf(vm.id) };
  });
}

/**
 * The hosts of which nothing new has come for long.
 * @param {Rates} rates
 * @param {Request} request
 */
function staleHosts({ coverage }, request) {
  const hosts = new Set(coverage.map((span) => span.host));
  const isStaleHost = (/** @type {string} */ host) =>
    isStale(
      coverage.filter((span) => span.host === host),
      request,
    );
  return new Set([...hosts].filter(isStaleHost));
}

/** @param {Vm} vm @param {Rates} rates */
function quietOf(vm, { times_ms: times, step_ms: stepMs, coverage }) {
  const own = coverage.filter((span) => span.host === vm.host);
  return quietValues(times, stepMs, own);
}

/**
 * The rows that a filter leaves, in the order of a sort.
 * @param {readonly VmRow[]} rows
 * @param {string} filter
 * @param {string} sort
 */
export function wantedRows(rows, filter, sort) {
  const text = filter.trim().toLowerCase();
  const { column, descending } = parseSort(sort);
  const kept = rows.filter((row) => searchText(row.vm).includes(text));
  return sorted(kept, SORT_VALUES[column] ?? (() => null), descending, ({ vm }) => `${vmTitle(vm)} ${vm.id}`);
}

/**
 * The VMs of a range: those that run first, then the newest.
 * @param {Request} request
 * @param {number} pages how many pages at most
 */
export async function listVms({ range, signal }, pages) {
  // One that ends meanwhile may be on two pages.
  /** @type {Map<string, Vm>} */
  const vms = new Map();
  /** @type {string | null} */
  let cursor = null;
  for (let page = 0; page < pages; page += 1) {
    /** @type {import("../base/types.js").VmPage} */
    const found = await getVms(range, { limit: PAGE_SIZE, cursor }, signal);
    for (const vm of found.items) vms.set(vm.id, vm);
    cursor = found.next_cursor;
    if (cursor === null) break;
  }
  return { vms: [...vms.values()], hasMore: cursor !== null };
}

/**
 * What happened to the hosts of VMs beside what was counted: losses and events.
 *
 * Losses are the hosts', and come with the account of any one of a host's VMs: all accounts would be much more.
 * @param {readonly Vm[]} vms
 * @param {Request} request
 */
export async function askHosts(vms, { range, stepMs, signal }) {
  const oneOfEach = new Map(vms.map((vm) => [vm.host, vm.id]));
  const asked = [...oneOfEach.values()].slice(0, MOST_ACCOUNTS);
  const [ledger, events] = await Promise.all([
    asked.length > 0 ? getLedger(range, { stepMs, vms: asked }, signal) : NO_LEDGER,
    getHostEvents(range, { limit: MOST_EVENTS }, signal),
  ]);
  return { ledger: { ...ledger, vms: [] }, events: readEvents(events.items) };
}

/** @type {import("../base/host-types.js").Ledger} */
const NO_LEDGER = { step_ms: 1000, times_ms: [], vms: [], hosts: [] };

/**
 * @param {Answer} answer
 * @returns {import("../panels/figures.js").Figure[]}
 */
export function figuresOf({ vms, hasMore, byVm, request }) {
  // Of time that was not covered nothing is known, which is not zero.
  const isKnown = byVm.coverage.length > 0;
  const count = (/** @type {(vm: Vm) => number} */ of) =>
    countText(isKnown ? vms.reduce((total, vm) => total + of(vm), 0) : null);
  // What has ended has no rate now. Those that run are listed first: others than these may run only after them.
  const ended = new Set(vms.filter((vm) => vm.ended_at !== null).map((vm) => vm.id));
  const running = vms.length - ended.size;
  const mayMoreRun = hasMore && ended.size === 0;
  const hostOf = new Map(vms.map((vm) => [vm.id, vm.host]));
  const stale = staleHosts(byVm, request);
  const lines = byVm.series.filter(({ key }) => {
    const host = hostOf.get(key);
    return host === undefined ? mayMoreRun : !ended.has(key) && !stale.has(host);
  });
  const counted = byVm.others ? [...lines, byVm.others] : lines;
  const latest = isStale(byVm.coverage, request)
    ? null
    : (sumOf(counted.map(({ values }) => newest(values))) ?? 0);
  const hosts = new Set(vms.map((vm) => vm.host)).size;
  const note = hasMore ? `of the ${countText(vms.length)} VMs listed` : "";
  const title = "In the range, exact";
  return [
    {
      key: "rate",
      label: latestLabel("Guest faults", request.view),
      value: rateText(isKnown ? latest : null),
      unit: "/s",
      title: "All running VMs, in the newest covered step",
    },
    { key: "faults", label: "Guest faults", value: count((vm) => vm.faults), note, title },
    { key: "exits", label: "Memory-fault exits", value: count((vm) => vm.memory_fault_exits), note, title },
    { key: "bare", label: "Bare error exits", value: count((vm) => vm.bare_error_exits), note, title },
    {
      key: "untold",
      label: "Unclassified error exits",
      value: count((vm) => vm.untold_error_exits),
      note,
      title: "Memory-fault exits or bare errors, of recordings that do not show which",
    },
    {
      key: "vms",
      label: "VMs running",
      value: countText(running) + (mayMoreRun ? "+" : ""),
      unit: ` of ${countText(vms.length)}${hasMore ? "+" : ""}`,
      title: "Of the VMs that existed in the range",
    },
    { key: "hosts", label: "Hosts", value: countText(hosts) },
  ];
}

/**
 * What is to be said where there is nothing to see.
 * @param {Answer} answer
 * @param {import("../state.js").State} state
 */
export function messageOf({ vms, byVm, request }, state) {
  if (isUncovered(byVm.coverage, request.range)) return uncoveredMessage(request, state);
  const isQuiet = vms.every((vm) => vm.faults + exitsOf(vm) === 0);
  return isQuiet ? emptyMessage("No VM has faulted in this range.", request, state) : null;
}
