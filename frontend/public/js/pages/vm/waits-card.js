// SPDX-License-Identifier: Apache-2.0
/** What a VM's vCPUs waited for while they were asleep in faults: over time, and in all. */

import { countText, secondsText, shareText } from "../../base/format.js";
import { looksOf, REST } from "../../base/color.js";
import { el } from "../../base/dom.js";
import { sleepNote } from "../../model/shed.js";
import { PLACES, waitText, waitsSentence } from "../../model/waits.js";
import { createCountsTable } from "../../panels/tables/counts-table.js";
import { getWaitSeries, getWaits } from "../../vm-api.js";
import { createLineChart } from "../line-chart.js";

/** @typedef {import("../../model/types.js").Waits} Waits */
/** @typedef {import("../../model/types.js").WaitSeries} WaitSeries */
/** @typedef {{waits: Waits, series: WaitSeries}} Waited */

/** Functions of a stack that are shown; all of them are in the cell's title. */
const MOST_FUNCTIONS = 2;

/** @type {import("./cards.js").Card<Waited | null>} */
export const WAITS_CARD = {
  id: "waits",
  title: "What vCPUs waited for",
  async ask(vm, { range, stepMs, signal }) {
    const waits = await getWaits(vm, range, signal);
    return waits.items.length === 0 ? null : { waits, series: await getWaitSeries(vm, range, stepMs, signal) };
  },
  isEmpty: (answer) => answer === null,
  create(context) {
    const chart = createLineChart(context, {
      id: WAITS_CARD.id,
      title: WAITS_CARD.title,
      unit: "ms asleep in faults per second, all vCPUs together",
      stacked: true,
    });
    const table = createCountsTable({
      id: "waited-for",
      title: "Waits",
      note: "in the range",
      empty: "",
      columns: [
        { label: "Waited for" },
        { label: "In", kind: "code" },
        { label: "Time", kind: "number" },
        { label: "Share", kind: "number" },
        { label: "Times asleep", kind: "number" },
      ],
    });
    return {
      root: el("div", { class: "stack" }, chart.root, table.root),
      destroy: chart.destroy,
      update(answer, request) {
        if (!answer) return;
        const { waits, series } = answer;
        chart.update(
          {
            ...{ lines: waitLines(series), steps: series, figures: [] },
            notes: [waitsSentence(waits), sleepNote(waits.warnings)].filter(Boolean),
          },
          request,
        );
        table.update(waitRows(waits));
      },
    };
  },
};

/** @param {WaitSeries} series */
export function waitLines({ series, step_ms: stepMs }) {
  const looks = looksOf(PLACES);
  return series.map(({ waits_for: kind, seconds, total_s: total }) => {
    const { text: label, title } = waitText(kind);
    return {
      // Other charts have lines of the same names.
      ...{ key: `wait-${kind}`, label, total, text: secondsText(total), title },
      ...(looks.get(kind) ?? REST),
      values: seconds.map((value) => (value === null ? null : (value * 1e6) / stepMs)),
    };
  });
}

/**
 * A row for each thing that was waited for; for each lock, and each stack, one of its own.
 * @param {Waits} waits
 * @returns {import("../../panels/tables/counts-table.js").TableRow[]}
 */
export function waitRows({ items, blocked_s: blocked }) {
  return items.flatMap((item) => {
    const parts = item.details.length > 0 ? item.details : [{ ...item, detail: "" }];
    return parts.map(({ detail, seconds, count }) => ({
      key: `${item.waits_for} ${detail}`,
      cells: [
        waitText(item.waits_for),
        { text: detail.split(" < ").slice(0, MOST_FUNCTIONS).join(" < "), title: detail },
        { text: secondsText(seconds) },
        { text: shareText(seconds, blocked ?? 0) },
        { text: countText(count) },
      ],
    }));
  });
}
