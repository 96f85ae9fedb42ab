// SPDX-License-Identifier: Apache-2.0
/** How the page names a VM. */

import { whenText } from "../base/time.js";

/** @typedef {import("./types.js").Vm} Vm */

/**
 * Its name, else its UUID, else its VMM and pid.
 * @param {Pick<Vm, "name" | "uuid" | "vmm" | "pid">} vm
 */
export function vmTitle(vm) {
  return vm.name || vm.uuid || `${vm.vmm || "VM"} ${vm.pid}`;
}

/**
 * The kind of VMM, empty where it says no more than the name: an unknown VMM is named after its process.
 * @param {Pick<Vm, "name" | "vmm">} vm
 */
export function vmmBadge(vm) {
  return vm.vmm === vm.name ? "" : vm.vmm;
}

/**
 * Whether it ran at the range's end, and if not when it ended.
 * @param {Vm} vm
 */
export function lifeText({ running, ended_at: ended, last_seen: seen }) {
  if (running) return "running";
  const at = Date.parse(ended ?? seen);
  return ended === null ? `last seen ${whenText(at, Date.now())}` : `ended ${whenText(at, Date.now())}`;
}
