/** All VMs: how often they fault, one chart and one table. */

import { getRates } from "../api.js";
import { stickyPlaces } from "../base/color.js";
import { el, setShown, setText } from "../base/dom.js";
import { countText } from "../base/format.js";
import { namesOf } from "../base/vm.js";
import { biggestKeys, namedLines } from "../charts/series.js";
import { card } from "../panels/card.js";
import { createFigures } from "../panels/figures.js";
import { createMessage } from "../panels/message.js";
import { createVmTable } from "../panels/vm-table.js";
import { viewOf } from "../state.js";
import {
  askHosts,
  figuresOf,
  listVms,
  messageOf,
  rowsOf,
  sortAfterClick,
  wantedRows,
} from "./overview-data.js";
import { latestLabel } from "./messages.js";
import { createRateChart } from "./rate-chart.js";

/** @typedef {import("./context.js").Request} Request */
/** @typedef {import("./overview-data.js").Answer} Answer */

const MOST_LINES = 7;
/** As many VMs as have a trend in the table. */
const MOST_SERIES = 1000;

/** @type {[string, string][]} */
const SPLITS = [
  ["vm", "VM"],
  ["access", "access"],
  ["level", "level"],
  ["arch", "arch"],
];

/**
 * @param {import("./context.js").Context} context
 * @returns {import("./context.js").Page}
 */
export function createOverview(context) {
  const { state } = context;
  let pages = 1;
  const view = createView(context, () => {
    pages += 1;
    context.refresh();
  });
  /** @type {Answer | null} */
  let answer = null;

  /** @param {Request} request */
  async function load(request) {
    const { range, stepMs, signal } = request;
    const by = SPLITS.some(([known]) => known === request.view.by) ? request.view.by : "vm";
    const rates = (/** @type {string} */ split) =>
      getRates(range, { metric: "faults", by: split, stepMs, most: MOST_SERIES }, signal);
    const whole = rates("vm");
    const listing = listVms(request, pages);
    const [listed, byVm, split, hosts] = await Promise.all([
      listing,
      whole,
      by === "vm" ? whole : rates(by),
      listing.then(({ vms }) => askHosts(vms, request)),
    ]);
    answer = { ...listed, ...hosts, byVm, split, by, request };
    show();
  }

  function show() {
    if (!answer) return;
    view.show(answer);
    view.message.update(messageOf(answer, state));
  }

  return {
    root: view.root,
    load,
    show,
    tell: (next) => (answer ? undefined : view.message.update(next)),
    title: () => "kvmfaults",
    destroy: view.chart.destroy,
  };
}

/**
 * @param {import("./context.js").Context} context
 * @param {() => void} listMore
 */
function createView(context, listMore) {
  const { state } = context;
  const figures = createFigures();
  const chart = createRateChart(context, {
    id: "faults",
    title: "Guest faults",
    subject: "all faults",
    splits: SPLITS,
    onCursor: () => undefined,
  });
  const table = createVmTable({
    onSort: (column) => state.set({ sort: sortAfterClick(state.get().sort, column) }, { replace: true }),
    onOpen: (vm) => context.open(viewOf(state.get(), vm)),
  });
  const filter = createFilter(state);
  const search = el("div", { class: "filter" }, filter, el("kbd", { "aria-hidden": "true" }, "/"));
  const count = el("span", { class: "unit", role: "status" });
  const more = el("button", { type: "button", class: "button", click: listMore }, "List older VMs too");
  const message = createMessage();
  const content = el(
    "div",
    { class: "page-content", hidden: true },
    el("section", { class: "card figures-card", "aria-label": "Key figures" }, figures.root),
    chart.root,
    card(
      { id: "vms", title: "Virtual machines", note: count, controls: [search] },
      table.root,
      el("div", { class: "more" }, more),
    ),
  );
  const places = stickyPlaces();

  /** @param {Answer} answer */
  function show(answer) {
    const { vms, hasMore, request } = answer;
    const { filter: text, sort } = state.get();
    setShown(content, true);
    if (document.activeElement !== filter) filter.value = text;
    const all = rowsOf(answer, (vm) => context.hrefOf(viewOf(state.get(), vm)));
    const rows = wantedRows(all, text, sort);
    table.update(rows, {
      sort,
      now: request.now,
      isFiltered: vms.length > 0,
      latestLabel: latestLabel("Faults/s", request.view),
    });
    setText(count, rows.length === vms.length ? countText(vms.length) : `${rows.length} of ${vms.length}`);
    setShown(more, hasMore);
    figures.update(figuresOf(answer));
    showChart(chart, answer, places(biggestKeys(answer.split.series, MOST_LINES)));
  }

  const heading = el("h1", { class: "sr-only" }, "All VMs");
  const root = el("div", { class: "page overview" }, heading, message.root, content);
  return { root, chart, message, show };
}

/** @param {import("../state.js").State} state */
function createFilter(state) {
  const input = el("input", {
    type: "search",
    id: "filter",
    placeholder: "Filter by name, UUID, pid, VMM, host",
    "aria-label": "Filter VMs",
    "aria-keyshortcuts": "/",
  });
  input.addEventListener("input", () => state.set({ filter: input.value }, { replace: true }));
  return input;
}

/**
 * @param {import("./rate-chart.js").RateChart} chart
 * @param {Answer} answer
 * @param {ReadonlyMap<string, number>} places
 */
function showChart(chart, { vms, split, by, ledger, events, request }, places) {
  const names = namesOf(vms);
  const lines = namedLines(split.series, split.others, places, (series) =>
    by === "vm" ? (names.get(series.key) ?? series.key) : series.label,
  );
  chart.update({ rates: split, lines, stacked: true, ledger, events, request }, by);
}
