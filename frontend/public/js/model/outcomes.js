// SPDX-License-Identifier: Apache-2.0
/** How faults end, in words. */

import { words } from "../base/format.js";

/** @typedef {import("./types.js").EndedFaults} EndedFaults */

/** @type {Record<EndedFaults["outcome"], string>} */
const MEANINGS = {
  unknown: "The kernel did not show how it ended",
  mapped_4k: "KVM mapped a page of 4 KiB",
  mapped_2m: "KVM mapped a page of 2 MiB",
  mapped_1g: "KVM mapped a page of 1 GiB",
  mapped: "KVM mapped a page; the kernel does not show of which size",
  fast: "Fixed without the MMU lock",
  spurious: "Fixed already, by another vCPU",
  write_protected: "A write to a page that KVM watches: it emulated the instruction",
  mmio: "An access to where no memory is",
  emulated: "KVM emulated the instruction",
  retried: "The vCPU faulted in the same way as just before, and nothing that shows was done about either",
  exit: "KVM_RUN failed: a memory-fault or bare error exit",
  access_flag: "The page was there, and is marked as used",
  nisv: "An access of which the hardware gave no syndrome, handed to user space",
  reflected: "Handed to the guest’s own hypervisor",
  resumed: "The guest went on, and the kernel does not show why it could",
  async: "The guest was asked to do something else until the page is there",
};

/**
 * What an outcome is called, and what it means.
 * @param {Pick<EndedFaults, "outcome" | "derived" | "layer">} ended
 */
export function outcomeText({ outcome, derived, layer }) {
  const name = words(outcome).replace("mmio", "MMIO").replace("nisv", "NISV");
  const note = derived ? ". By the order of events: none of this kernel’s says so" : "";
  return {
    text: layer === "l2" ? `${name}, of its own guest` : name,
    title: `${MEANINGS[outcome] ?? words(outcome)}${note}`,
  };
}
