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
  return Object.entries(evidence).map(([name, value]) => [name, Array.isArray(value) ? value.join("; ") : valueText(value)]);
}

/** @param {unknown} value */
function valueText(value) {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
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
