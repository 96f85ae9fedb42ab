// SPDX-License-Identifier: Apache-2.0
/** What a VM's page derives from the answers: key figures and lines. */

import { knownLook } from "../../base/color.js";
import { kindText } from "../../model/exit-words.js";
import { countText, rateText } from "../../base/format.js";
import { exactness } from "../exactness.js";
import { latestLabel } from "../messages.js";
import { CAUSES_CARD, knowsCauses } from "./causes-card.js";

/** @typedef {import("./page.js").Answer} Answer */
/** @typedef {import("../../charts/series.js").NamedLine} NamedLine */

/**
 * @param {Answer} answer
 * @returns {import("../../panels/figures.js").Figure[]}
 */
export function figuresOf({ vm, faults, ledger, request, cards }) {
  // Of time that was not covered nothing is known, which is not zero.
  const known = (/** @type {number} */ count) => countText(faults.coverage.length > 0 ? count : null);
  const counted = { coverage: faults.coverage, ledger, request };
  const exitsAt = knowsCauses(cards) ? CAUSES_CARD.id : "exits";
  const [ofFaults, ofExits] = [exactness(counted, "faults"), exactness(counted, "exits")];
  return [
    {
      key: "rate",
      label: latestLabel("Guest faults", request.view),
      value: rateText(vm.rate_at_end),
      unit: "/s",
      title: "In the newest covered step",
    },
    {
      key: "mean",
      label: "Mean rate",
      value: rateText(vm.fault_rate),
      unit: "/s",
      title: "Per second of covered time in the range",
    },
    { key: "faults", label: "Guest faults", value: known(vm.faults), ...ofFaults },
    {
      key: "exits",
      label: "Memory-fault exits",
      value: known(vm.memory_fault_exits),
      title: ofExits.title,
      note: [`${rateText(vm.exit_rate)} /s`, ofExits.note].filter(Boolean).join(", "),
      tone: vm.memory_fault_exits > 0 ? "warn" : "",
      leadsTo: vm.memory_fault_exits > 0 ? exitsAt : "",
    },
    {
      key: "bare",
      label: "Bare error exits",
      value: known(vm.bare_error_exits),
      ...ofExits,
      tone: vm.bare_error_exits > 0 ? "bad" : "",
      leadsTo: vm.bare_error_exits > 0 ? exitsAt : "",
    },
    {
      key: "unclassified",
      label: "Unclassified error exits",
      value: known(vm.unclassified_error_exits),
      note: ofExits.note,
      tone: vm.unclassified_error_exits > 0 ? "bad" : "",
      leadsTo: vm.unclassified_error_exits > 0 ? exitsAt : "",
      title: "Memory-fault exits or bare error exits, of a recording that does not show which",
    },
    {
      key: "vcpus",
      label: "vCPUs with faults or exits",
      value: countText(vm.vcpu_count),
      title: "Those that ever had any; one that never had is not seen",
    },
  ];
}

/**
 * The kinds of exits as lines.
 * @param {Pick<Answer, "exitRates" | "faults">} answer
 * @returns {NamedLine[]}
 */
export function exitLines({ exitRates, faults }) {
  return exitRates.map(({ kind, rates }) => {
    const series = rates?.series[0];
    const look = knownLook(kind) ?? { colour: "series-1", dash: "solid" };
    // Where there was no exit, each step says what it says of faults that there were none of.
    const values = series?.values ?? faults.quiet;
    return { key: kind, label: kindText(kind), values, total: series?.total ?? 0, ...look };
  });
}
