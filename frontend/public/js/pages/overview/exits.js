// SPDX-License-Identifier: Apache-2.0
/** Exits of all VMs that are looked at, where there were any: when, of which VM, its first and its last. */

import { el, setShown } from "../../base/dom.js";
import { EXIT_KINDS, exitsOf } from "../../model/exit-words.js";
import { whyText } from "../../model/causes.js";
import { linesOf, unnamedOf, vmsOf } from "../../model/exits-by-vm.js";
import { createExitsByVm } from "../../panels/tables/exits-by-vm.js";
import { viewOf } from "../../state.js";
import { getCauses } from "../../vm-api.js";
import { createFollower } from "../follow.js";
import { createRateChart } from "../rate-chart.js";

/** @typedef {import("../../model/types.js").Overview} Overview */
/** @typedef {{kind: string, rates: import("../../model/types.js").Rates}[]} ExitRates by VM, of each kind of which there were any */
/** @typedef {{rates: ExitRates, causes: readonly import("../../model/types.js").CauseOfExits[]}} Exits */

/** VMs of each kind that are named; the others are one sum. */
const MOST_VMS = 10;

/** Returns what asks for exits beside an answer: nothing where there were none. */
export function createExitQuestion() {
  const followers = new Map(EXIT_KINDS.map((kind) => [kind, createFollower()]));
  /**
   * @param {Pick<Overview, "vms">} overview
   * @param {import("../context.js").Request} request
   * @returns {Promise<Exits>}
   */
  return async ({ vms: { totals } }, { view, range, stepMs, signal }) => {
    if (exitsOf(totals) === 0) return { rates: [], causes: [] };
    const chosen = { search: view.filter, state: view.state };
    const causes = askCauses(chosen, range, signal);
    const asked = [...followers].map(async ([kind, follow]) => {
      const metric = /** @type {"memory_fault_exits"} */ (`${kind}_exits`);
      if (totals[metric] === 0) return [];
      const rates = await follow(range, { metric, by: "vm", stepMs, most: MOST_VMS, ...chosen }, signal);
      return [{ kind, rates }];
    });
    const [rates, found] = await Promise.all([Promise.all(asked), causes]);
    return { rates: rates.flat(), causes: found };
  };
}

/**
 * Why they were. Where that cannot be asked, exits are shown all the same.
 * @param {{search: string, state: string}} chosen
 * @param {import("../../model/types.js").Range} range
 * @param {AbortSignal} signal
 */
async function askCauses(chosen, range, signal) {
  try {
    return (await getCauses(chosen, range, signal)).items;
  } catch (error) {
    if (signal.aborted) throw error;
    return [];
  }
}

/**
 * @param {import("../context.js").Context} context
 * @param {(time: number | null) => void} onCursor
 */
export function createExitsCard(context, onCursor) {
  const { state } = context;
  const chart = createRateChart(context, {
    id: "exit-rates",
    title: "Memory-fault and error exits",
    onCursor,
  });
  const table = createExitsByVm((vm) => context.open(viewOf(state.get(), vm)));
  const root = el("div", { class: "stack", hidden: true }, chart.root, table.root);
  return {
    root,
    setCursor: chart.setCursor,
    destroy: chart.destroy,
    /**
     * @param {Exits} exits
     * @param {Pick<import("../rate-chart.js").RateView, "ledger" | "events" | "request" | "notes">} beside
     */
    update({ rates: exits, causes }, beside) {
      const [first] = exits;
      setShown(root, first !== undefined);
      if (first === undefined) return;
      chart.update({ rates: first.rates, lines: linesOf(exits), stacked: true, subject: "exits", ...beside }, "");
      const view = state.get();
      const { now } = beside.request;
      table.update(
        vmsOf(exits).map((of) => ({ ...of, why: whyText(causes, of.vm), href: context.hrefOf(viewOf(view, of.vm)), stepMs: first.rates.step_ms, now })),
        unnamedOf(exits),
      );
    },
  };
}
