// SPDX-License-Identifier: Apache-2.0
/** What can be lost, what each kind of it means, and what it leaves inexact. */

import { countText, forCount, words } from "../base/format.js";

/** What a loss spoils: the counts are too low, or only records of single faults or exits are not there. */
/** @typedef {"counts" | "records"} Spoilt */

/** By kind, as a host and the ledger name it. A batch that was dropped is a gap: no count in it is too low. */
/** @type {Record<string, {one: string, many: string, spoils: Spoilt}>} */
const KINDS = {
  uncounted: {
    one: "fault whose words were not counted: the map of counts was full, or the kernel skipped it",
    many: "faults whose words were not counted: the map of counts was full, or the kernel skipped them",
    spoils: "counts",
  },
  keys_full: {
    one: "fault or exit that found the map of counts full",
    many: "faults or exits that found the map of counts full",
    spoils: "counts",
  },
  unattributed: {
    one: "fault whose vCPU is not known",
    many: "faults whose vCPU is not known",
    spoils: "counts",
  },
  missed_runs: {
    one: "fault, exit or outcome for which the kernel skipped every program",
    many: "faults, exits or outcomes for which the kernel skipped every program",
    spoils: "counts",
  },
  unread_vcpus: {
    one: "vCPU that could not be read just then, and comes later",
    many: "vCPUs that could not be read just then, and come later",
    spoils: "counts",
  },
  unbalanced: {
    one: "fault on which the kernel’s own counters do not agree",
    many: "faults on which the kernel’s own counters do not agree",
    spoils: "counts",
  },
  trace_lines: {
    one: "line of a recording that could not be read",
    many: "lines of a recording that could not be read",
    spoils: "counts",
  },
  trace_events: {
    one: "event that a recording’s buffer overran",
    many: "events that a recording’s buffer overran",
    spoils: "counts",
  },
  dropped: {
    one: "fault that was counted, whose record found the ring buffer full",
    many: "faults that were counted, whose record found the ring buffer full",
    spoils: "records",
  },
  exit_records: {
    one: "exit that was counted, whose record found the ring buffer full",
    many: "exits that were counted, whose record found the ring buffer full",
    spoils: "records",
  },
  stalls_full: {
    one: "fault that was counted, and whose stall found the map of stalls full",
    many: "faults that were counted, and whose stalls found the map of stalls full",
    spoils: "records",
  },
  waits_full: {
    one: "sleep within a fault, of which it is not known what for",
    many: "sleeps within faults, of which it is not known what for",
    spoils: "records",
  },
  costs: {
    one: "impossible figure of what tracing costs",
    many: "impossible figures of what tracing costs",
    spoils: "records",
  },
  spool_batches: {
    one: "batch that the collector’s spool had to drop",
    many: "batches that the collector’s spool had to drop",
    spoils: "records",
  },
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
 * @param {number} count
 */
export function lossText(kind, count) {
  const known = KINDS[kind];
  return known ? forCount(count, known.one, known.many) : words(kind);
}

/**
 * A loss in words: "12 exits that were counted, whose record found the ring buffer full".
 * @param {string} kind
 * @param {number} count
 */
export function lossSentence(kind, count) {
  return `${countText(count)} ${lossText(kind, count)}`;
}
