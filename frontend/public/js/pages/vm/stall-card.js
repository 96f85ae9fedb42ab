// SPDX-License-Identifier: Apache-2.0
/** How long faults stalled a VM's vCPUs: the map over time, figures of the range, how faults ended, each vCPU. */

import { countText, plural, secondsText, shareText } from "../../base/format.js";
import { el, setChildren } from "../../base/dom.js";
import { alignRange, stepFor } from "../../base/time.js";
import { LINES, heatFigure, heatSummary, heatTable, readHeat } from "../../charts/heat.js";
import { MARGIN } from "../../charts/frame.js";
import { getOutcomes, getStallHeat, getStalls } from "../../vm-api.js";
import { outcomeText } from "../../model/outcomes.js";
import { endNote, sleepNote } from "../../model/shed.js";
import { createChart } from "../../panels/chart/chart.js";
import { createLegend } from "../../panels/chart/legend.js";
import { createFigures } from "../../panels/figures.js";
import { createCountsTable } from "../../panels/tables/counts-table.js";
import { draw } from "../../plotly.js";
import { bandsOf, olderBands, toggled } from "../chart-parts.js";
import { gapsOf } from "../exactness.js";

/** @typedef {import("../../model/types.js").Stalls} Stalls */
/** @typedef {import("../../model/types.js").StallHeat} StallHeat */
/** @typedef {import("../../model/types.js").Outcomes} Outcomes */
/** @typedef {{stalls: Stalls, heat: StallHeat, outcomes: Outcomes}} Stalled */

/** @type {import("./cards.js").Card<Stalled | null>} */
export const STALL_CARD = {
  id: "stall",
  title: "How long faults stalled vCPUs",
  ask,
  create,
  isEmpty: (answer) => answer === null,
};

/** @type {import("./cards.js").Card<Stalled | null>["ask"]} */
async function ask(vm, { range, stepMs, signal }) {
  const stalls = await getStalls(vm, range, signal);
  if (stalls.items.length === 0) return null;
  const [heat, outcomes] = await Promise.all([
    getStallHeat(vm, range, stepMs, signal),
    getOutcomes(vm, range, signal),
  ]);
  return { stalls, heat, outcomes };
}

/** @type {import("./cards.js").Card<Stalled | null>["create"]} */
function create(context) {
  const chart = createHeatChart(context);
  const outcomes = createOutcomes();
  const vcpus = createVcpus();
  return {
    root: el("div", { class: "stack" }, chart.root, el("div", { class: "columns" }, outcomes.root, vcpus.root)),
    destroy: chart.destroy,
    update(answer, request) {
      if (!answer) return;
      chart.update(answer, request);
      outcomes.update(outcomeRows(answer.outcomes), notEndedNote(answer.outcomes));
      vcpus.update(vcpuRows(answer.stalls));
    },
  };
}

/** @param {import("../context.js").Context} context */
function createHeatChart(context) {
  const { state } = context;
  const figures = createFigures();
  const legend = createLegend((key) =>
    state.set({ hide: toggled(state.get().hide, key) }, { replace: true }),
  );
  const notes = el("div", { class: "chart-notes" });
  const chart = createChart({
    id: STALL_CARD.id,
    title: STALL_CARD.title,
    unit: "faults by their time: the deeper the colour, the more",
    margin: MARGIN,
    onCursor: () => {},
    onMarks: context.showEvents,
    below: el("div", {}, legend.root, figures.root, notes),
    onZoom: (range) => state.set({ span: null, ...alignRange(range, stepFor(range.to - range.from)) }),
  });
  return {
    root: chart.root,
    destroy: chart.destroy,
    /** @param {Stalled} answer @param {import("../context.js").Request} request */
    update({ stalls, heat }, request) {
      const { range } = request;
      const hidden = new Set(state.get().hide.split(","));
      legend.update(LINES.map((line) => legendItem(line, hidden, stalls.total[line.key])));
      figures.update(figuresOf(stalls));
      setChildren(notes, ...notesOf(stalls).map((text) => el("p", { class: "hint" }, text)));
      chart.update({
        range,
        times: heat.times_ms,
        stepMs: heat.step_ms,
        bands: [...bandsOf(gapsOf(heat.coverage, request), []), ...olderBands(range, heat.kept_from_ms)],
        marks: [],
        summary: heatSummary(heat, range),
        draw: (width) => {
          const tokens = context.tokens();
          draw(chart.plot, heatFigure({ heat, range, hidden, tokens, width }), tokens);
        },
        read: (at) => readHeat(heat, at),
        table: () => heatTable(heat),
      });
    },
  };
}

/** @param {typeof LINES[number]} line @param {ReadonlySet<string>} hidden @param {number | null} seconds */
function legendItem({ key, label, colour, dash }, hidden, seconds) {
  const value = secondsText(seconds);
  const title = `${label}: ${value} in the range`;
  return { key, label, colour, dash, title, value, isArea: false, hidden: hidden.has(key) };
}

/**
 * @param {Stalls} stalls
 * @returns {import("../../panels/figures.js").Figure[]}
 */
export function figuresOf({ total, vcpus }) {
  const { running_s: running, blocked_s: blocked } = total;
  const stalled = running === null ? null : running + (blocked ?? 0);
  const shares = vcpus.flatMap(({ share }) => (share === null ? [] : [share]));
  const most = Math.max(...shares);
  return [
    {
      key: "stalled",
      label: "vCPUs stood still",
      value: secondsText(stalled),
      note: shares.length > 0 ? `a vCPU at most ${shareText(most, 1)} of the time` : "",
      title: "All vCPUs together, from the first event of each fault until the guest went on",
    },
    {
      key: "blocked",
      label: "Of that asleep",
      value: secondsText(blocked),
      note: blocked === null ? "not shown here" : stalled ? shareText(blocked, stalled) : "",
      title: "The vCPU’s thread waited, until it ran again. The rest it was on a CPU, or ready for one",
    },
    {
      key: "ended",
      label: "Faults that ended",
      value: countText(total.count),
      note: total.estimated ? `${countText(total.timed)} of them timed` : "all of them timed",
      title: "Exact. Where not all were timed, times of the others are taken to be as theirs",
    },
  ];
}

/** @param {Stalls} stalls */
export function notesOf({ measured_by: measured, warnings, total }) {
  const events = measured.flatMap(({ begins, ends }) => (begins && ends ? [`Measured from ${begins} to ${ends}.`] : []));
  const codes = new Set(warnings.map(({ code }) => code));
  return [
    [
      ...new Set(events),
      total.estimated ? "Cells and lines are of the faults that were timed." : "",
      codes.has("stalls_partly_measured") ? "Of some faults of this range it was not measured how long they took." : "",
      sleepNote(warnings),
      endNote(warnings),
    ]
      .filter(Boolean)
      .join(" "),
  ].filter(Boolean);
}

function createOutcomes() {
  return createCountsTable({
    id: "outcomes",
    title: "How faults ended",
    note: "in the range",
    empty: "It is not known of any fault.",
    columns: [
      { label: "Ended by" },
      { label: "Access" },
      { label: "Faults", kind: "number" },
      { label: "Share", kind: "number" },
    ],
  });
}

/**
 * @param {Outcomes} outcomes
 * @returns {import("../../panels/tables/counts-table.js").TableRow[]}
 */
export function outcomeRows({ items }) {
  return items.map((item) => ({
    key: `${item.outcome} ${item.access} ${item.layer}`,
    cells: [
      outcomeText(item),
      { text: item.access },
      { text: countText(item.count), title: plural(item.count, "fault") },
      { text: shareText(item.share, 1) },
    ],
  }));
}

/** @param {Outcomes} outcomes */
function notEndedNote({ not_ended: open, uncounted }) {
  const lost = uncounted > 0 ? `Of ${plural(uncounted, "more fault")} it is not known: the map of stalls was full. ` : "";
  return `${lost}${open !== null && open > 0 ? `${plural(open, "fault")} had not ended, or was not measured.` : ""}`.trim();
}

function createVcpus() {
  return createCountsTable({
    id: "stalled-vcpus",
    title: "vCPUs that stood still",
    note: "share of the time that the VM was there and its host was read",
    empty: "Of no vCPU is it known.",
    columns: [
      { label: "vCPU" },
      { label: "Share", kind: "number" },
      { label: "Asleep", kind: "number" },
      { label: "Otherwise", kind: "number" },
      { label: "Longest", kind: "number" },
      { label: "Faults", kind: "number" },
    ],
  });
}

/**
 * @param {Stalls} stalls
 * @returns {import("../../panels/tables/counts-table.js").TableRow[]}
 */
export function vcpuRows({ vcpus }) {
  return vcpus.map((item) => ({
    key: String(item.vcpu),
    cells: [
      { text: String(item.vcpu) },
      { text: item.share === null ? shareText(0, 0) : shareText(item.share, 1) },
      { text: secondsText(item.blocked_s), title: "until it ran again" },
      { text: secondsText(item.running_s), title: "on a CPU, or waiting for one" },
      { text: secondsText(item.max_s) },
      { text: countText(item.count), title: `${countText(item.timed)} of them timed` },
    ],
  }));
}
