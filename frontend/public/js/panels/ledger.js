// SPDX-License-Identifier: Apache-2.0
/** The ledger of one VM: what became of every fault that was seen, as sums that balance or are said not to. */

import { el, keyedList, setAttr, setShown, setText } from "../base/dom.js";
import { countText, forCount, plural } from "../base/format.js";
import { card } from "./card.js";

/** @typedef {import("../model/host-types.js").VmLedger} VmLedger */
/** @typedef {{key: string, count: number, text: string, isLost?: boolean}} Term */

const NOTE = "what became of every fault that the kernel’s programs saw in the range";
const EDGE =
  "A reading’s faults are in the step in which it began, so the ends of the range may differ from the counts.";

export function createLedger() {
  const verdict = el("span", { class: "verdict" });
  const counts = createSum();
  const records = createSum();
  const missing = el("p", { class: "card-note" });
  const sums = el("div", { class: "sums", title: EDGE }, counts.root, records.root);
  return {
    root: card({ id: "ledger", title: "Ledger", note: NOTE, controls: [verdict] }, sums, missing),
    /** @param {VmLedger} ledger */
    update(ledger) {
      const { balanced } = ledger;
      setText(verdict, balanced ? "✓ balances" : "✗ does not balance");
      setAttr(verdict, "data-tone", balanced ? "good" : "bad");
      const seen = { key: "seen", count: ledger.seen.total, text: "seen" };
      counts.update([
        seen,
        { key: "counted", count: ledger.counted.total, text: "counted" },
        { key: "uncounted", count: ledger.uncounted.total, text: "not counted: map of counts full", isLost: true },
      ]);
      records.update([
        seen,
        { key: "recorded", count: ledger.recorded.total, text: "recorded one by one" },
        { key: "sampled_out", count: ledger.sampled_out.total, text: "left out by sampling" },
        { key: "dropped", count: ledger.dropped.total, text: "record lost: ring buffer full", isLost: true },
      ]);
      setText(missing, missingSentence(ledger));
      setAttr(missing, "data-tone", ledger.missing > 0 ? "warn" : null);
    },
  };
}

/**
 * What the server does not have.
 * @param {Pick<VmLedger, "missing" | "balanced">} ledger
 */
export function missingSentence({ missing, balanced }) {
  const wrong = balanced ? "" : "Figures in the database contradict one another: please report this. ";
  if (missing === 0)
    return `${wrong}Nothing is missing: everything that was read of this VM’s faults has arrived here.`;
  return (
    `${wrong}${plural(missing, "fault")} ${forCount(missing, "is", "are")} missing: seen in this VM’s life, but in ` +
    "batches that are not stored. The collector’s spool dropped these, or they are still under way; their time is " +
    "hatched as not covered."
  );
}

/** A sum: the first term equals the others added up. */
function createSum() {
  const root = el("dl", { class: "sum" });
  const show = keyedList(
    root,
    (/** @type {Term & {sign: string}} */ term) => term.key,
    () => {
      const sign = el("span", { class: "sum-sign" });
      const count = el("span", { class: "sum-count" });
      const text = el("dt", {});
      const box = el("div", { class: "sum-term" }, text, el("dd", {}, sign, count));
      return {
        root: box,
        update(term) {
          setText(sign, term.sign);
          setShown(sign, term.sign !== "");
          setText(count, countText(term.count));
          setText(text, term.text);
          setAttr(box, "data-term", term.key);
          box.classList.toggle("lost", term.isLost === true && term.count > 0);
        },
      };
    },
  );
  return {
    root,
    /** @param {Term[]} terms */
    update: (terms) => show(terms.map((term, at) => ({ ...term, sign: ["", "="][at] ?? "+" }))),
  };
}
