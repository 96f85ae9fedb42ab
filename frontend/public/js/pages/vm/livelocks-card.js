// SPDX-License-Identifier: Apache-2.0
/** vCPUs of a VM that faulted on the same page again and again, with what that means and what to look at. */

import { countText, plural } from "../../base/format.js";
import { dateText, durationText } from "../../base/time.js";
import { el, setText } from "../../base/dom.js";
import {
  invalidationText,
  LIVELOCK_ADVICE,
  LIVELOCK_MEANING,
  livelocksSentence,
  placeText,
  wordText,
} from "../../model/livelocks.js";
import { createCountsTable } from "../../panels/tables/counts-table.js";
import { getLivelocks } from "../../vm-api.js";

/** @typedef {import("../../model/types.js").Livelock} Livelock */
/** @typedef {import("../../model/types.js").LivelockPage} LivelockPage */

/** That are listed; the API has them all. */
export const MOST_ROWS = 32;

/** @type {import("./cards.js").Card<LivelockPage>} */
export const LIVELOCKS_CARD = {
  id: "livelocks",
  title: "Livelocks",
  ask: (vm, { range, signal }) => getLivelocks(vm, range, signal),
  isEmpty: ({ items }) => items.length === 0,
  create() {
    const said = el("p", { class: "card-note" });
    const table = createCountsTable({
      id: LIVELOCKS_CARD.id,
      title: LIVELOCKS_CARD.title,
      note: LIVELOCK_MEANING,
      empty: "",
      columns: [
        { label: "vCPU", kind: "number" },
        { label: "Address", kind: "code" },
        { label: "Instruction", kind: "code" },
        { label: "Fault" },
        { label: "Faults", kind: "number" },
        { label: "Since" },
        { label: "For" },
        { label: "Host takes back memory" },
      ],
    });
    table.root.append(said, el("p", { class: "card-note" }, LIVELOCK_ADVICE));
    return {
      root: table.root,
      destroy: () => {},
      update({ items, next_cursor: next }) {
        setText(said, livelocksSentence(items));
        table.update(livelockRows(items.slice(0, MOST_ROWS)), moreText(items.length - MOST_ROWS, next !== null));
      },
    };
  },
};

/** @param {number} more @param {boolean} hasPages */
function moreText(more, hasPages) {
  if (more <= 0 && !hasPages) return "";
  return `${hasPages ? "More than " : ""}${plural(more, "more livelock")}: /api/v1/livelocks has them all.`;
}

/**
 * @param {readonly Livelock[]} livelocks
 * @returns {import("../../panels/tables/counts-table.js").TableRow[]}
 */
export function livelockRows(livelocks) {
  return livelocks.map((item) => ({
    key: `${item.vcpu} ${item.since}`,
    cells: [
      { text: String(item.vcpu) },
      { text: placeText(item), title: item.gva === null ? "" : `Guest-virtual ${item.gva}` },
      { text: item.pc ?? "not shown", title: "The address of the instruction" },
      wordText(item),
      { text: countText(item.faults) },
      { text: dateText(Date.parse(item.since)) },
      durationCell(item),
      invalidationText(item),
    ],
  }));
}

/** @param {Livelock} livelock */
function durationCell({ since, until, seen_at: seenAt }) {
  const text = durationText(Date.parse(seenAt) - Date.parse(since));
  return until === null
    ? { text: `${text}, not over`, title: `Seen last at ${dateText(Date.parse(seenAt))}`, mark: true }
    : { text, title: `Until ${dateText(Date.parse(until))}` };
}
