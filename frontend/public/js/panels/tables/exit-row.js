// SPDX-License-Identifier: Apache-2.0
/** One exit as a table's row. */

import { el } from "../../base/dom.js";
import { causeText } from "../../model/causes.js";
import { errnoText, kindText, reasonText } from "../../model/exit-words.js";
import { NONE, sizeText, words } from "../../base/format.js";
import { addressCell } from "./address-cell.js";
import { exactTime } from "../exact-time.js";

/** @typedef {import("../../base/paged-list.js").Keyed<import("../../model/types.js").Exit>} KeyedExit */

/**
 * @param {KeyedExit} exit
 * @returns {import("../../base/dom.js").Row<KeyedExit>}
 */
export function createExitRow(exit) {
  const { kind, size } = exit;
  const reason = reasonText(exit);
  const root = el(
    "tr",
    { "data-kind": kind },
    el("td", { class: "nowrap" }, exactTime(exit.time)),
    el("td", { class: "number" }, String(exit.vcpu)),
    el("td", {}, el("span", { class: `kind ${kind}` }, kindText(kind))),
    el("td", { title: reason.title }, reason.text),
    el("td", {}, errnoText(exit)),
    el("td", {}, exit.cause === null ? muted(NONE) : causeText(exit.cause)),
    exit.gpa === null && !exit.nested ? absentCell(exit) : addressCell(exit),
    el("td", { class: "number nowrap", title: size === null ? null : `${size} bytes` }, sizeText(size)),
    flagsCell(exit),
    syndromeCell(exit),
  );
  // An exit never changes once it is recorded.
  return { root, update: () => undefined };
}

/** @param {string} text */
const muted = (text) => el("span", { class: "muted" }, text);

/**
 * An error exit bears no address; the fault before it on this vCPU had one, mostly the same.
 * @param {KeyedExit} exit
 */
function absentCell({ kind, syndrome }) {
  const before = syndrome && addressBefore(syndrome);
  const title = kind === "memory_fault" ? "The kernel or the recording does not show it" : "An error exit has no address";
  return el(
    "td",
    { title },
    el("span", { class: "nowrap" }, muted("not shown")),
    before && el("span", { class: "nowrap" }, muted(" (fault before: "), el("code", {}, before), muted(")")),
  );
}

// With shadow paging a fault's address is guest-virtual.
/** @param {import("../../model/types.js").RawSyndrome} syndrome */
function addressBefore({ format, words: all }) {
  return format === "pferr" ? undefined : (all["address"] ?? all["ipa"]);
}

/** @param {KeyedExit} exit */
function flagsCell({ flags, flags_raw: raw }) {
  const badges = flags.map((flag) => el("span", { class: "badge outline" }, words(flag)));
  const title = raw === null ? "KVM shows no flags" : `flags ${raw}`;
  return el("td", { title }, ...(badges.length > 0 ? badges : [muted(raw ?? NONE)]));
}

/** @param {KeyedExit} exit */
function syndromeCell({ syndrome }) {
  if (!syndrome) return el("td", {}, muted(NONE));
  const title = Object.entries(syndrome.words).map(([name, word]) => `${name} ${word}`);
  return el(
    "td",
    { class: "nowrap", title: title.join("\n") },
    el("code", {}, `${syndrome.format} ${syndrome.word}`),
  );
}
