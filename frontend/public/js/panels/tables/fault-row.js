// SPDX-License-Identifier: Apache-2.0
/** One recorded guest fault as a table's row. */

import { NONE, countText } from "../../base/format.js";
import { el } from "../../base/dom.js";
import { addressCell } from "./address-cell.js";
import { exactTime } from "../exact-time.js";

/** @typedef {import("../../base/paged-list.js").Keyed<import("../../model/types.js").Fault>} KeyedFault */

/** What each architecture calls the guest's program counter. */
const PROGRAM_COUNTERS = ["rip", "pc", "sepc"];
const LEVELS = /** @type {Record<string, string>} */ ({ "0x1": "4 KiB", "0x2": "2 MiB", "0x3": "1 GiB" });

/**
 * @param {KeyedFault} fault
 * @returns {import("../../base/dom.js").Row<KeyedFault>}
 */
export function createFaultRow(fault) {
  const { time, vcpu, access, memslot, weight, software, syndrome } = fault;
  const level = software.level;
  const counter = PROGRAM_COUNTERS.map((name) => syndrome?.words[name]).find(Boolean);
  const root = el(
    "tr",
    {},
    el("td", { class: "nowrap" }, exactTime(time)),
    el("td", { class: "number" }, String(vcpu)),
    el("td", {}, el("span", { class: "access", "data-access": access }, access)),
    addressCell(fault),
    syndromeCell(fault),
    code(counter),
    el("td", { class: "nowrap" }, level ? (LEVELS[level] ?? level) : muted(NONE)),
    el("td", { class: "number" }, memslot === null ? muted(NONE) : String(memslot)),
    el("td", { class: "number", title: WEIGHT }, countText(weight)),
  );
  // A fault never changes once it is recorded.
  return { root, update: () => undefined };
}

const WEIGHT = "Its weight: the faults of this vCPU since the one recorded before, this one included";

/** @param {string} text */
const muted = (text) => el("span", { class: "muted" }, text);

/** @param {string | null | undefined} word */
const code = (word) => el("td", { class: "nowrap" }, word ? el("code", {}, word) : muted(NONE));

/** @param {KeyedFault} fault */
function syndromeCell({ syndrome, software, summary, private: isPrivate }) {
  if (!syndrome) return el("td", {}, muted("none shown"));
  const words = Object.entries(syndrome.words).map(([name, word]) => `${name} ${word}`);
  const worked = Object.entries(software).map(([name, word]) => `${name} ${word} (KVM)`);
  return el(
    "td",
    { class: "syndrome-cell", title: [...words, ...worked].join("\n") },
    el(
      "span",
      { class: "nowrap" },
      el("span", { class: "muted" }, `${syndrome.format} `),
      el("code", {}, syndrome.word),
    ),
    el("span", { class: "syndrome-meaning" }, summary),
    isPrivate && el("span", { class: "badge outline" }, "private"),
  );
}
