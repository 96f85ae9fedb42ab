// SPDX-License-Identifier: Apache-2.0
/** A chart of lines or areas over time that is a card of its own: with a legend, figures and notes below. */

import { el, setChildren } from "../base/dom.js";
import { alignRange, stepFor } from "../base/time.js";
import { MARGIN } from "../charts/frame.js";
import { rateFigure } from "../charts/rate.js";
import { chartTable, readStep, summaryText } from "../charts/reading.js";
import { createChart } from "../panels/chart/chart.js";
import { createLegend } from "../panels/chart/legend.js";
import { createFigures } from "../panels/figures.js";
import { draw } from "../plotly.js";
import { bandsOf, olderBands, toggled } from "./chart-parts.js";
import { gapsOf } from "./exactness.js";

/** @typedef {import("../charts/series.js").NamedLine & {text: string, title: string}} LegendLine text is its value */

/**
 * @typedef {object} LineView
 * @property {readonly LegendLine[]} lines
 * @property {{times_ms: number[], step_ms: number, coverage: import("../model/types.js").Span[], kept_from_ms: number | null}} steps
 * @property {readonly import("../panels/figures.js").Figure[]} figures
 * @property {readonly (string | Node)[]} notes
 */

/**
 * @param {import("./context.js").Context} context
 * @param {{id: string, title: string, unit: string, stacked: boolean}} options
 */
export function createLineChart(context, { id, title, unit, stacked }) {
  const { state } = context;
  const figures = createFigures();
  const legend = createLegend((key) =>
    state.set({ hide: toggled(state.get().hide, key) }, { replace: true }),
  );
  const notes = el("div", { class: "chart-notes" });
  const chart = createChart({
    id,
    title,
    unit,
    margin: MARGIN,
    onCursor: () => {},
    onMarks: context.showEvents,
    below: el("div", {}, legend.root, figures.root, notes),
    onZoom: (range) => state.set({ span: null, ...alignRange(range, stepFor(range.to - range.from)) }),
  });
  return {
    root: chart.root,
    destroy: chart.destroy,
    /** @param {LineView} view @param {import("./context.js").Request} request */
    update({ lines, steps, figures: shownFigures, notes: shownNotes }, request) {
      const { range } = request;
      const { times_ms: times, step_ms: stepMs, kept_from_ms: keptFrom } = steps;
      const hidden = new Set(state.get().hide.split(","));
      const gaps = gapsOf(steps.coverage, request);
      const shown = lines.filter((line) => !hidden.has(line.key));
      const plotted = { times, stepMs, range, lines: shown, gaps, keptFrom, marks: [], stacked };
      legend.update(
        lines.map(({ key, label, colour, dash, text, title: about }) => ({
          ...{ key, label, colour, dash, title: about, value: text },
          ...{ isArea: stacked, hidden: hidden.has(key) },
        })),
      );
      figures.update([...shownFigures]);
      setChildren(notes, ...shownNotes.map((note) => el("p", { class: "hint" }, note)));
      chart.update({
        range,
        times,
        stepMs,
        bands: [...bandsOf(gaps, []), ...olderBands(range, keptFrom)],
        marks: [],
        summary: summaryText(`${title}, ${unit},`, plotted),
        draw: (width) => {
          const tokens = context.tokens();
          draw(chart.plot, rateFigure({ times, stepMs, range, lines: shown, stacked, tokens, width }), tokens);
        },
        read: (at) => readStep(plotted, at),
        table: () => chartTable(plotted),
      });
    },
  };
}
