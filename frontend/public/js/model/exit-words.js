// SPDX-License-Identifier: Apache-2.0
/** Exits to user space in words: kinds, reasons and errors. */

import { words } from "../base/format.js";

/** @typedef {import("./types.js").Exit["kind"]} ExitKind */

/** @type {Record<string, string>} */
const KINDS = {
  memory_fault: "memory fault",
  bare_error: "bare error",
  unclassified_error: "unclassified error",
};

/** In place of a reason or an errno, where a recording does not show it. No kernel uses this number. */
export const NOT_SHOWN = 0xffff_ffff;
/** Every kind of exit, in the order in which they are shown. */
export const EXIT_KINDS = Object.keys(KINDS);

/** @param {string} kind */
export function kindText(kind) {
  return KINDS[kind] ?? words(kind);
}

/**
 * An exit's reason: a short text, and what it means in full.
 * @param {{reason: number, reason_name: string, errno: number}} exit
 */
export function reasonText({ reason, reason_name: name, errno }) {
  if (reason === NOT_SHOWN) return { text: "not shown", title: "The recording does not show the exit reason" };
  if (reason === 0 && errno === NOT_SHOWN)
    return { text: "not set", title: `${name} (0): KVM_RUN failed, and the recording does not show the error` };
  if (reason === 0 && errno !== 0)
    return { text: "not set", title: `${name} (0): KVM set no reason, as with every bare error` };
  return { text: `${name} (reason ${reason})`, title: `KVM’s exit reason ${reason}` };
}

/** @param {{errno: number, errno_name: string}} exit */
export function errnoText({ errno, errno_name: name }) {
  if (errno === NOT_SHOWN) return "not shown";
  return errno === 0 ? "none" : `${name} (errno ${errno})`;
}

/**
 * How many exits a VM or a vCPU made on memory faults, of every kind.
 * @param {{memory_fault_exits: number, bare_error_exits: number, unclassified_error_exits: number}} counts
 */
export function exitsOf(counts) {
  return counts.memory_fault_exits + counts.bare_error_exits + counts.unclassified_error_exits;
}
