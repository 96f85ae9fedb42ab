// SPDX-License-Identifier: Apache-2.0
/** The panels of a guest's page. */

import { knownLook, stickyPlaces } from "../../base/color.js";
import { el, setShown } from "../../base/dom.js";
import { countText, plural, rateText } from "../../base/format.js";
import { biggestKeys, namedLines } from "../../charts/series.js";
import { kindText } from "../../model/exit-words.js";
import { guestMarks } from "../../model/guest-events.js";
import { createFigures } from "../../panels/figures.js";
import { createFlags } from "../../panels/flags.js";
import { createGuestHeader } from "../../panels/guest-header.js";
import { createMessage } from "../../panels/message.js";
import { createLives } from "../../panels/tables/lives.js";
import { createSyndromes } from "../../panels/tables/syndromes.js";
import { viewOf } from "../../state.js";
import { leftOutNotes } from "../chart-notes.js";
import { exactness } from "../exactness.js";
import { createReasons, createVcpus, moreVcpus, reasonRows, vcpuRows } from "../exits-and-vcpus.js";
import { latestLabel } from "../messages.js";
import { createRateCharts } from "../rate-chart.js";

/** @typedef {import("./page.js").Answer} Answer */
/** @typedef {import("../context.js").Context} Context */

/**
 * What the chart of faults can be split by.
 * @type {[string, string][]}
 */
export const GUEST_SPLITS = [
  ["vm", "VM"],
  ["access", "access"],
  ["flag", "flag"],
  ["level", "level"],
];

const MOST_LINES = 12;

/**
 * @param {Context} context
 * @param {object} actions
 * @param {(event: Event) => void} actions.goBack
 * @param {() => Promise<void>} actions.moreWords
 */
export function createGuestView(context, { goBack, moreWords }) {
  const { state } = context;
  const header = createGuestHeader(goBack);
  const figures = createFigures();
  const charts = createCharts(context);
  const lives = createLives({
    title: "VMs of this guest",
    note: "that existed in the range",
    onOpen: (vm) => context.open(viewOf(state.get(), vm)),
  });
  const flags = createFlags();
  const reasons = createReasons();
  const vcpus = createVcpus("those of its VMs with one number together");
  const syndromes = createSyndromes(moreWords);
  const instead = createMessage("h1");
  const content = el(
    "div",
    { class: "page-content", hidden: true },
    header.root,
    el("section", { class: "card figures-card", "aria-label": "Key figures" }, figures.root),
    ...charts.roots,
    lives.root,
    flags.root,
    el("div", { class: "columns" }, reasons.root, vcpus.root),
    syndromes.root,
  );
  return {
    root: el("div", { class: "page vm" }, instead.root, content),
    showMessage: instead.update,
    destroy: charts.destroy,
    /** @param {Answer} answer */
    show(answer) {
      const { guest, request } = answer;
      setShown(content, true);
      instead.update(null);
      header.update(guest, request.now, context.hrefOf(viewOf(state.get(), null)));
      figures.update(figuresOf(answer));
      charts.show(answer);
      const rows = guest.vms.map((vm) => ({ vm, href: context.hrefOf(viewOf(state.get(), vm.id)), isShown: false }));
      lives.update(rows, guest.vms_left_out > 0 ? `and ${plural(guest.vms_left_out, "more VM")}` : "");
      flags.update(answer.flags);
      reasons.update(reasonRows(guest));
      vcpus.update(vcpuRows(guest), moreVcpus(guest));
      syndromes.update(answer.syndromes, answer.flags.total);
    },
  };
}

/** @param {Context} context */
function createCharts(context) {
  const { faults, exits, roots, destroy } = createRateCharts(context, GUEST_SPLITS);
  const places = stickyPlaces();
  return {
    roots,
    /** @param {Answer} answer */
    show(answer) {
      const { by, ledger, events, request, guest } = answer;
      const hosts = new Map(guest.vms.map((vm) => [vm.id, vm.host]));
      const placed = places(biggestKeys(answer.faults.series, MOST_LINES));
      const lines = namedLines(answer.faults.series, answer.faults.others, placed, ({ key, label }) =>
        by === "vm" && hosts.has(key) ? `${label} on ${hosts.get(key)}` : label,
      );
      const notes = leftOutNotes({ hasMoreEvents: answer.hasMoreEvents });
      const beside = { ledger, events, request, notes, marks: guestMarks(guest.events), subject: SUBJECT };
      // Flags overlap: they are lines, not parts of a whole.
      faults.update({ rates: answer.faults, lines, stacked: by !== "flag", ...beside }, by);
      exits.update({ rates: answer.faults, lines: exitLines(answer), stacked: true, ...beside }, "");
    },
    destroy,
  };
}

/** Several VMs, perhaps of several hosts: these are named. */
const SUBJECT = /** @type {const} */ ("some faults");

/** @param {Answer} answer @returns {import("../../charts/series.js").NamedLine[]} */
function exitLines({ exitRates, faults }) {
  return exitRates.map(({ kind, rates }) => {
    const series = rates?.series[0];
    const look = knownLook(kind) ?? { colour: "series-1", dash: "solid" };
    const values = series?.values ?? faults.quiet;
    return { key: kind, label: kindText(kind), values, total: series?.total ?? 0, ...look };
  });
}

/** @param {Answer} answer @returns {import("../../panels/figures.js").Figure[]} */
function figuresOf({ guest, faults, ledger, request }) {
  // Of time that was not covered nothing is known, which is not zero.
  const known = (/** @type {number} */ count) => countText(faults.coverage.length > 0 ? count : null);
  const exact = exactness({ coverage: faults.coverage, ledger, request }, SUBJECT);
  return [
    {
      key: "rate",
      label: latestLabel("Guest faults", request.view),
      value: rateText(guest.rate_at_end),
      unit: "/s",
      title: "Of all its VMs together, in the newest covered step",
    },
    { key: "faults", label: "Guest faults", value: known(guest.faults), ...exact },
    {
      key: "exits",
      label: "Memory-fault exits",
      value: known(guest.memory_fault_exits),
      ...exact,
      tone: guest.memory_fault_exits > 0 ? "warn" : "",
    },
    {
      key: "bare",
      label: "Bare error exits",
      value: known(guest.bare_error_exits),
      ...exact,
      tone: guest.bare_error_exits > 0 ? "bad" : "",
    },
    { key: "vms", label: "VMs in the range", value: countText(guest.vms_count), title: "Each start is a VM of its own" },
    { key: "running", label: "VMs running", value: countText(guest.running), title: "At the range’s end: two while it migrates" },
  ];
}
