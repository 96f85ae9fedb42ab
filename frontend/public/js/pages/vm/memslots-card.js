// SPDX-License-Identifier: Apache-2.0
/** A VM's memslots in the range: those that there are, by address, and those that there were. */

import { plural, sizeText, words } from "../../base/format.js";
import { dateText } from "../../base/time.js";
import { backingText, gpaRangeText, namesByMemslot } from "../../model/memslots.js";
import { createCountsTable } from "../../panels/tables/counts-table.js";
import { getMemslots } from "../../vm-api.js";

/** @typedef {import("../../model/types.js").Memslot} Memslot */
/** @typedef {import("../../model/types.js").MemslotPage} MemslotPage */

/** That are listed; the API has them all. */
export const MOST_ROWS = 64;

/** @type {import("./cards.js").Card<MemslotPage>} */
export const MEMSLOTS_CARD = {
  id: "memslots",
  title: "Memslots",
  isDetail: true,
  ask: (vm, { range, signal }) => getMemslots(vm, range, signal),
  isEmpty: ({ items }) => items.length === 0,
  create() {
    const table = createTable();
    return {
      root: table.root,
      destroy: () => {},
      update(answer) {
        const rows = memslotRows(answer.items);
        table.update(rows.slice(0, MOST_ROWS), moreText(rows.length - MOST_ROWS, answer.next_cursor !== null));
      },
    };
  },
};

/**
 * What names addresses by the memslots that are known of the VM.
 * @param {import("./cards.js").CardAnswers} answers
 */
export function namesOf(answers) {
  /** @type {MemslotPage | null} */
  const answer = answers.get(MEMSLOTS_CARD.id)?.answer ?? null;
  return namesByMemslot(answer?.items ?? []);
}

function createTable() {
  return createCountsTable({
    id: MEMSLOTS_CARD.id,
    title: MEMSLOTS_CARD.title,
    note: "where the guest’s memory is, and what the host has behind it",
    empty: "",
    columns: [
      { label: "Guest-physical addresses", kind: "code" },
      { label: "Size", kind: "number" },
      { label: "Slot", kind: "number" },
      { label: "Behind it" },
      { label: "Permissions", kind: "code" },
      { label: "Flags" },
      { label: "Host address", kind: "code" },
      { label: "As seen from – to" },
    ],
  });
}

/** @param {number} more @param {boolean} hasPages */
function moreText(more, hasPages) {
  if (more <= 0 && !hasPages) return "";
  return `${hasPages ? `More than ${plural(more, "more memslot")}` : plural(more, "more memslot")}: /api/v1/memslots has them all.`;
}

/**
 * @param {readonly Memslot[]} memslots
 * @returns {import("../../panels/tables/counts-table.js").TableRow[]}
 */
export function memslotRows(memslots) {
  return [...memslots].sort(currentFirst).map((item) => ({
    key: `${item.address_space} ${item.slot} ${item.from}`,
    cells: [
      { text: gpaRangeText(item), title: item.address_space === 0 ? "" : `address space ${item.address_space}` },
      { text: sizeText(item.size) },
      { text: slotText(item) },
      behindCell(item),
      { text: item.permissions ?? "not shown", title: "Of the host’s mapping, as in /proc/PID/maps" },
      { text: item.flags.map(words).join(", ") || "none" },
      { text: item.host_address, title: "In the VMM’s address space" },
      seenCell(item),
    ],
  }));
}

/** @param {Memslot} one @param {Memslot} other */
function currentFirst(one, other) {
  if (one.to === null && other.to === null)
    return one.address_space - other.address_space || Number(BigInt(one.gpa) - BigInt(other.gpa));
  if (one.to === null || other.to === null) return one.to === null ? -1 : 1;
  return Date.parse(other.to) - Date.parse(one.to) || one.slot - other.slot;
}

/** @param {Memslot} memslot */
function slotText({ slot, address_space: space }) {
  return space === 0 ? String(slot) : `${slot}, address space ${space}`;
}

/** @param {Memslot} item */
function behindCell(item) {
  const { text, title } = backingText(item);
  if (item.file === null) return { text, title };
  const offset = item.offset === null || item.offset === 0 ? "" : ` from 0x${item.offset.toString(16)}`;
  return { text: `${text} ${item.file}${offset}`, title };
}

/** @param {Memslot} memslot */
function seenCell({ from, to }) {
  const first = dateText(Date.parse(from));
  return to === null
    ? { text: `${first} – now`, title: "It may have been so before it was looked at first" }
    : { text: `${first} – ${dateText(Date.parse(to))}`, title: "Then it was changed, or deleted" };
}
