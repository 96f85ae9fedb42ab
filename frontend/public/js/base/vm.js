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
 * What VMs are called beside one another: those of one name have their process ids too, those of one process as
 * well the beginning of their own ids.
 * @param {readonly Pick<Vm, "id" | "name" | "uuid" | "vmm" | "pid">[]} vms
 * @returns {Map<string, string>} by id
 */
export function namesOf(vms) {
  const alike = countsOf(vms.map(vmTitle));
  const twins = countsOf(vms.map(nameAndPid));
  return new Map(
    vms.map((vm) => {
      if (alike.get(vmTitle(vm)) === 1) return [vm.id, vmTitle(vm)];
      const isTwin = twins.get(nameAndPid(vm)) !== 1;
      return [vm.id, nameAndPid(vm) + (isTwin ? ` · ${vm.id.slice(0, 4)}` : "")];
    }),
  );
}

/** @param {Pick<Vm, "name" | "uuid" | "vmm" | "pid">} vm */
function nameAndPid(vm) {
  return `${vmTitle(vm)} · pid ${vm.pid}`;
}

/** @param {string[]} texts */
function countsOf(texts) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return counts;
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
