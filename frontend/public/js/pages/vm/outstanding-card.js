// SPDX-License-Identifier: Apache-2.0
/** A VM's faults that have begun and not ended. Their ages go on between two answers. */

import { el, setShown, setText } from "../../base/dom.js";
import { plural } from "../../base/format.js";
import { durationText } from "../../base/time.js";
import { placeText } from "../../model/livelocks.js";
import { adviceText, handlerText, outstandingSentence, OUTSTANDING_MEANING } from "../../model/outstanding.js";
import { waitText } from "../../model/waits.js";
import { createCountsTable } from "../../panels/tables/counts-table.js";
import { getOutstanding } from "../../vm-api.js";

/** @typedef {import("../../model/types.js").Outstanding} Outstanding */
/** @typedef {import("../../model/types.js").OutstandingPage} OutstandingPage */

/** That are listed; the API has them all. */
export const MOST_ROWS = 32;
const TICK_MS = 1000;

/** @type {import("./cards.js").Card<OutstandingPage>} */
export const OUTSTANDING_CARD = {
  id: "outstanding",
  title: "Outstanding faults",
  ask: (vm, { signal }) => getOutstanding(vm, signal),
  isEmpty: ({ items, warnings }) => items.length === 0 && warnings.length === 0,
  create() {
    const said = el("p", { class: "card-note" });
    const advice = el("p", { class: "card-note" });
    const table = createCountsTable({
      id: OUTSTANDING_CARD.id,
      title: OUTSTANDING_CARD.title,
      note: OUTSTANDING_MEANING,
      empty: "",
      columns: [
        { label: "vCPU", kind: "number" },
        { label: "Address", kind: "code" },
        { label: "For", kind: "number" },
        { label: "Waits for" },
        { label: "Handler" },
      ],
    });
    table.root.append(said, advice);
    /** @type {readonly Outstanding[]} */
    let answered = [];
    let answeredAt = 0;
    /** @type {readonly import("../../../../api-types.js").RangeWarning[]} */
    let warnings = [];

    function show() {
      const faults = agedBy(answered, performance.now() - answeredAt);
      setText(said, outstandingSentence(faults, warnings));
      table.update(outstandingRows(faults.slice(0, MOST_ROWS)), moreText(faults.length - MOST_ROWS));
    }

    const ticking = setInterval(() => {
      if (answered.length > 0) show();
    }, TICK_MS);
    return {
      root: table.root,
      destroy: () => clearInterval(ticking),
      update({ items, warnings: found }) {
        answered = items;
        warnings = found;
        answeredAt = performance.now();
        setText(advice, adviceText(items));
        setShown(advice, advice.textContent !== "");
        show();
      },
    };
  },
};

/**
 * The same a while later. Of a host that has not been heard of nothing is known meanwhile.
 * @param {readonly Outstanding[]} faults
 * @param {number} laterMs
 */
export function agedBy(faults, laterMs) {
  return faults.map((fault) => (fault.is_stale ? fault : { ...fault, age_s: fault.age_s + laterMs / 1000 }));
}

/** @param {number} more */
function moreText(more) {
  return more <= 0 ? "" : `${plural(more, "more fault")}: /api/v1/outstanding has them all.`;
}

/** @param {Outstanding} fault */
function waitCell({ waits_for: waitsFor, detail }) {
  if (waitsFor === null) return { text: "not shown" };
  const { text, title } = waitText(waitsFor);
  return { text, title: detail || title };
}

/**
 * @param {readonly Outstanding[]} faults
 * @returns {import("../../panels/tables/counts-table.js").TableRow[]}
 */
export function outstandingRows(faults) {
  return faults.map((fault) => ({
    key: String(fault.vcpu),
    cells: [
      { text: String(fault.vcpu) },
      { text: placeText(fault), title: fault.gva === null ? "" : `Guest-virtual ${fault.gva}` },
      {
        text: durationText(fault.age_s * 1000) + (fault.handler === "closed" ? " ago" : ""),
        title: fault.is_stale ? "When its host was heard of last" : "",
      },
      waitCell(fault),
      handlerText(fault),
    ],
  }));
}
