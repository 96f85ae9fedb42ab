// SPDX-License-Identifier: Apache-2.0
/** The panels of the overview: what is where, and which part of the answers each one shows. */

import { stickyPlaces } from "../../base/color.js";
import { el, setAttr, setShown, setText } from "../../base/dom.js";
import { countText } from "../../base/format.js";
import { biggestKeys, namedLines } from "../../charts/series.js";
import { card } from "../../panels/card.js";
import { createFigures } from "../../panels/figures.js";
import { createMessage } from "../../panels/message.js";
import { createVmTable } from "../../panels/tables/vm-table.js";
import { MOST_FILTER, ROWS, viewOf } from "../../state.js";
import { leftOutNotes, vmsLeftOut } from "../chart-notes.js";
import { latestLabel } from "../messages.js";
import { figuresOf, isChoice, rowsOf, sortAfterClick } from "./data.js";
import { createRateChart } from "../rate-chart.js";
import { createExitsCard } from "./exits.js";

/** @typedef {import("./data.js").Answer} Answer */

const MOST_LINES = 8;
/** While one types, the server is asked once. */
const TYPING_MS = 250;
/** @type {[string, string][]} */
const STATES = [
  ["", "all"],
  ["running", "running"],
  ["ended", "ended"],
];

/**
 * @param {import("../context.js").Context} context
 * @param {[string, string][]} splits
 */
export function createOverviewView(context, splits) {
  const { state } = context;
  const figures = createFigures();
  const chart = createRateChart(context, {
    id: "faults",
    title: "Guest faults",
    splits,
    onCursor: (time) => exits.setCursor(time),
  });
  const exits = createExitsCard(context, (time) => chart.setCursor(time));
  const table = createVmTable({
    onSort: (column) => state.set({ sort: sortAfterClick(state.get().sort, column) }, { replace: true }),
    onOpen: (vm) => context.open(viewOf(state.get(), vm)),
  });
  /** What the rows on show are found by, and the text whose only VM is to be opened once it is found. */
  let answered = "";
  /** @type {string | null} */
  let opening = null;
  const filter = createFilter(state, (text) => {
    opening = text;
    if (text !== null && text === answered) openOnly();
  });
  const states = STATES.map(([value, label]) =>
    el(
      "button",
      { type: "button", "data-state": value, click: () => state.set({ state: value }, { replace: true }) },
      label,
    ),
  );
  const count = el("span", { class: "unit", role: "status" });
  const more = el("button", { type: "button", class: "button", click: listMore }, "");
  const limit = el("p", { class: "hint" }, `No more than ${ROWS.most} are listed: filter them, or sort them another way.`);
  const left = el("p", { class: "hint", hidden: true });
  const message = createMessage();
  const content = el(
    "div",
    { class: "page-content", hidden: true },
    el("section", { class: "card figures-card", "aria-label": "Key figures" }, figures.root),
    exits.root,
    chart.root,
    card(
      {
        id: "vms",
        title: "Virtual machines",
        note: count,
        controls: [
          table.held,
          el("div", { class: "segments", role: "group", "aria-label": "At the range’s end" }, ...states),
          el("div", { class: "filter" }, filter, el("kbd", { "aria-hidden": "true" }, "/")),
        ],
      },
      table.root,
      el("div", { class: "more" }, more, limit, left),
    ),
  );
  const places = stickyPlaces();

  function listMore() {
    const rows = Math.min(ROWS.most, Number(state.get().rows) * 2);
    state.set({ rows: String(rows) }, { replace: true });
  }

  function openOnly() {
    const text = opening;
    opening = null;
    if (text !== null && text === answered) table.openOnly();
  }

  /** @param {Answer} answer */
  function show(answer) {
    const { vms, rates, by, ledger, events, hasMoreEvents, request } = answer;
    const view = state.get();
    setShown(content, true);
    if (document.activeElement !== filter) filter.value = view.filter;
    states.forEach((button) => setAttr(button, "aria-pressed", String(button.dataset.state === view.state)));
    const rows = rowsOf(answer, (vm) => context.hrefOf(viewOf(view, vm)));
    table.update(rows, {
      sort: view.sort,
      question: JSON.stringify([view.sort, view.filter, view.state, view.rows, view.span, view.from, view.to]),
      total: vms.totals.vms,
      isFiltered: view.filter !== "" || view.state !== "",
      latestLabel: latestLabel("Faults/s", request.view),
    });
    answered = request.view.filter;
    if (opening !== null && opening !== state.get().filter) opening = null;
    if (opening === answered) openOnly();
    const isAll = rows.length === vms.totals.vms;
    setText(count, isAll ? countText(rows.length) : `${countText(rows.length)} of ${countText(vms.totals.vms)}`);
    setText(more, `Show ${countText(Math.min(ROWS.most, 2 * Number(view.rows)))}`);
    setShown(more, !isAll && Number(view.rows) < ROWS.most);
    setShown(limit, !isAll && Number(view.rows) >= ROWS.most);
    setShown(left, vms.vms_left_out > 0);
    setText(left, vmsLeftOut(vms.vms_left_out));
    figures.update(figuresOf(answer));
    const placed = places(biggestKeys(rates.series, MOST_LINES));
    const lines = namedLines(rates.series, rates.others, placed, (series) => series.label);
    const notes = leftOutNotes({
      hasMoreEvents,
      recordings: ledger.recordings_left_out,
      vms: Math.max(vms.vms_left_out, rates.vms_left_out),
      counted: vms.counted,
    });
    const subject = isChoice(request.view) ? "some faults" : "all faults";
    chart.update({ rates, lines, stacked: true, ledger, events, request, notes, subject }, by);
    exits.update(answer.exits, { ledger, events, request, notes: [] });
  }

  const heading = el("h1", { class: "sr-only" }, "All VMs");
  const root = el("div", { class: "page overview" }, heading, message.root, content);
  const destroy = () => {
    chart.destroy();
    exits.destroy();
  };
  return { root, message, show, destroy };
}

/** @param {import("../../state.js").State} state @param {(text: string | null) => void} onEnter null: the text is another one again */
function createFilter(state, onEnter) {
  const input = el("input", {
    type: "search",
    id: "filter",
    placeholder: "Filter by name, UUID, pid, VMM, host",
    "aria-label": "Filter VMs",
    "aria-keyshortcuts": "/",
    maxlength: MOST_FILTER,
  });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let waiting;
  const apply = () => {
    clearTimeout(waiting);
    if (input.value !== state.get().filter) state.set({ filter: input.value }, { replace: true });
  };
  input.addEventListener("input", () => {
    onEnter(null);
    clearTimeout(waiting);
    waiting = setTimeout(apply, TYPING_MS);
  });
  input.addEventListener("blur", apply);
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    apply();
    onEnter(input.value);
  });
  return input;
}
