/** How the page names a VM. */

import { agoText } from "./time.js";

/** @typedef {import("./types.js").Vm} Vm */

/**
 * Its name, else its UUID, else its VMM and pid.
 * @param {Pick<Vm, "name" | "uuid" | "vmm" | "pid">} vm
 */
export function vmTitle(vm) {
  return vm.name || vm.uuid || `${vm.vmm || "VM"} ${vm.pid}`;
}

/**
 * What VMs are called beside one another: those of one name have their process ids too.
 * @param {readonly Pick<Vm, "id" | "name" | "uuid" | "vmm" | "pid">[]} vms
 * @returns {Map<string, string>} by id
 */
export function namesOf(vms) {
  /** @type {Map<string, number>} */
  const alike = new Map();
  for (const vm of vms) alike.set(vmTitle(vm), (alike.get(vmTitle(vm)) ?? 0) + 1);
  return new Map(
    vms.map((vm) => [vm.id, vmTitle(vm) + ((alike.get(vmTitle(vm)) ?? 0) > 1 ? ` · pid ${vm.pid}` : "")]),
  );
}

/**
 * The kind of VMM, empty where it says no more than the name: an unknown VMM is named after its process.
 * @param {Pick<Vm, "name" | "vmm">} vm
 */
export function vmmBadge(vm) {
  return vm.vmm === vm.name ? "" : vm.vmm;
}

/**
 * Whether it runs, and if not since when.
 * @param {Vm} vm
 * @param {number} now
 */
export function lifeText(vm, now) {
  return vm.ended_at === null ? "running" : `ended ${agoText(Date.parse(vm.ended_at), now)}`;
}

/**
 * Everything that a filter looks in.
 * @param {Vm} vm
 */
export function searchText(vm) {
  return [vm.name, vm.uuid, vm.vmm, vm.manager, vm.host, vm.arch, vm.pid, vm.id].join(" ").toLowerCase();
}
