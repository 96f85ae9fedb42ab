/** What can be lost, what each kind of it means, and what it leaves inexact. */

import { countText, words } from "./format.js";

/** What a loss spoils: the counts are too low, or only records of single faults or exits are not there. */
/** @typedef {"counts" | "records"} Spoilt */

/** By kind, as a host and the ledger name it. A batch that was dropped is a gap: no count in it is too low. */
/** @type {Record<string, {text: string, spoils: Spoilt}>} */
const KINDS = {
  uncounted: {
    text: "faults whose words were not counted: the map of counts was full, or the kernel skipped them",
    spoils: "counts",
  },
  keys_full: { text: "faults or exits that found the map of counts full", spoils: "counts" },
  unattributed: { text: "faults of which no vCPU could be told", spoils: "counts" },
  missed_runs: { text: "faults, exits or outcomes that the kernel skipped every program for", spoils: "counts" },
  unread_vcpus: { text: "vCPUs that could not be read just then, and come later", spoils: "counts" },
  unbalanced: { text: "faults on which the kernel’s own counters do not agree", spoils: "counts" },
  trace_lines: { text: "lines of a recording that could not be read", spoils: "counts" },
  trace_events: { text: "events that a recording’s buffer overran", spoils: "counts" },
  dropped: { text: "faults that were counted, whose record found the ring buffer full", spoils: "records" },
  exit_records: {
    text: "exits that were counted, whose record found the ring buffer full",
    spoils: "records",
  },
  costs: { text: "figures of what tracing costs that cannot be", spoils: "records" },
  spool_batches: { text: "batches that the collector’s spool had to drop", spoils: "records" },
};

/**
 * What a loss spoils. Of a kind that is not known here, the worst is said.
 * @param {string} kind
 * @returns {Spoilt}
 */
export function spoiltBy(kind) {
  return KINDS[kind]?.spoils ?? "counts";
}

/**
 * A loss in words, without its count.
 * @param {string} kind
 */
export function lossText(kind) {
  return KINDS[kind]?.text ?? words(kind);
}

/**
 * A loss in words: "12 exits that were counted, whose record found the ring buffer full".
 * @param {string} kind
 * @param {number} count
 */
export function lossSentence(kind, count) {
  return `${countText(count)} ${lossText(kind)}`;
}
