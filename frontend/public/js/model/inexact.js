// SPDX-License-Identifier: Apache-2.0
/** Steps in which something is known to be lost, as the ledger has it: how much, and what that leaves inexact. */

import { lossSentence, spoiltBy } from "./losses.js";
import { countText } from "../base/format.js";
import { clockText } from "../base/time.js";

/** @typedef {import("./host-types.js").Ledger} Ledger */
/** @typedef {import("./host-types.js").LedgerLine} LedgerLine */

/**
 * @typedef {object} Inexact a run of steps
 * @property {number} from UTC ms
 * @property {number} to
 * @property {Map<string, number>} lost by kind
 * @property {boolean} isTooLow whether counts in it are too low; else only records are not there
 */

/**
 * What a chart shows: the faults of every VM, of those that were chosen, or the faults or the exits of one.
 * @typedef {"all faults" | "some faults" | "faults" | "exits"} Subject
 */

/** Losses that leave one VM's counts as they are, or that its own ledger shows better. */
/** @type {Record<Subject, string[]>} */
const BESIDE = {
  "all faults": [],
  "some faults": [],
  faults: ["keys_full", "exit_records"],
  exits: ["uncounted", "dropped"],
};

/** What the ledger says of a VM itself. Other losses are those of its host, and may be any VM's. */
const OWN = ["uncounted", "dropped"];

/**
 * Find the runs of steps in which something was lost.
 * @param {Ledger} ledger
 * @param {Subject} subject
 * @returns {Inexact[]} in order of time
 */
export function findInexact(ledger, subject) {
  const lines = lossLines(ledger).filter(([kind]) => !BESIDE[subject].includes(kind));
  /** @type {Inexact[]} */
  const found = [];
  ledger.times_ms.forEach((from, at) => {
    const lost = new Map(lines.map(([kind, line]) => [kind, line[at] ?? 0]));
    for (const [kind, count] of lost) if (count <= 0) lost.delete(kind);
    if (lost.size === 0) return;
    const isTooLow = [...lost.keys()].some((kind) => spoiltBy(kind) === "counts");
    const last = found.at(-1);
    if (last && last.to === from && last.isTooLow === isTooLow) extend(last, ledger.step_ms, lost);
    else found.push({ from, to: from + ledger.step_ms, lost, isTooLow });
  });
  return found;
}

/** @param {Inexact} run @param {number} stepMs @param {Map<string, number>} lost */
function extend(run, stepMs, lost) {
  run.to += stepMs;
  for (const [kind, count] of lost) run.lost.set(kind, (run.lost.get(kind) ?? 0) + count);
}

/** @param {Ledger} ledger @returns {[string, number[]][]} counts of each step, by kind */
function lossLines({ times_ms: times, vms, hosts }) {
  const sum = (/** @type {(LedgerLine | undefined)[]} */ lines) =>
    times.map((_, at) => lines.reduce((total, line) => total + (line?.values[at] ?? 0), 0));
  const kinds = [...new Set(hosts.flatMap((host) => Object.keys(host.lost)))];
  return [
    ["uncounted", sum(vms.map((vm) => vm.uncounted))],
    ["dropped", sum(vms.map((vm) => vm.dropped))],
    ...kinds.map(
      /** @returns {[string, number[]]} */ (kind) => [kind, sum(hosts.map((host) => host.lost[kind]))],
    ),
  ];
}

/**
 * How many counts a run lacks.
 * @param {Inexact} run
 */
export function lackOf({ lost }) {
  return [...lost].reduce((sum, [kind, count]) => sum + (spoiltBy(kind) === "counts" ? count : 0), 0);
}

/**
 * What was lost in a run, in words.
 * @param {Inexact} run
 * @param {Subject} subject
 */
export function inexactText({ from, to, lost, isTooLow }, subject) {
  const parts = [...lost].map(([kind, count]) => lossWords(kind, count, subject));
  const span = `${clockText(from)} – ${clockText(to)}`;
  return `${isTooLow ? "Not exact" : "Counts are exact"} ${span}, lost: ${parts.join("; ")}`;
}

/** @param {string} kind @param {number} count @param {Subject} subject */
function lossWords(kind, count, subject) {
  const isKnownWhose = subject === "all faults" || (OWN.includes(kind) && subject !== "some faults");
  return lossSentence(kind, count) + (isKnownWhose ? "" : " (any VM of its host)");
}

/**
 * What the counts of a whole range lack, or may lack, in words; "" where they lack nothing.
 * @param {Ledger} ledger
 * @param {Subject} subject
 */
export function lackText(ledger, subject) {
  /** @type {Map<string, number>} */
  const lacks = new Map();
  for (const { lost } of findInexact(ledger, subject)) {
    for (const [kind, count] of lost) {
      if (spoiltBy(kind) === "counts") lacks.set(kind, (lacks.get(kind) ?? 0) + count);
    }
  }
  return [...lacks].map(([kind, count]) => lossWords(kind, count, subject)).join("; ");
}

/**
 * What to write on a run.
 * @param {Inexact} run
 */
export function inexactLabel(run) {
  return `not exact: ${countText(lackOf(run))} lost`;
}
