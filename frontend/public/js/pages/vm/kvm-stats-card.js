// SPDX-License-Identifier: Apache-2.0
/** What KVM itself counts of a VM, beside our counts, and in what pages it maps the VM's memory. */

import { NONE, countText, shareText, sizeText, words } from "../../base/format.js";
import { el } from "../../base/dom.js";
import { createCountsTable } from "../../panels/tables/counts-table.js";
import { getKvmStats } from "../../vm-api.js";

/** @typedef {import("../../model/types.js").KvmStats} KvmStats */
/** @typedef {import("../../model/types.js").VmKvmStats} VmKvmStats */
/** @typedef {import("../../panels/tables/counts-table.js").TableRow} TableRow */

/** @type {Record<string, string>} */
const MEANINGS = {
  pf_taken: "Faults that KVM took",
  pf_fixed: "Of those that it fixed: a page was mapped, or made writable",
  pf_fast: "Of those without the MMU lock",
  pf_spurious: "Of those that were fixed already",
  pf_emulate: "Of those in which it emulated the instruction",
  pf_mmio_spte_created: "Of those at addresses without memory, which it remembers",
};
const SIZES = { "4k": 2 ** 12, "2m": 2 ** 21, "1g": 2 ** 30 };

/** @type {import("./cards.js").Card<VmKvmStats | null>} */
export const KVM_STATS_CARD = {
  id: "kvm-stats",
  title: "KVM’s own counts",
  isDetail: true,
  async ask(vm, { range, signal }) {
    const { items } = await getKvmStats(vm, range, signal);
    return items[0] ?? null;
  },
  isEmpty: (answer) => answer === null,
  create() {
    const counts = createCountsTable({
      id: KVM_STATS_CARD.id,
      title: KVM_STATS_CARD.title,
      note: "in the range, beside what was counted here",
      empty: "",
      columns: [
        { label: "Count", kind: "code" },
        { label: "KVM", kind: "number" },
        { label: "Here", kind: "number" },
        { label: "Difference", kind: "number" },
      ],
    });
    const pages = createCountsTable({
      id: "page-sizes",
      title: "Sizes of mapped pages",
      note: "when last looked at",
      empty: "It is not known in what pages this VM’s memory is mapped.",
      columns: [
        { label: "Page" },
        { label: "Mapped", kind: "number" },
        { label: "Memory", kind: "number" },
        { label: "Could be", kind: "number" },
      ],
    });
    return {
      root: el("div", { class: "columns" }, counts.root, pages.root),
      destroy: () => {},
      update(answer) {
        if (!answer) return;
        counts.update(countRows(answer), whyText(answer));
        pages.update(pageRows(answer), pagesText(answer));
      },
    };
  },
};

/**
 * @param {VmKvmStats} stats
 * @returns {TableRow[]}
 */
export function countRows({ counts }) {
  return counts.map((item) => ({
    key: item.name,
    cells: [
      { text: item.name, title: MEANINGS[item.name] ?? words(item.name) },
      { text: countText(item.kvm) },
      { text: countText(item.ours), title: item.ours === null ? "Not counted here" : "" },
      { text: differenceText(item.difference), title: item.why ?? "" },
    ],
  }));
}

/**
 * Why counts differ, each reason once.
 * @param {VmKvmStats} stats
 */
export function whyText({ counts }) {
  /** @type {Map<string, string[]>} */
  const names = new Map();
  for (const { name, why } of counts) if (why !== null) names.set(why, [...(names.get(why) ?? []), name]);
  return [...names].map(([why, of]) => `${of.join(", ")}: ${why}`).join(" ");
}

/** @param {number | null} difference */
function differenceText(difference) {
  if (difference === null) return NONE;
  return `${difference > 0 ? "+" : difference < 0 ? "−" : ""}${countText(Math.abs(difference))}`;
}

/**
 * @param {VmKvmStats} stats
 * @returns {TableRow[]}
 */
export function pageRows({ pages }) {
  return (pages?.sizes ?? []).map(({ size, mapped, could }) => ({
    key: size,
    cells: [
      { text: sizeText(SIZES[size]) },
      { text: countText(mapped) },
      { text: sizeText(mapped * SIZES[size]) },
      { text: countText(could), title: "So many at most, by alignment and backing of the memslots" },
    ],
  }));
}

/**
 * How much of the memory is in huge pages, beside how much could be.
 * @param {VmKvmStats} stats
 */
export function pagesText({ pages, splits }) {
  if (!pages) return "";
  const { huge_share: share, huge_could: could } = pages;
  const split = splits > 0 ? ` ${countText(splits)} huge pages were split in the range, to make a part of them executable.` : "";
  if (share === null) return `KVM maps none of the VM’s memory.${split}`;
  if (could === null || could === 0)
    return `${shareText(share, 1)} of what is mapped is in huge pages. What is behind the memslots gives none.${split}`;
  return `${shareText(share, 1)} of what is mapped is in huge pages; of all memory ${shareText(could, 1)} could be.${split}`;
}
