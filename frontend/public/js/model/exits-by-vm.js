// SPDX-License-Identifier: Apache-2.0
/** Exits of many VMs, from rates by VM of each kind: lines of a chart, and what each VM had. */

import { knownLook } from "../base/color.js";
import { sumOf } from "../base/values.js";
import { kindText } from "./exit-words.js";

/** @typedef {import("./types.js").Rates} Rates */
/** @typedef {import("../charts/series.js").NamedLine} NamedLine */
/** @typedef {readonly {kind: string, rates: Pick<Rates, "series" | "others" | "quiet" | "times_ms">}[]} ExitRates */

/**
 * @typedef {object} VmExits
 * @property {string} vm its id
 * @property {string} label
 * @property {string} kind
 * @property {number} count in the steps shown
 * @property {number} firstMs begin of the first step with any, and of the last
 * @property {number} lastMs
 */

/**
 * A line for each kind: those of all VMs together.
 * @param {ExitRates} exits
 * @returns {NamedLine[]}
 */
export function linesOf(exits) {
  return exits.map(({ kind, rates: { series, others, quiet } }) => {
    const all = others ? [...series, others] : series;
    // Where a VM was not there, its host may have been covered all the same.
    const values = quiet.map((none, at) => sumOf([none, ...all.map((one) => one.values[at])]));
    const total = all.reduce((sum, one) => sum + one.total, 0);
    return { key: kind, label: kindText(kind), values, total, ...(knownLook(kind) ?? { colour: "series-1", dash: "solid" }) };
  });
}

/**
 * What each VM had of each kind, the last to exit first.
 * @param {ExitRates} exits
 * @returns {VmExits[]}
 */
export function vmsOf(exits) {
  return exits
    .flatMap(({ kind, rates: { series, times_ms: times } }) =>
      series.flatMap(({ key, label, total, counts }) => {
        const any = times.filter((_, at) => (counts[at] ?? 0) > 0);
        const [firstMs, lastMs] = [any[0], any.at(-1)];
        if (firstMs === undefined || lastMs === undefined) return [];
        return [{ vm: key, label, kind, count: total, firstMs, lastMs }];
      }),
    )
    .sort((a, b) => b.lastMs - a.lastMs || b.count - a.count || a.label.localeCompare(b.label));
}

/**
 * How many VMs are not named.
 * @param {ExitRates} exits
 */
export function unnamedOf(exits) {
  return Math.max(0, ...exits.map(({ rates }) => rates.others?.count ?? 0));
}
