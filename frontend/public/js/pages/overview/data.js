// SPDX-License-Identifier: Apache-2.0
/** What the overview derives from the answers: rows, key figures, the state in words. */

import { exitsOf } from "../../model/exit-words.js";
import { countText, plural, rateText } from "../../base/format.js";
import { parseSort } from "../../base/sort.js";
import { durationText } from "../../base/time.js";
import { isUncovered } from "../../charts/gaps.js";
import { sparkShape } from "../../charts/spark.js";
import { vmTitle } from "../../model/vm.js";
import { SPARK } from "../../panels/tables/vm-table.js";
import { exactness, gapsOf } from "../exactness.js";
import { aheadMessage, emptyMessage, latestLabel, newestElsewhere, uncoveredMessage } from "../messages.js";

/** @typedef {import("../../model/types.js").Vm} Vm */
/** @typedef {import("../../model/types.js").VmPage} VmPage */
/** @typedef {import("../../model/types.js").Rates} Rates */
/** @typedef {import("../../panels/tables/vm-table.js").VmRow} VmRow */
/** @typedef {import("../context.js").Request} Request */

/**
 * @typedef {object} Answer
 * @property {VmPage} vms
 * @property {Rates} rates split as the chart is
 * @property {import("../../model/types.js").StalledNow} stalled
 * @property {string} by
 * @property {import("./exits.js").Exits} exits
 * @property {import("../../model/host-types.js").Ledger} ledger
 * @property {import("../../model/host-events.js").ReadEvent[]} events
 * @property {boolean} hasMoreEvents
 * @property {import("../../model/host-types.js").Status} status
 * @property {Request} request
 */

const TEXT_COLUMNS = ["name", "host", "arch"];

/**
 * The sort after a click on a column: numbers begin with the highest, texts with the first.
 * @param {string} current
 * @param {string} column
 */
export function sortAfterClick(current, column) {
  const sort = parseSort(current);
  const descending = sort.column === column ? !sort.descending : !TEXT_COLUMNS.includes(column);
  return `${descending ? "-" : ""}${column}`;
}

/**
 * @param {Answer} answer
 * @param {(vm: string) => string} hrefOf
 * @returns {VmRow[]}
 */
export function rowsOf({ vms }, hrefOf) {
  const nameOf = (/** @type {Vm} */ vm) => `${vm.host} ${vm.pid} ${vmTitle(vm)}`;
  /** @type {Map<string, number>} */
  const alike = new Map();
  for (const vm of vms.items) alike.set(nameOf(vm), (alike.get(nameOf(vm)) ?? 0) + 1);
  return vms.items.map((vm) => {
    const spark = sparkShape(vm.trend, SPARK.width, SPARK.height);
    return { vm, spark, href: hrefOf(vm.id), isTwin: alike.get(nameOf(vm)) !== 1 };
  });
}

/**
 * @param {Answer} answer
 * @returns {import("../../panels/figures.js").Figure[]}
 */
export function figuresOf({ vms: { totals }, rates, stalled, ledger, request }) {
  // Of time that was not covered nothing is known, which is not zero.
  const known = (/** @type {number} */ count) => countText(rates.coverage.length > 0 ? count : null);
  const isChosen = isChoice(request.view);
  const exact = exactness({ coverage: rates.coverage, ledger, request }, isChosen ? "some faults" : "all faults");
  const title = exact.title;
  const note = [isChosen ? "of the VMs found" : "", exact.note].filter(Boolean).join(", ");
  return [
    {
      key: "rate",
      label: latestLabel("Guest faults", request.view),
      value: rateText(totals.rate_at_end),
      unit: "/s",
      title: "All VMs that run at the range’s end, in the newest covered step",
    },
    stalledFigure(stalled),
    { key: "faults", label: "Guest faults", value: known(totals.faults), note, title },
    {
      key: "exits",
      label: "Memory-fault exits",
      value: known(totals.memory_fault_exits),
      tone: totals.memory_fault_exits > 0 ? "warn" : "",
      leadsTo: totals.memory_fault_exits > 0 ? "exit-rates" : "",
      ...{ note, title },
    },
    {
      key: "bare",
      label: "Bare error exits",
      value: known(totals.bare_error_exits),
      tone: totals.bare_error_exits > 0 ? "bad" : "",
      leadsTo: totals.bare_error_exits > 0 ? "exit-rates" : "",
      ...{ note, title },
    },
    {
      key: "unclassified",
      label: "Unclassified error exits",
      value: known(totals.unclassified_error_exits),
      tone: totals.unclassified_error_exits > 0 ? "bad" : "",
      leadsTo: totals.unclassified_error_exits > 0 ? "exit-rates" : "",
      note,
      title: `Memory-fault exits or bare error exits, of recordings that do not show which. ${title}`,
    },
    {
      key: "vms",
      label: "VMs running",
      value: countText(totals.running),
      unit: ` of ${countText(totals.vms)}`,
      title: "At the range’s end, of the VMs that existed in the range",
    },
    { key: "hosts", label: "Hosts with VMs", value: countText(totals.hosts) },
  ];
}

/** @param {import("../../model/types.js").StalledNow} stalled @returns {import("../../panels/figures.js").Figure} */
export function stalledFigure({ outstanding, vms, oldest_s: oldest, hosts_not_shown: unknown }) {
  const note = [
    oldest === null ? "" : `${plural(vms, "VM")}, for up to ${durationText(oldest * 1000)}`,
    unknown ? `not known of ${plural(unknown, "host")}` : "",
  ];
  return {
    key: "stalled",
    label: "Stalled now",
    // With some hosts unknown, none is not known to be none.
    value: countText(outstanding === 0 && unknown ? null : outstanding),
    tone: outstanding > 0 ? "warn" : "",
    note: note.filter(Boolean).join(", "),
    title: "vCPUs that stand still for a fault now, whatever the range: each VM’s page lists them",
  };
}

/**
 * Whether not every VM is looked at.
 * @param {import("../../state.js").View} view
 */
export function isChoice({ filter, state }) {
  return filter !== "" || state !== "";
}

/**
 * Of what happened to hosts, that which concerns the VMs on show.
 * @template {{ledger: Answer["ledger"], events: Answer["events"]}} T
 * @param {T} news
 * @param {Pick<Answer, "vms" | "rates" | "request">} about
 * @returns {T}
 */
export function newsOfShown(news, { vms, rates, request }) {
  if (!isChoice(request.view)) return news;
  const shown = new Set([...rates.coverage, ...vms.items].map(({ host }) => host));
  const hosts = news.ledger.hosts.filter(({ host }) => shown.has(host));
  return {
    ...news,
    ledger: { ...news.ledger, hosts },
    events: news.events.filter(({ host }) => shown.has(host)),
  };
}

/**
 * What is to be said where there is nothing to see.
 * @param {Answer} answer
 * @param {import("../../state.js").State} state
 */
export function messageOf({ vms: { totals }, rates, status, request }, state) {
  if (request.range.from >= request.now) return aheadMessage(state);
  const isChosen = isChoice(request.view);
  // Where no VM is as it was chosen, there is nothing to say of any; the table says so.
  if (totals.vms === 0 && isChosen) return null;
  if (isUncovered(rates.coverage, request.range)) return uncoveredMessage(request, state, newestElsewhere(request, state, status));
  if (totals.faults + exitsOf(totals) === 0)
    return emptyMessage(
      "No fault of a VM was seen in this range.",
      request,
      state,
      gapsOf(rates.coverage, request).length === 0,
      newestElsewhere(request, state, status),
    );
  return null;
}
