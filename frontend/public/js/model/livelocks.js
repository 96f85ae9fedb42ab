// SPDX-License-Identifier: Apache-2.0
/** Livelocks of vCPUs in words: where, by what, for how long, and what to look at. */

import { countText, forCount } from "../base/format.js";

/** @typedef {import("./types.js").Livelock} Livelock */

export const LIVELOCK_MEANING =
  "A vCPU takes the same fault again and again: KVM maps nothing that stays, so the guest does not go on at this instruction.";
export const LIVELOCK_ADVICE =
  "Look at what backs the address (a guest_memfd, a device, memory that the host keeps taking back), and whether it may be " +
  "accessed in this way; at whether the host is taking back memory, and never ends; and at the kernel’s version. Faults like " +
  "these cost a whole CPU; the VM can be stopped as usual.";

/**
 * Where the fault is, with what is shown of it.
 * @param {Pick<Livelock, "gpa" | "gva">} livelock
 */
export function placeText({ gpa, gva }) {
  if (gpa === null) return gva === null ? "not shown" : `${gva} (guest-virtual)`;
  return gpa;
}

/**
 * What the hardware said.
 * @param {Pick<Livelock, "format" | "syndrome" | "decoded">} livelock
 */
export function wordText({ format, syndrome, decoded }) {
  if (syndrome === null) return { text: "not shown" };
  const raw = `${format} ${syndrome}`;
  return decoded === null ? { text: raw } : { text: decoded.summary, title: raw };
}

/**
 * What the host did with the VM's memory meanwhile, as far as it is shown.
 * @param {Pick<Livelock, "invalidate_seq" | "invalidating">} livelock
 */
export function invalidationText({ invalidate_seq: sequence, invalidating }) {
  if (invalidating === null) return { text: "not shown" };
  const title = sequence === null ? "" : `mmu_invalidate_seq ${sequence}`;
  return { text: invalidating ? "under way" : "none under way", title };
}

/** @param {readonly Livelock[]} livelocks */
export function livelocksSentence(livelocks) {
  const open = livelocks.filter(({ until }) => until === null);
  const vcpus = new Set(open.map(({ vcpu }) => vcpu)).size;
  const faults = livelocks.reduce((sum, item) => sum + item.faults, 0);
  const first =
    vcpus === 0
      ? "All of them are over."
      : `${forCount(vcpus, "1 vCPU was", `${countText(vcpus)} vCPUs were`)} still in one when seen last.`;
  return `${first} ${forCount(faults, "1 fault", `${countText(faults)} faults`)} in all.`;
}
