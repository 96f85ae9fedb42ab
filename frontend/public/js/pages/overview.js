/** All VMs: how often they fault, one chart and one table. */

import { getRates, getVms } from "../api.js";
import { stickyPlaces } from "../base/color.js";
import { el, setShown, setText } from "../base/dom.js";
import { countText, rateText } from "../base/format.js";
import { parseSort, sorted } from "../base/sort.js";
import { newest, sumOf } from "../base/values.js";
import { searchText, vmTitle } from "../base/vm.js";
import { isUncovered } from "../charts/gaps.js";
import { biggestKeys, namedLines, quietValues } from "../charts/series.js";
import { sparkShape } from "../charts/spark.js";
import { createFigures } from "../panels/figures.js";
import { createMessage } from "../panels/message.js";
import { SPARK, createVmTable } from "../panels/vm-table.js";
import { viewOf } from "../state.js";
import { createRateChart } from "./rate-chart.js";
import { emptyMessage, uncoveredMessage } from "./messages.js";

/** @typedef {import("../base/types.js").Vm} Vm */
/** @typedef {import("../base/types.js").Rates} Rates */
/** @typedef {import("./context.js").Request} Request */
/** @typedef {{vms: Vm[], hasMore: boolean, byVm: Rates, split: Rates, by: string, request: Request}} Answer */

const MOST_LINES = 7;
const PAGE_SIZE = 500;

/** @type {[string, string][]} */
const SPLITS = [["vm", "VM"], ["access", "access"], ["level", "level"], ["arch", "arch"]];

/** @type {Record<string, (row: import("../panels/vm-table.js").VmRow) => string | number | null>} */
const SORT_VALUES = {
  name: ({ vm }) => vmTitle(vm),
  host: ({ vm }) => vm.host,
  arch: ({ vm }) => vm.arch,
  latest: ({ vm, latest }) => (vm.ended_at === null ? latest : -1),
  rate: ({ vm }) => vm.fault_rate,
  faults: ({ vm }) => vm.faults,
  exits: ({ vm }) => vm.memory_fault_exits,
  exit_rate: ({ vm }) => vm.exit_rate,
  bare: ({ vm }) => vm.bare_error_exits,
};

/**
 * @param {import("./context.js").Context} context
 * @returns {import("./context.js").Page}
 */
export function createOverview(context) {
  const { state } = context;
  const figures = createFigures();
  const chart = createRateChart(context, { id: "faults", title: "Guest faults", splits: SPLITS, onCursor: () => undefined });
  const table = createVmTable({ onSort: sortBy, onOpen: (href) => openHref(href) });
  /** @type {HTMLInputElement} */
  const filter = el("input", {
    type: "search", id: "filter", placeholder: "Filter by name, UUID, pid, VMM, host", "aria-label": "Filter VMs",
    "aria-keyshortcuts": "/", input: () => state.set({ filter: filter.value }, { replace: true }),
  });
  const count = el("span", { class: "unit", role: "status" });
  const message = createMessage();
  const more = el("button", { type: "button", class: "button", hidden: true, click: listMore }, "List older VMs too");
  const content = el("div", { class: "page-content" },
    el("section", { class: "card figures-card", "aria-label": "Key figures" }, figures.root), chart.root,
    el("section", { class: "card", "aria-labelledby": "vms-title" },
      el("header", { class: "card-head" }, el("h2", { id: "vms-title" }, "Virtual machines"), count,
        el("span", { class: "spacer" }), el("div", { class: "filter" }, filter, el("kbd", { "aria-hidden": "true" }, "/"))),
      table.root, el("div", { class: "more" }, more)));
  content.hidden = true;
  const root = el("div", { class: "page overview" }, el("h1", { class: "sr-only" }, "All VMs"), message.root, content);
  const places = stickyPlaces();
  let pages = 1;
  /** @type {Answer | null} */
  let answer = null;

  function listMore() {
    pages += 1;
    context.refresh();
  }

  /** @param {string} column */
  function sortBy(column) {
    const sort = parseSort(state.get().sort);
    const descending = sort.column === column ? !sort.descending : typeof SORT_VALUES[column] === "function" && !isText(column);
    state.set({ sort: `${descending ? "-" : ""}${column}` }, { replace: true });
  }

  /** @param {string} href */
  function openHref(href) {
    context.open(viewOf(state.get(), /^\/vms\/([^?]+)/.exec(href)?.[1] ?? null));
  }

  /** @param {Request} request */
  async function load(request) {
    const { range, stepMs, signal } = request;
    const by = splitOf(request.view.by);
    const rates = (/** @type {string} */ split) => getRates(range, { metric: "faults", by: split, stepMs }, signal);
    const first = rates("vm");
    const [listed, byVm, split] = await Promise.all([
      listVms(request, pages), first, by === "vm" ? first : rates(by),
    ]);
    answer = { ...listed, byVm, split, by, request };
    show();
  }

  function show() {
    if (!answer) return;
    const { vms, hasMore, request } = answer;
    const view = state.get();
    setShown(content, true);
    if (document.activeElement !== filter) filter.value = view.filter;
    const rows = rowsOf(answer);
    const wanted = rows.filter((row) => searchText(row.vm).includes(view.filter.trim().toLowerCase()));
    const sort = parseSort(view.sort);
    const valueOf = SORT_VALUES[sort.column] ?? (() => null);
    table.update(sorted(wanted, valueOf, sort.descending, (row) => `${vmTitle(row.vm)} ${row.vm.id}`), sort, request.now);
    setText(count, wanted.length === vms.length ? countText(vms.length) : `${countText(wanted.length)} of ${countText(vms.length)}`);
    setShown(more, hasMore);
    figures.update(figuresOf(answer));
    showChart(answer);
    message.update(messageOf(answer));
  }

  /** @param {Answer} shown */
  function showChart({ vms, split, by, request }) {
    const names = new Map(vms.map((vm) => [vm.id, vmTitle(vm)]));
    const labelOf = (/** @type {import("../base/types.js").Series} */ series) =>
      by === "vm" ? names.get(series.key) ?? series.key : series.label;
    const lines = namedLines(split.series, places(biggestKeys(split.series, MOST_LINES)), labelOf);
    chart.update({ rates: split, lines, stacked: true, now: request.now, message: "" }, by);
  }

  /** @param {Answer} shown */
  function messageOf({ vms, byVm, request }) {
    if (isUncovered(byVm.coverage, request.range)) return uncoveredMessage(request, state);
    return vms.some((vm) => vm.faults > 0) ? null : emptyMessage("No VM has faulted in this range.", request, state);
  }

  /** @param {Answer} shown */
  function rowsOf({ vms, byVm }) {
    const series = new Map(byVm.series.map((one) => [one.key, one.values]));
    return vms.map((vm) => {
      const values = series.get(vm.id)
        ?? quietValues(byVm.times_ms, byVm.step_ms, byVm.coverage.filter((span) => span.host === vm.host));
      const href = context.hrefOf(viewOf(state.get(), vm.id));
      return { vm, latest: newest(values), spark: sparkShape(values, SPARK.width, SPARK.height), href };
    });
  }

  return {
    root, load, show,
    tell: (next) => (answer ? undefined : message.update(next)),
    title: () => "kvmfaults",
    destroy: chart.destroy,
  };
}

/** @param {string} by */
function splitOf(by) {
  return SPLITS.some(([known]) => known === by) ? by : "vm";
}

/** @param {string} column */
const isText = (column) => ["name", "host", "arch"].includes(column);

/** @param {Request} request @param {number} pages */
async function listVms({ range, signal }, pages) {
  /** @type {Vm[]} */
  const vms = [];
  /** @type {string | null} */
  let cursor = null;
  for (let page = 0; page < pages; page += 1) {
    /** @type {import("../base/types.js").VmPage} */
    const found = await getVms(range, { limit: PAGE_SIZE, cursor }, signal);
    vms.push(...found.items);
    cursor = found.next_cursor;
    if (cursor === null) break;
  }
  return { vms, hasMore: cursor !== null };
}

/** @param {Answer} answer @returns {import("../panels/figures.js").Figure[]} */
function figuresOf({ vms, hasMore, byVm }) {
  const sum = (/** @type {(vm: Vm) => number} */ of) => vms.reduce((total, vm) => total + of(vm), 0);
  const running = vms.filter((vm) => vm.ended_at === null).length;
  const latest = sumOf(byVm.series.map((series) => newest(series.values))) ?? 0;
  const now = byVm.coverage.length > 0 ? latest : null;
  const note = hasMore ? `of the newest ${countText(vms.length)} VMs` : "";
  return [
    { key: "rate", label: "Guest faults now", value: rateText(now), unit: "/s", title: "All VMs, in the newest covered step" },
    { key: "faults", label: "Guest faults", value: countText(sum((vm) => vm.faults)), note, title: "In the range, exact" },
    { key: "exits", label: "Memory-fault exits", value: countText(sum((vm) => vm.memory_fault_exits)), note },
    { key: "bare", label: "Bare error exits", value: countText(sum((vm) => vm.bare_error_exits)), note },
    { key: "vms", label: "VMs running", value: countText(running), unit: ` of ${countText(vms.length)}`, title: "Of the VMs that existed in the range" },
    { key: "hosts", label: "Hosts", value: countText(new Set(vms.map((vm) => vm.host)).size) },
  ];
}
