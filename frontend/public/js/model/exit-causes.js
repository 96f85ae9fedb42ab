// SPDX-License-Identifier: Apache-2.0
/** Why KVM_RUN fails on a memory fault: the usual causes, and what to look at next. */

import { NOT_SHOWN } from "./exit-words.js";

/** @typedef {Pick<import("./types.js").Exit, "errno" | "errno_name" | "flags">} Exit */

/**
 * @param {readonly Exit[]} exits
 * @param {number} pid of the VMM
 * @returns {string[]} a paragraph each
 */
export function causesOf(exits, pid) {
  const failed = new Set(exits.filter(({ flags }) => !flags.includes("private")).map((exit) => exit.errno_name));
  const asks = exits.some(({ flags }) => flags.includes("private"));
  return [
    failed.has("EFAULT") ? badAddress(pid) : "",
    failed.has("EHWPOISON") ? POISONED : "",
    asks ? PRIVATE : "",
    exits.some(({ errno }) => errno === NOT_SHOWN) ? NOT_SHOWN_ERROR : "",
  ].filter(Boolean);
}

// hva_to_pfn() of virt/kvm/kvm_main.c gives KVM_PFN_ERR_FAULT, of which KVM_RUN makes EFAULT (Linux 6.12).
/** @param {number} pid */
function badAddress(pid) {
  return (
    "EFAULT, “Bad address”, means that KVM got no host page behind the guest’s address. Usual causes: the VMM’s mapping " +
    "behind the memslot is gone or not accessible (munmap, mprotect); a balloon or MADV_DONTNEED gave the memory back " +
    "and whoever serves it by userfaultfd is gone; the hugetlb pool is empty (SIGBUS); the file behind it was truncated. " +
    "Look next at the GPA, or that of the fault before; on the host at that memory in " +
    `/proc/${pid}/smaps, at HugePages_Free in /proc/meminfo, at dmesg, and at the VMM’s own log.`
  );
}

const POISONED =
  "EHWPOISON means that the host page has a memory error. Look at dmesg for “Memory failure”, and at the host’s EDAC counters.";

const NOT_SHOWN_ERROR =
  "Where the errno is not shown, KVM_RUN failed, and the recording does not show with which error. It may be EFAULT, “Bad " +
  "address”, or a failure that no fault led to: look at the fault before it, if there is one.";

const PRIVATE =
  "An exit with the flag “private” asks the VMM to make the page private or shared (guest_memfd). Where the VMM does " +
  "so and the guest goes on, it is no error.";
