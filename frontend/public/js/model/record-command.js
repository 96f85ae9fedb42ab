// SPDX-License-Identifier: Apache-2.0
/** The command that has every fault of a VM recorded for a while. */

/** @typedef {import("./host-types.js").Collector} Collector */
/** @typedef {Pick<import("./types.js").Vm, "name" | "vmm" | "reported_id">} Named */

const PROGRAM = "kvmfaults-collector";

/**
 * @param {Named} vm
 * @param {Collector | null} collector of its host
 */
export function recordCommand(vm, collector) {
  const program = collector && collector.program !== "" ? collector.program : PROGRAM;
  const directory = collector ? ["--data-dir", collector.data_dir] : [];
  return [program, "record", nameOf(vm), "--for", "60", ...directory].map(quoted).join(" ");
}

/**
 * Where the command is to be run, before it.
 * @param {Collector | null} collector
 */
export function recordPlace(collector) {
  if (collector?.in_container) return "run in the container of its host's collector: ";
  return "run on its host, as the collector's user: ";
}

/**
 * What is to be minded of the command, after it; empty where it can be used as it is.
 * @param {Collector | null} collector
 */
export function recordNote(collector) {
  if (collector === null) {
    return " Where its collector is installed is not known: add the program's path, and its --data-dir.";
  }
  return collector.program === "" ? " The path of its collector's program is not known: add it." : "";
}

/**
 * By its own name where it has one that reads as it is, else by its id: an unknown VMM is named after its process, as
 * others may be; a name with characters that do not show may hold anything; one with a dash is taken for an option.
 * @param {Named} vm
 */
function nameOf({ name, vmm, reported_id: id }) {
  return name === "" || name === vmm || name.startsWith("-") || !isShown(name) ? id : name;
}

// The server puts U+FFFD in the place of what does not show.
/** @param {string} text */
function isShown(text) {
  return !/[\p{C}\p{Zl}\p{Zp}\uFFFD]/u.test(text);
}

// As a shell reads one word.
/** @param {string} text */
function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
