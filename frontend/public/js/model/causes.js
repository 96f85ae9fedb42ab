// SPDX-License-Identifier: Apache-2.0
/** Causes of failed runs of KVM_RUN, and what was found of them, in words. */

import { countText, words } from "../base/format.js";

/** @typedef {import("./types.js").CauseOfExits} CauseOfExits */

/** @type {Partial<Record<CauseOfExits["cause"], string>>} */
const NAMES = {
  no_memslot: "No memslot",
  not_mapped: "Host address not mapped",
  prot_none: "No access allowed (PROT_NONE)",
  pfn_not_writable: "Device memory without a writable entry",
  tmpfs_full: "No room left in the file system",
  userfaultfd_gone: "Nobody provides the page (userfaultfd)",
  hwpoison: "Damaged memory (hwpoison)",
  guest_memfd_hole: "Beyond the end of the guest_memfd",
  guest_memfd_failed: "The guest_memfd gave no page",
  private_shared_mismatch: "Private and shared do not match",
  unknown: "Not known",
};

/**
 * What evidence says by a word. A word of a later version is shown as it is.
 * @type {Record<string, string>}
 */
const WORDS = {
  looked_up_last: "it was looked up last: the guest-physical address is not shown",
  only_defect_of_memslot: "it is the only defect of the memslot’s mappings: the address is not shown",
  not_loaded: "nothing was looked at: the collector’s programs for it were not loaded yet, or cannot be",
  too_many_vms: "nothing was looked at: too many VMs failed at once",
  too_many_addresses: "nothing was looked at: this VM failed at too many addresses at once",
  record_lost: "nothing was looked at: the record of the exit was lost",
  memslots: "the kernel does not show memslots",
  memslot: "the kernel shows neither a guest-physical address nor the memslot that was looked up last",
  mappings: "the kernel does not show what processes have mapped",
  process_ended: "the VMM’s process had ended, or cannot be seen",
  process_ended_since: "the VMM’s process had ended; its mappings are those of before",
};
const WORDED = new Set(["memslot_by", "found_by", "not_seen"]);

/** @param {CauseOfExits["cause"]} cause */
export function causeText(cause) {
  const name = NAMES[cause] ?? words(cause);
  return `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
}

/**
 * What was found, each with its name. Sizes are exact.
 * @param {CauseOfExits["evidence"]} evidence
 * @returns {[string, string][]}
 */
export function evidenceTexts(evidence) {
  return Object.entries(evidence).map(([name, value]) => {
    const values = Array.isArray(value) ? value : [value];
    return [name, values.map((one) => valueText(name, one)).join("; ")];
  });
}

/** @param {string} name @param {unknown} value */
function valueText(name, value) {
  if (typeof value === "object") return JSON.stringify(value);
  return (WORDED.has(name) && WORDS[String(value)]) || String(value);
}

/**
 * Why a VM's exits were, most exits first.
 * @param {readonly Pick<CauseOfExits, "vm" | "cause" | "count">[]} causes of several VMs
 * @param {string} vm
 */
export function whyText(causes, vm) {
  const its = causes.filter((item) => item.vm === vm);
  if (its.length === 1) return its.map(({ cause }) => causeText(cause)).join();
  return its.map(({ cause, count }) => `${causeText(cause)}: ${countText(count)}`).join("; ");
}
