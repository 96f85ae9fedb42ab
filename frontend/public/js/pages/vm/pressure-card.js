// SPDX-License-Identifier: Apache-2.0
/** Which share of the time a VM stood still, as the kernel's PSI says it of a host. */

import { NONE, secondsText } from "../../base/format.js";
import { el } from "../../base/dom.js";
import { sleepNote } from "../../model/shed.js";
import { getPressure, getPressureSeries } from "../../vm-api.js";
import { createLineChart } from "../line-chart.js";

/** @typedef {import("../../model/types.js").VmPressure} VmPressure */
/** @typedef {import("../../model/types.js").PressureSeries} PressureSeries */
/** @typedef {{of: VmPressure, series: PressureSeries}} Pressed */

/** @type {{key: "some" | "full", label: string, colour: string, dash: string, title: string}[]} */
const LINES = [
  {
    ...{ key: "some", label: "some", colour: "series-1", dash: "solid" },
    title: "At least one vCPU was asleep in a fault",
  },
  {
    ...{ key: "full", label: "full", colour: "series-2", dash: "dash" },
    title: "Of that, no other vCPU ran: the guest stood still as a whole",
  },
];

/** @type {import("./cards.js").Card<Pressed | null>} */
export const PRESSURE_CARD = {
  id: "pressure",
  title: "Pressure",
  async ask(vm, { range, stepMs, signal }) {
    const [of] = (await getPressure(vm, range, signal)).items;
    // Where it never stood still there is nothing to say.
    if (!of || of.some.total_us === 0) return null;
    return { of, series: await getPressureSeries(vm, range, stepMs, signal) };
  },
  isEmpty: (answer) => answer === null,
  create(context) {
    const chart = createLineChart(context, {
      id: PRESSURE_CARD.id,
      title: PRESSURE_CARD.title,
      unit: "percent of the time that a fault kept vCPUs asleep",
      stacked: false,
    });
    return {
      root: chart.root,
      destroy: chart.destroy,
      update(answer, request) {
        if (!answer) return;
        const { of, series } = answer;
        const href = `/api/v1/pressure/psi?vm=${of.vm}`;
        const text = el("span", {}, "For autoscalers as text, as /proc/pressure has it: ", el("a", { href }, href));
        const lines = pressureLines(answer);
        const notes = [text, sleepNote(series.warnings)].filter(Boolean);
        chart.update({ lines, steps: series, figures: pressureFigures(of), notes }, request);
      },
    };
  },
};

/** @param {Pressed} pressed */
export function pressureLines({ of, series }) {
  return LINES.map(({ key, label, colour, dash, title }) => ({
    ...{ key: `pressure-${key}`, label, colour, dash, title },
    ...{ total: of[key].total_us, text: secondsText(of[key].total_us / 1e6), values: series[key] },
  }));
}

/**
 * @param {VmPressure} of
 * @returns {import("../../panels/figures.js").Figure[]}
 */
export function pressureFigures(of) {
  return LINES.map(({ key, label, title }) => ({
    key: `pressure-${key}`,
    label: `${label}, newest 10 s`,
    value: percentText(of[key].avg10),
    note: `60 s: ${percentText(of[key].avg60)}, 300 s: ${percentText(of[key].avg300)}`,
    title: `${title}. Plain means of the time that was covered, up to the range’s end`,
  }));
}

/** @param {number | null} percent */
function percentText(percent) {
  return percent === null ? NONE : `${percent.toFixed(2)} %`;
}
