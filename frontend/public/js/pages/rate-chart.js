// SPDX-License-Identifier: Apache-2.0
/** A chart of rates with its legend: puts together the figure, the frame and what they say. */

import { countText, rateText } from "../base/format.js";
import { el, setAttr, setChildren } from "../base/dom.js";
import { alignRange, durationText, stepFor } from "../base/time.js";
import { newest } from "../base/values.js";
import { findInexact } from "../model/inexact.js";
import { lifeMarks, marksOf } from "../model/marks.js";
import { MARGIN } from "../charts/frame.js";
import { rateFigure } from "../charts/rate.js";
import { chartTable, readStep, summaryText } from "../charts/reading.js";
import { createChart } from "../panels/chart/chart.js";
import { createLegend } from "../panels/chart/legend.js";
import { draw } from "../plotly.js";
import { recordingsNote, shortNote } from "./chart-notes.js";
import { bandsOf, olderBands, toggled } from "./chart-parts.js";
import { gapsOf, shortRecordings, shortSpan } from "./exactness.js";

/** @typedef {import("../model/types.js").Rates} Rates */
/** @typedef {import("../charts/series.js").NamedLine} NamedLine */

/**
 * @typedef {object} RateView
 * @property {Rates} rates
 * @property {readonly NamedLine[]} lines
 * @property {boolean} stacked
 * @property {import("../model/host-types.js").Ledger} ledger on the same steps
 * @property {readonly import("../model/host-events.js").ReadEvent[]} events
 * @property {import("./context.js").Request} request
 * @property {import("../model/types.js").Vm} [life] the VM whose chart it is
 * @property {readonly import("../model/marks.js").Mark[]} [marks] further ones
 * @property {string[]} notes what is not in the chart
 * @property {import("../model/inexact.js").Subject} subject
 */

/**
 * @param {import("./context.js").Context} context
 * @param {object} options
 * @param {string} options.id
 * @param {string} options.title
 * @param {(time: number | null) => void} options.onCursor
 * @param {[string, string][]} [options.splits] what it can be split by: value and label
 */
export function createRateChart(context, { id, title, onCursor, splits = [] }) {
  const { state } = context;
  const legend = createLegend((key) =>
    state.set({ hide: toggled(state.get().hide, key) }, { replace: true }),
  );
  const buttons = splits.map(([by, label]) =>
    el("button", { type: "button", "data-by": by, click: () => state.set({ by, hide: "" }) }, label),
  );
  const split = el(
    "div",
    { class: "segments", role: "group", "aria-label": `${title}: split by` },
    ...buttons,
  );
  const notes = createNotes(zoom);
  const chart = createChart({
    id,
    title,
    unit: "per second",
    margin: MARGIN,
    onCursor,
    onMarks: context.showEvents,
    below: el("div", {}, legend.root, notes.root),
    controls: splits.length ? [el("span", { class: "control-label" }, "split by"), split] : [],
    onZoom: zoom,
  });

  /** @param {import("../model/types.js").Range} range */
  function zoom(range) {
    state.set({ span: null, ...alignRange(range, stepFor(range.to - range.from)) });
  }

  /** @param {RateView} view @param {string} by */
  function update({ rates, lines, stacked, ledger, events, request, life, marks: further = [], notes: left, subject }, by) {
    const { times_ms: times, step_ms: stepMs } = rates;
    // The outermost steps may reach out of the range; what lies there was not asked for.
    const { range } = request;
    const hidden = new Set(state.get().hide.split(","));
    const shown = lines.filter((line) => !hidden.has(line.key));
    const gaps = gapsOf(rates.coverage, request);
    // Where nothing was counted there is no bar.
    const isEmpty = lines.every((line) => line.total === 0);
    notes.update(left, isEmpty ? [] : rates.coverage, request);
    const inexact = findInexact(ledger, subject);
    const ofLife = life ? lifeMarks(life) : [];
    const marks = [...marksOf(events, inexact, subject), ...ofLife, ...further].sort((a, b) => a.time - b.time);
    const keptFrom = rates.kept_from_ms;
    const plotted = { times, stepMs, range, lines: shown, gaps, keptFrom, marks, stacked };
    legend.update(
      lines.map((line) => legendItem(line, { isHidden: hidden.has(line.key), isArea: stacked, stepMs })),
    );
    buttons.forEach((button) => setAttr(button, "aria-pressed", String(button.dataset.by === by)));
    chart.update({
      range,
      times,
      stepMs,
      bands: [...bandsOf(gaps, inexact), ...olderBands(range, keptFrom)],
      marks,
      summary: summaryText(`${title} per second`, plotted),
      draw: (width) => {
        const tokens = context.tokens();
        draw(chart.plot, rateFigure({ times, stepMs, range, lines: shown, stacked, tokens, width }), tokens);
      },
      read: (at) => readStep(plotted, at),
      table: () => chartTable(plotted),
    });
  }

  return { root: chart.root, update, setCursor: chart.setCursor, destroy: chart.destroy };
}

/** @param {(range: import("../model/types.js").Range) => void} zoom */
function createNotes(zoom) {
  const root = el("div", { class: "chart-notes" });
  let shown = "";
  return {
    root,
    /** @param {string[]} left @param {Rates["coverage"]} coverage @param {import("./context.js").Request} request */
    update(left, coverage, request) {
      const { stepMs } = request;
      const all = shortSpan(coverage, request);
      const recordings = all ? [] : shortRecordings(coverage, request);
      const [first, ...others] = recordings;
      const short = all ?? (first && others.length === 0 ? first : null);
      const said = all ? shortNote(all, stepMs) : recordingsNote(recordings, stepMs);
      const texts = said ? [said, ...left] : left;
      // A button in it keeps its focus.
      const next = JSON.stringify([texts, short]);
      if (next === shown) return;
      shown = next;
      const canZoom = short !== null && stepMs > stepFor(short.to - short.from);
      const button = canZoom && el("button", { type: "button", class: "button", click: () => zoom(short) }, "Zoom to it");
      setChildren(root, ...texts.map((text, at) => el("p", { class: "hint" }, text, " ", at === 0 && button)));
    },
  };
}

/**
 * Faults above exits, with one cursor.
 * @param {import("./context.js").Context} context
 * @param {[string, string][]} splits what faults can be split by
 */
export function createRateCharts(context, splits) {
  const faults = createRateChart(context, {
    id: "faults",
    title: "Guest faults",
    splits,
    onCursor: (time) => exits.setCursor(time),
  });
  const exits = createRateChart(context, {
    id: "exit-rates",
    title: "Memory-fault and error exits",
    onCursor: (time) => faults.setCursor(time),
  });
  return {
    faults,
    exits,
    roots: [faults.root, exits.root],
    destroy() {
      faults.destroy();
      exits.destroy();
    },
  };
}

/** @typedef {ReturnType<typeof createRateChart>} RateChart */

/** @param {NamedLine} line @param {{isHidden: boolean, isArea: boolean, stepMs: number}} how */
function legendItem(line, { isHidden, isArea, stepMs }) {
  const { key, label, colour, dash } = line;
  const title =
    `${label}: ${countText(line.total)} in the steps shown, ` +
    `${rateText(newest(line.values))} per second in the newest covered ${durationText(stepMs)}`;
  return { key, label, colour, dash, isArea, title, hidden: isHidden, value: countText(line.total) };
}
