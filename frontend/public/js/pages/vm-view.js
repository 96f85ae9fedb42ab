/** The panels of a VM's page: what is where, and which part of the answers each one shows. */

import { stickyPlaces } from "../base/color.js";
import { el, setShown } from "../base/dom.js";
import { exitsOf } from "../base/exit-words.js";
import { isUncovered } from "../charts/gaps.js";
import { biggestKeys, namedLines } from "../charts/series.js";
import { createExits } from "../panels/exits.js";
import { createFaults } from "../panels/faults.js";
import { createFigures } from "../panels/figures.js";
import { createFlags } from "../panels/flags.js";
import { createLedger } from "../panels/ledger.js";
import { createMessage } from "../panels/message.js";
import { createSyndromes } from "../panels/syndromes.js";
import { createVmHeader } from "../panels/vm-header.js";
import { viewOf } from "../state.js";
import { aheadMessage, emptyMessage, uncoveredMessage } from "./messages.js";
import { createRateChart } from "./rate-chart.js";
import { createReasons, createVcpus, exitLines, figuresOf, reasonRows, vcpuRows } from "./vm-figures.js";

/** @typedef {import("./vm.js").Answer} Answer */
/** @typedef {import("./context.js").Context} Context */

/**
 * What the chart of faults can be split by.
 * @type {[string, string][]}
 */
export const SPLITS = [
  ["access", "access"],
  ["vcpu", "vCPU"],
  ["flag", "flag"],
  ["level", "level"],
];

const MOST_LINES = 12;

/**
 * @param {Context} context
 * @param {object} actions
 * @param {(event: Event) => void} actions.goBack
 * @param {() => Promise<void>} actions.olderExits
 * @param {() => Promise<void>} actions.olderFaults
 */
export function createVmView(context, { goBack, olderExits, olderFaults }) {
  const { state } = context;
  const header = createVmHeader(goBack);
  const charts = createCharts(context);
  const details = createDetails();
  const exits = createExits({
    onKind: (kind) => state.set({ kind }, { replace: true }),
    onMore: () => void olderExits(),
  });
  const faults = createFaults(() => void olderFaults());
  const inside = createMessage();
  const instead = createMessage("h1");
  const content = el(
    "div",
    { class: "page-content", hidden: true },
    header.root,
    details.figures,
    inside.root,
    ...charts.roots,
    ...details.roots,
    exits.root,
    faults.root,
  );

  return {
    root: el("div", { class: "page vm" }, instead.root, content),
    tell: instead.update,
    destroy: charts.destroy,
    /** @param {Answer} answer */
    show(answer) {
      setShown(content, true);
      instead.update(null);
      inside.update(messageOf(answer, state));
      header.update(answer.vm, answer.request.now, context.hrefOf(viewOf(state.get(), null)));
      charts.show(answer);
      details.show(answer);
    },
    /** @param {Answer} answer @param {boolean} isOther */
    showExits({ exits: { items, next }, request }, isOther) {
      exits.update(items, { kind: request.view.kind, hasMore: next !== null, isOther });
    },
    /** @param {Answer} answer @param {boolean} isOther */
    showFaults({ records: { items, next }, ledger, vm }, isOther) {
      const [account] = ledger.vms;
      if (account) faults.update(items, { ledger: account, vm, hasMore: next !== null, isOther });
    },
  };
}

/** @param {Context} context */
function createCharts(context) {
  const faults = createRateChart(context, {
    id: "faults",
    title: "Guest faults",
    subject: "faults",
    splits: SPLITS,
    onCursor: (time) => exits.setCursor(time),
  });
  const exits = createRateChart(context, {
    id: "exit-rates",
    title: "Memory-fault and error exits",
    subject: "exits",
    onCursor: (time) => faults.setCursor(time),
  });
  const places = stickyPlaces();
  return {
    roots: [faults.root, exits.root],
    /** @param {Answer} answer */
    show(answer) {
      const { by, ledger, events, request } = answer;
      const placed = places(biggestKeys(answer.faults.series, MOST_LINES));
      const lines = namedLines(answer.faults.series, answer.faults.others, placed, (series) => series.label);
      const beside = { ledger, events, request, life: answer.vm };
      // Flags overlap: they are lines, not parts of a whole.
      faults.update({ rates: answer.faults, lines, stacked: by !== "flag", ...beside }, by);
      exits.update({ rates: answer.faults, lines: exitLines(answer), stacked: true, ...beside }, "");
    },
    destroy() {
      faults.destroy();
      exits.destroy();
    },
  };
}

function createDetails() {
  const figures = createFigures();
  const ledger = createLedger();
  const flags = createFlags();
  const reasons = createReasons();
  const vcpus = createVcpus();
  const syndromes = createSyndromes();
  return {
    figures: el("section", { class: "card figures-card", "aria-label": "Key figures" }, figures.root),
    roots: [
      ledger.root,
      flags.root,
      el("div", { class: "columns" }, reasons.root, vcpus.root),
      syndromes.root,
    ],
    /** @param {Answer} answer */
    show(answer) {
      figures.update(figuresOf(answer));
      const [account] = answer.ledger.vms;
      if (account) ledger.update(account);
      flags.update(answer.flags);
      reasons.update(reasonRows(answer.vm));
      vcpus.update(vcpuRows(answer.vm));
      syndromes.update(answer.syndromes, answer.flags.total);
    },
  };
}

/** @param {Answer} answer @param {import("../state.js").State} state */
function messageOf({ vm, faults, request }, state) {
  if (request.range.from >= request.now) return aheadMessage(state);
  if (isUncovered(faults.coverage, request.range)) return uncoveredMessage(request, state);
  const isQuiet = vm.faults + exitsOf(vm) === 0;
  return isQuiet ? emptyMessage("This VM has not faulted in this range.", request, state) : null;
}
